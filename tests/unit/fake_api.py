"""A small API server on loopback, scripted: what it answers, and how its watches end, is said by
the test."""

import base64
import contextlib
import hashlib
import itertools
import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PODS = "/api/v1/namespaces/lab/pods"


def _resource(kind, plural, namespaced=True):
    return {
        "resource": plural,
        "responseKind": {"kind": kind},
        "scope": "Namespaced" if namespaced else "Cluster",
    }


CORE = [
    _resource("Pod", "pods"),
    _resource("Namespace", "namespaces", False),
    _resource("Node", "nodes", False),
    _resource("ConfigMap", "configmaps"),
    _resource("ServiceAccount", "serviceaccounts"),
    _resource("Event", "events"),
]
DISCOVERY = {
    "/api": {"items": [{"metadata": {}, "versions": [{"version": "v1", "resources": CORE}]}]},
    "/apis": {
        "items": [
            {
                "metadata": {"name": "events.k8s.io"},
                "versions": [{"version": "v1", "resources": [_resource("Event", "events")]}],
            },
            {
                "metadata": {"name": "apps"},
                "versions": [
                    {"version": "v1", "resources": [_resource("Deployment", "deployments")]}
                ],
            },
        ]
    },
}


def pod(version: int, phase: str = "Pending", name: str = "one", **status) -> dict:
    return {
        "metadata": {"name": name, "namespace": "lab", "resourceVersion": str(version)},
        "status": {"phase": phase, **status},
    }


class FakeApi:
    """Answers by path; ``requests`` records what came.

    ``watches`` holds one script a watch, a list of steps: an event (a dict), bytes to write as they
    are, a threading.Event to wait for, a number (that HTTP status), ``"stay"``, or ``"cut"``; a
    generator may take its time. After the last step the watch ends without a word. ``exec_frames``
    is the same for an exec: (channel, data), ``"read"``, ``"stay"``.
    """

    def __init__(self, uid: str = "uid-1", label: str = "cluster"):
        self.answers: dict[str, object] = {
            "/api/v1/namespaces": {
                "items": [
                    {"metadata": {"name": "kube-system", "uid": uid}},
                    {"metadata": {"name": "podlab-node", "labels": {"podlab": label}}},
                ]
            },
            **DISCOVERY,
            "/api/v1/namespaces/lab/events": {"items": []},
        }
        self.watches: list[list] = []
        self.exec_frames: list = []
        self.exec_received: list[bytes] = []
        self.warnings: list[str] = []
        self.requests: list[tuple[str, str, dict, object]] = []
        self.watching = threading.Semaphore(0)
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()
        self.port = 0
        self.start()

    def start(self) -> None:
        fake = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address):
                pass  # A client that goes away in the middle is what some tests are about.

        class Handler(_Handler):
            api = fake

        self.stopping.clear()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        users = [{"name": "u", "user": {}}]
        path.write_text(
            json.dumps(
                {
                    "clusters": [cluster],
                    "users": users,
                    "contexts": [context],
                    "current-context": "x",
                }
            )
        )
        return path

    def pods(self, version: int, *items: dict) -> None:
        """What a list of the Pods in the namespace ``lab`` answers."""
        self.answers[PODS] = {
            "kind": "PodList",
            "metadata": {"resourceVersion": str(version)},
            "items": list(items),
        }

    def asked(self, method: str, path: str) -> list[dict]:
        """The queries of the requests of this kind so far."""
        return [query for was, at, query, _ in self.requests if (was, at) == (method, path)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: FakeApi

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.api.open.add(self.connection)

    def finish(self):
        self.api.open.discard(self.connection)
        super().finish()

    def do_GET(self):
        path, query = self._note(None)
        if "upgrade" in self.headers:
            self._exec()
        elif "watch" in query:
            self._watch(query)
        else:
            self._answer(path)

    def _change(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _ = self._note(json.loads(body) if body else None)
        self._answer(path)

    do_PATCH = do_POST = do_DELETE = _change

    def _note(self, body):
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.api.requests.append((self.command, parts.path, query, body))
        return parts.path, query

    def _answer(self, path):
        answer = self.api.answers.get(f"{self.command} {path}", self.api.answers.get(path))
        if callable(answer):
            answer = answer()
        code = 200
        if answer is None:
            code, answer = (
                404,
                {
                    "kind": "Status",
                    "reason": "NotFound",
                    "message": f"{path} not found",
                    "code": 404,
                },
            )
        elif isinstance(answer, dict) and answer.get("kind") == "Status":
            code = answer["code"]
        text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header(
            "Content-Type", "text/plain" if isinstance(answer, str) else "application/json"
        )
        self.send_header("Content-Length", str(len(text)))
        for warning in self.api.warnings:
            self.send_header("Warning", warning)
        self.end_headers()
        self.wfile.write(text)

    def _watch(self, query):
        steps = iter(self.api.watches.pop(0) if self.api.watches else ["stay"])
        first = next(steps, None)
        if isinstance(first, int):
            self.api.answers["gone"] = {
                "kind": "Status",
                "reason": "Expired",
                "message": "too old resource version",
                "code": first,
            }
            self._answer("gone")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.api.watching.release()
        for step in itertools.chain([first], steps):
            if step is None:
                continue
            if isinstance(step, threading.Event):
                step.wait(20)
            elif step == "stay":
                self.api.stopping.wait(float(query["timeoutSeconds"]))
            elif step == "cut":
                self.close_connection = True
                return
            else:
                data = step if isinstance(step, bytes) else json.dumps(step).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _exec(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header(
            "Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        )
        self.send_header("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
        self.end_headers()
        self.close_connection = True
        self.api.watching.release()
        for step in self.api.exec_frames:
            if step == "stay":
                self.api.stopping.wait(20)
            elif step == "read":
                self.api.exec_received.append(self._masked())
            else:
                channel, data = step
                payload = bytes([channel]) + (
                    json.dumps(data).encode() if isinstance(data, dict) else data
                )
                self.wfile.write(b"\x82\x7e" + struct.pack(">H", len(payload)) + payload)
        self.wfile.write(b"\x88\x02\x03\xe8")

    def _masked(self) -> bytes:
        length = self.rfile.read(2)[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.rfile.read(2))
        mask = self.rfile.read(4)
        return bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.rfile.read(length)))
