"""Requests to an API server over HTTPS: the connection pools, the certificates, and what an answer
means. ``client.Connection`` says what is requested."""

import json
import re
import ssl
import threading
import weakref
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from labhelpers.errors import Refused
from labhelpers.kube.exec import Server
from labhelpers.kube.wire import CONNECT_SECONDS, refused, unreachable
from labhelpers.patience import patient

__all__ = ["ANSWER_SECONDS", "Transport"]

ANSWER_SECONDS = 30


class Transport:
    """What sends requests to one API server. Safe to use from several threads: each has a pool of
    its own.

    Args:
        configuration: the server, and the credentials.
        plural: turns a kind into its plural, for what an error tells you to do.

    Attributes:
        host: address of the API server.
        warnings, warning_headers: the last write's Warning headers: their texts, and as sent.
    """

    def __init__(self, configuration: Configuration, plural: Callable[[str], str]):
        self.host: str = configuration.host
        self.warnings: list[str] = []
        self.warning_headers: list[str] = []
        self.configuration, self._plural = configuration, plural
        self._context: ssl.SSLContext | None = None
        self._threads = threading.local()
        self._clients: weakref.WeakSet[ApiClient] = weakref.WeakSet()

    def close(self) -> None:
        """Closes what is open. A later request opens it again."""
        for client in list(self._clients):
            client.close()

    def json(self, *request, **more) -> dict:
        """Sends one request; returns its answer, which is JSON. Arguments and errors as in
        :meth:`send`."""
        return json.loads(self.send(*request, **more).read())

    def send(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content_type: str = "application/json",
        *,
        doing: str,
        kind: str = "",
        timeout_seconds: float = ANSWER_SECONDS,
        accept: str = "application/json",
        stream: bool = False,
    ):
        """Sends one request; returns its response, with the body read unless ``stream``. Any status
        but 2xx raises Refused, and no answer raises Unreachable."""
        client = self._client()
        limit = timeout_seconds if stream else patient(timeout_seconds)  # a watch's is its window
        path += ("&" if "?" in path else "?") + urlencode(query) if query else ""
        headers = {"Accept": accept, "Content-Type": content_type}
        request = client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            response = client.call_api(
                *request, _request_timeout=(min(patient(CONNECT_SECONDS), limit), limit)
            )
            if not 200 <= response.status <= 299:
                raise self._refused(doing, kind, response.status, response.read())
            if not stream:
                response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self.host, doing, error) from error
        except ApiException as error:
            # Without a status, it's always TLS trouble.
            raise unreachable(self.host, doing, error.reason) from error
        if method != "GET":
            # `299 - "text"`: https://kubernetes.io/blog/2020/09/03/warnings/
            self.warning_headers[:] = response.headers.getlist("Warning")
            self.warnings[:] = [
                text.replace('\\"', '"')
                for header in self.warning_headers
                for text in re.findall(r'"((?:[^"\\]|\\.)*)"', header)
            ]
        return response

    @property
    def server(self) -> Server:
        """The same server and credentials, for a websocket."""
        configuration = self.configuration
        token = configuration.auth_settings().get("BearerToken", {}).get("value", "")
        name = configuration.tls_server_name
        return Server(self.host, name, token, self._tls, self._refused)

    def _client(self) -> ApiClient:
        client = getattr(self._threads, "client", None)
        if client is None:
            client = self._threads.client = ApiClient(self.configuration)
            self._clients.add(client)
        return client

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.create_default_context(cafile=self.configuration.ssl_ca_cert)
            if self.configuration.cert_file:
                context.load_cert_chain(self.configuration.cert_file, self.configuration.key_file)
            if not self.configuration.verify_ssl:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._context = context
        return self._context

    def _refused(self, doing: str, kind: str, code: int, body: bytes) -> Refused:
        return refused(doing, self._plural(kind), code, body)
