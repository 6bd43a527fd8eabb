"""Lab 06: who reads each line of a Pod's spec, and where it takes effect."""

import base64
import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from labhelpers import paths
from labhelpers.charts import matrix as charts
from labhelpers.charts.canvas import INK, LINE, PALE, PALETTE, SOFT, Sheet
from labhelpers.charts.chart import Chart, times
from labhelpers.charts.verdicts import Mark, verdicts
from labhelpers.errors import LabError, Refused
from labhelpers.kube import fields, yaml_reader
from labhelpers.kube.events import wait_for_event
from labhelpers.node.processes import first_process
from labhelpers.outcomes import Shown, frame_of, listed, shown_only
from labhelpers.patience import advice, patient
from labhelpers.polling import poll

MANIFESTS = paths.notebooks() / "manifests" / "06-full-spec"
SECONDS = 60.0
# The kubelet looks at a static Pod about once a minute, and only then replaces its mirror.
MIRROR_SECONDS = 150.0


def _manifest(name: str) -> dict:
    return yaml.safe_load((MANIFESTS / name).read_text(encoding="utf-8"))


def _apply(lab, body: dict, name: str) -> None:
    body["metadata"].update(name=name, namespace=lab.namespace)
    lab.connection.apply(body)


# --- One fault after the other --------------------------------------------------------------------

CONTAINER = ("spec", "containers", 0)
# What has to be fixed in as-printed.yaml, in the order in which it's told.
FIXES: dict[str, dict] = {
    "nothing": {},
    "serviceAccountName": {("spec", "serviceAccountName"): None},
    "hostPID": {("spec", "hostPID"): None},
    "nodeSelector": {("spec", "nodeSelector"): None},
    "the missing ConfigMap": {
        ("spec", "volumes"): None,
        (*CONTAINER, "volumeMounts"): None,
    },
    "image": {(*CONTAINER, "image"): "busybox:1.35.0"},
    "command": {(*CONTAINER, "command"): ["sleep"]},
}
RUNS = "it runs"


def gates(lab) -> Shown:
    """Fixes one fault of as-printed.yaml after the other, and says who stops the Pod each time."""
    body, rows = _manifest("as-printed.yaml"), []
    with lab.transcript.quietly():
        for number, (fixed, changes) in enumerate(FIXES.items()):
            body = fields.changed(body, changes)
            who, said = _answer(lab, copy.deepcopy(body), f"printed-{number}")
            rows.append({"fixed last": fixed, "the answer is from": who, "it says": said})
    return Shown(frame_of(rows), _in_turn([row["the answer is from"] for row in rows]))


def _in_turn(who: Sequence[str]) -> str:
    """
    >>> _in_turn(["API server", "API server", "kubelet", "it runs"])
    '3 faults, and each answer names one: API server twice, kubelet once; then it runs'
    """
    stops = [each for each in who if each != RUNS]
    counts = [f"{each} {times(stops.count(each))}" for each in dict.fromkeys(stops)]
    end = f"then {RUNS}" if who[-1] == RUNS else "it still doesn't run"
    return f"{len(stops)} faults, and each answer names one: {', '.join(counts)}; {end}"


def _answer(lab, body: dict, name: str) -> tuple[str, str]:
    """Who stops a Pod, and with which words; or that it runs."""
    try:
        _apply(lab, body, name)
    except Refused as error:
        return "API server", f"{error.reason}: {error.message.partition(': ')[2]}"
    found = poll(lambda: _stopped(lab, name), timeout_seconds=patient(SECONDS))
    if not found:
        raise LabError(
            f"Pod {name} neither starts nor says why.",
            json.dumps(lab.connection.get("Pod", name)["status"])[:300],
            "Run the cell again.",
        )
    return found


def _stopped(lab, name: str) -> tuple[str, str] | None:
    status = lab.connection.get("Pod", name).get("status", {})
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return "scheduler", f"{scheduled['reason']}: {scheduled['message'].partition('. ')[0]}"
    for each in status.get("containerStatuses", ()):
        state = each["state"]
        if "running" in state:
            return RUNS, "Running"
        waiting = state.get("waiting", {})
        if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff"):
            return "runtime", f"ErrImagePull: {waiting.get('message', '')}"[:150]
        if state.get("terminated", {}).get("reason") == "StartError":
            return "runtime", _short("StartError", state["terminated"]["message"])
    for event in _events(lab, name):
        if event["reason"] == "FailedMount":
            return "kubelet", f"FailedMount: {event['message']}"
    return None


def _short(reason: str, message: str) -> str:
    """The end of what the runtime says: it repeats itself on the way.

    >>> _short("StartError", 'failed: unable to start: exec: "/x": stat /x: no such file')
    'StartError: exec: "/x": stat /x: no such file'
    """
    return f"{reason}: {message[message.rfind('exec: ') :]}"


def _condition(status: Mapping, name: str) -> dict:
    return next((each for each in status.get("conditions", ()) if each["type"] == name), {})


def _events(lab, name: str) -> list[dict]:
    return lab.connection.list("Event", field_selector=f"involvedObject.name={name}")["items"]


# --- The X-ray ------------------------------------------------------------------------------------

API, SCHEDULER, KUBELET, RUNTIME = "API server", "scheduler", "kubelet", "runtime and kernel"
OTHERS, NOBODY = "other objects", "nobody yet"
READERS = (API, SCHEDULER, KUBELET, RUNTIME, OTHERS, NOBODY)
C = "spec.containers[0]"
ENV = "the environment of the process"
STATUS = "/proc/PID/status of the process"


@dataclass(frozen=True)
class Field:
    """A field of a manifest, and where to look for its effect.

    Attributes:
        path: its place in the manifest, as the API server writes it.
        reader: who acts on it.
        where: the place where it takes effect, in words.
        how: the command that looks there: after "in:" in the container, after "node:" on the node;
            after "get:" the path in the Pod as the API has it. Other words name a method of Look.
        expects: what has to be in the answer.
        late: it only takes effect once the probes have failed.
    """

    path: str
    reader: str
    where: str
    how: str
    expects: str
    late: bool = False

    @property
    def name(self) -> str:
        """The field's own name, with its parent's where the name alone says little.

        >>> Field("spec.containers[0].resources.limits.cpu", "", "", "", "").name
        'limits.cpu'
        """
        *_, parent, own = ["", *self.path.split(".")]
        parent = parent.partition("[")[0]
        return f"{parent}.{own}" if parent in NEEDS_PARENT else own.partition("[")[0]


NEEDS_PARENT = ("labels", "annotations", "requests", "limits", "emptyDir", "configMap")
IN, GET, NODE = "in:", "get:", "node:"
STATUS_OF = IN + "grep {} /proc/self/status"
FULL = (
    Field("metadata.labels.app", OTHERS, "the selector of the Service till", "selected", "full"),
    Field("metadata.annotations.owner", NOBODY, "stored, for people and tools",
          GET + "metadata.annotations.owner", "till-team"),
    Field("spec.serviceAccountName", KUBELET, "the account in the mounted token", "account",
          ":clerk"),
    Field("spec.priorityClassName", API, "spec.priority, written at admission",
          GET + "spec.priority", "7"),
    Field("spec.schedulerName", SCHEDULER, "the reporter of the event Scheduled",
          "event:Scheduled", "default-scheduler"),
    Field("spec.nodeSelector", SCHEDULER, "the labels of the node that it chose", "labels",
          "kubernetes.io/os=linux"),
    Field("spec.tolerations", NOBODY, "no taint asks for it", "taint", "no such taint"),
    Field("spec.restartPolicy", KUBELET, "restartCount after exit code 137", "restarted", "1",
          late=True),
    Field("spec.terminationGracePeriodSeconds", KUBELET, "from preStop to SIGKILL and restart",
          "grace", "2 s or more", late=True),
    Field("spec.imagePullSecrets", NOBODY, "nothing was pulled", "secrets", "no event"),
    Field("spec.hostname", KUBELET, "the host name", IN + "hostname", "counter"),
    Field("spec.subdomain", KUBELET, "the full host name", IN + "hostname -f", "counter.shop."),
    Field("spec.hostAliases", KUBELET, "/etc/hosts", IN + "grep till /etc/hosts", "192.0.2.7"),
    Field("spec.dnsConfig", KUBELET, "/etc/resolv.conf", IN + "grep options /etc/resolv.conf",
          "ndots:2"),
    Field("spec.enableServiceLinks", KUBELET, f"{ENV}: no TILL_…",
          IN + "env | grep -c TILL_ || true", "0"),
    Field("spec.shareProcessNamespace", RUNTIME, "PID 1, as the app sees it",
          IN + "cat /proc/1/cmdline", "/pause"),
    Field("spec.securityContext.runAsUser", RUNTIME, STATUS, STATUS_OF.format("^Uid"), "1000"),
    Field("spec.securityContext.runAsGroup", RUNTIME, STATUS, STATUS_OF.format("^Gid"), "3000"),
    Field("spec.securityContext.fsGroup", KUBELET, "the group of the volume",
          IN + "stat -c %g /cache", "2000"),
    Field("spec.securityContext.supplementalGroups", RUNTIME, STATUS, STATUS_OF.format("^Groups"),
          "4000"),
    Field("spec.securityContext.seccompProfile", RUNTIME, STATUS, STATUS_OF.format("^Seccomp:"),
          "2"),
    Field("spec.securityContext.sysctls", RUNTIME, "/proc/sys, in the Pod's network",
          IN + "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "500"),
    Field(f"{C}.image", RUNTIME, "the image of the container, as the runtime says",
          GET + "status.containerStatuses.0.image", "busybox:1.35.0"),
    Field(f"{C}.imagePullPolicy", KUBELET, "the event Pulled", "event:Pulled", "already present"),
    Field(f"{C}.workingDir", RUNTIME, "the directory of the process",
          NODE + "readlink /proc/{pid}/cwd", "/cache"),
    Field(f"{C}.command", RUNTIME, "the words of the process",
          NODE + "tr '\\0' ' ' < /proc/{pid}/cmdline | cut -c 1-5", "sh -c"),
    Field(f"{C}.args", RUNTIME, "the words of the process",
          NODE + "tr '\\0' ' ' < /proc/{pid}/cmdline | cut -c 7-40", "trap '' TERM"),
    Field(f"{C}.envFrom", KUBELET, ENV, IN + "env | grep ^SIZE", "large"),
    Field(f"{C}.env", KUBELET, ENV, IN + "env | grep ^COLOR", "green"),
    Field(f"{C}.ports", OTHERS, "the endpoint of the Service till", "endpoint", "8080"),
    Field(f"{C}.resources.requests.cpu", RUNTIME, "the cgroup's share of CPU time",
          "cgroup:cpu_shares cpu_weight", "as computed"),
    Field(f"{C}.resources.requests.memory", KUBELET, "oom_score_adj of the process",
          "cgroup:oom_score_adj", "as computed"),
    Field(f"{C}.resources.limits.cpu", RUNTIME, "the cgroup's quota, in µs per period",
          "cgroup:cpu_quota_us", "as computed"),
    Field(f"{C}.resources.limits.memory", RUNTIME, "the cgroup's memory limit, in bytes",
          "cgroup:memory_limit_bytes", "as computed"),
    Field(f"{C}.startupProbe", KUBELET, "started, in the status",
          GET + "status.containerStatuses.0.started", "True"),
    Field(f"{C}.readinessProbe", KUBELET, "Ready, once /cache/ready is gone", "not_ready", "False",
          late=True),
    Field(f"{C}.livenessProbe", KUBELET, "the event, once /cache/alive is gone",
          "event:Killing", "failed liveness probe", late=True),
    Field(f"{C}.lifecycle.postStart", KUBELET, "a file that it writes",
          IN + "ls /cache/started", "started"),
    Field(f"{C}.lifecycle.preStop", KUBELET, "a file that it writes before SIGTERM",
          IN + "ls /cache/stopping", "stopping", late=True),
    Field(f"{C}.terminationMessagePolicy", KUBELET, "lastState: the end of the log",
          GET + "status.containerStatuses.0.lastState.terminated.message", "bye", late=True),
    Field(f"{C}.securityContext.allowPrivilegeEscalation", RUNTIME, STATUS,
          STATUS_OF.format("^NoNewPrivs"), "1"),
    Field(f"{C}.securityContext.readOnlyRootFilesystem", RUNTIME, "what writing to / says",
          IN + "touch /x 2>&1 || true", "Read-only file system"),
    Field(f"{C}.securityContext.capabilities", RUNTIME, STATUS, STATUS_OF.format("^CapBnd"),
          "0000000000000000"),
    Field(f"{C}.volumeMounts", RUNTIME, "the mounts of the process",
          IN + "grep -c -e ' /cache ' -e ' /settings ' /proc/self/mounts", "2"),
    Field("spec.volumes[0].emptyDir.medium", KUBELET, "the file system of /cache",
          IN + "grep ' /cache ' /proc/self/mounts | cut -d ' ' -f 1,3", "tmpfs"),
    Field("spec.volumes[0].emptyDir.sizeLimit", KUBELET, "its size, in KiB",
          IN + "df -k /cache | tail -n 1", "8192"),
    Field("spec.volumes[1].configMap", KUBELET, "a file for each key", IN + "cat /settings/SIZE",
          "large"),
    Field("spec.volumes[1].configMap.defaultMode", KUBELET, "the mode of that file",
          IN + "stat -L -c %a /settings/SIZE", "440"),
)  # fmt: skip
HOST = (
    Field("spec.hostNetwork", RUNTIME, "the network namespace", "namespace:net", "the node's"),
    Field("spec.hostPID", RUNTIME, "the PID namespace", "namespace:pid", "the node's"),
    Field("spec.hostIPC", RUNTIME, "the IPC namespace", "namespace:ipc", "the node's"),
    Field("spec.dnsPolicy", KUBELET, "/etc/resolv.conf", IN + "grep search /etc/resolv.conf",
          "svc.cluster.local"),
    Field("spec.activeDeadlineSeconds", NOBODY, "its time hasn't come", GET + "status.phase",
          "Running"),
    Field(f"{C}.stdin", RUNTIME, "file descriptor 0", NODE + "readlink /proc/{pid}/fd/0",
          "/dev/pts/"),
    Field(f"{C}.tty", RUNTIME, "the session's terminal", NODE + "ps -o tty= -p {pid}", "pts/"),
    Field(f"{C}.securityContext.privileged", RUNTIME, f"{STATUS}: everything that root can have",
          NODE + "grep -h CapEff /proc/{pid}/status /proc/1/status | uniq | wc -l", "1"),
    Field("spec.volumes[0].hostPath", KUBELET, "the node's own directory", IN + "ls /node",
          "manifests"),
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What was found where a field takes effect.

    Attributes:
        manifest: "full" or "host".
        line, written: the field's line in the manifest, and its text.
        found: the answer, in one line.
        effect: whether the answer has what it should have.
        by_hand: what to type.
    """

    field: Field
    manifest: str
    line: int
    written: str
    found: str
    effect: bool
    by_hand: str


class Look:
    """Looks at one Pod in every place where a field may take effect.

    Args:
        pod: a handle.
    """

    def __init__(self, lab, pod):
        self.lab, self.pod = lab, pod
        self.pid = pod.container("app").process.pid
        self._predicted = None
        self.was_ready = ""

    def at(self, how: str) -> tuple[str, str]:
        """What is found there, and what to type by hand."""
        kind, sign, rest = how.partition(":")
        name = self.pod.name
        if how.startswith(IN):
            done = self.pod.exec("app", rest)
            return done.stdout + done.stderr, f"kubectl exec {name} -- sh -c {json.dumps(rest)}"
        if how.startswith(GET):
            found = _path(self.pod.raw, rest.split("."))
            path = re.sub(r"\.(\d+)", r"[\1]", rest)
            return str(found), f"kubectl get pod {name} -o jsonpath={{.{path}}}"
        if how.startswith(NODE):
            script = rest.format(pid=self.pid)
            return self.lab.node.run(script), f"on the node: {script}"
        return getattr(self, f"_{kind}")(rest) if sign else getattr(self, f"_{kind}")()

    def _selected(self) -> tuple[str, str]:
        till = self.lab.connection.get("Service", "till")
        selector = ",".join(f"{k}={v}" for k, v in till["spec"]["selector"].items())
        found = self.lab.connection.list("Pod", label_selector=selector)["items"]
        return listed(each["metadata"]["name"] for each in found), f"kubectl get pods -l {selector}"

    def _account(self) -> tuple[str, str]:
        token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
        text = self.pod.exec("app", ["cat", token]).stdout.strip().split(".")[1]
        body = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return body["sub"], f"kubectl exec {self.pod.name} -- cat {token}"

    def _event(self, reason: str) -> tuple[str, str]:
        event = wait_for_event(self.lab.connection, self.pod.name, reason)
        who = event.get("reportingComponent") or event.get("source", {}).get("component", "")
        by_hand = f"kubectl events --for pod/{self.pod.name}"
        return (who if reason == "Scheduled" else event["message"]), by_hand

    def _labels(self) -> tuple[str, str]:
        [node, *_] = self.lab.connection.list("Node")["items"]
        wanted = self.pod.raw["spec"]["nodeSelector"]
        has = node["metadata"]["labels"]
        found = ", ".join(f"{key}={has.get(key, 'missing')}" for key in wanted)
        return found, f"kubectl get nodes -L {','.join(wanted)}"

    def _taint(self) -> tuple[str, str]:
        [node, *_] = self.lab.connection.list("Node")["items"]
        own = {each["key"] for each in _manifest("full.yaml")["spec"]["tolerations"]}
        there = [each["key"] for each in node["spec"].get("taints", ()) if each["key"] in own]
        return listed(there) or "no such taint", "kubectl describe nodes | grep Taints"

    def _secrets(self) -> tuple[str, str]:
        reasons = {each["reason"] for each in _events(self.lab, self.pod.name)}
        found = [each for each in reasons if "PullSecret" in each]
        return listed(found) or "no event", f"kubectl events --for pod/{self.pod.name}"

    def _endpoint(self) -> tuple[str, str]:
        slices = self.lab.connection.list(
            "EndpointSlice", label_selector="kubernetes.io/service-name=till"
        )["items"]
        ports = [str(port["port"]) for each in slices for port in each.get("ports") or ()]
        return listed(ports) or "none", "kubectl get endpointslices"

    def _cgroup(self, names: str) -> tuple[str, str]:
        if self._predicted is None:
            self._predicted = self.pod.as_predicted().table
        rows = self._predicted[self._predicted["value"].isin(names.split())]
        [row] = rows.to_dict("records")
        verdict = "as computed" if row["found"] == row["predicted"] else "not as computed"
        return f"{row['value']} {row['found']}, {verdict}", "on the node: systemd-cgls, then cat"

    def _namespace(self, kind: str) -> tuple[str, str]:
        own = self.pod.container("app").namespaces[kind]
        same = own == self.lab.node.node_namespaces()[kind]
        return ("the node's" if same else "its own"), f"on the node: lsns -t {kind} -p {self.pid}"

    def _not_ready(self) -> tuple[str, str]:
        return self.was_ready, f"kubectl get pod {self.pod.name} --watch"

    def _restarted(self) -> tuple[str, str]:
        [status] = self.pod.raw["status"]["containerStatuses"]
        code = status["lastState"]["terminated"]["exitCode"]
        found = str(status["restartCount"]) if code == 137 else f"exit code {code}"
        return found, f"kubectl get pod {self.pod.name}"

    def _grace(self) -> tuple[str, str]:
        stopping, started = (
            float(self.pod.exec("app", ["cat", f"/cache/{file}"]).stdout.split()[0])
            for file in ("stopping", "started")
        )
        least = self.pod.raw["spec"]["terminationGracePeriodSeconds"]
        enough = started - stopping > least - 0.1
        verdict = f"{least} s or more" if enough else f"less than {least} s"
        command = f"kubectl exec {self.pod.name} -- cat /cache/stopping /cache/started"
        return f"{started - stopping:.1f} s: {verdict}", command

    def fail_the_probes(self) -> None:
        """Takes the probes' files away, the readiness probe's first, and waits for the restart."""
        app = self.pod.container("app")
        self.pod.exec("app", ["rm", "/cache/ready"])
        self.pod.wait_until(
            lambda now: now.conditions.get("Ready") == "False", timeout_seconds=SECONDS
        )
        self.was_ready = self.pod.conditions["Ready"]
        self.pod.exec("app", ["rm", "/cache/alive"])
        app.wait_until("restarted", timeout_seconds=SECONDS)
        self.pod.wait_until("Ready", timeout_seconds=SECONDS)


def _path(value: object, steps: Sequence[str]) -> object:
    for step in steps:
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(step)
    return value


def xray(lab, full, host) -> "Xray":
    """Reads every field of both Pods back where it takes effect. Fails full's probes for it."""
    readings: list[Reading] = []
    with lab.transcript.quietly():
        for pod, fields in ((full, FULL), (host, HOST)):
            look = Look(lab, pod)
            text = (MANIFESTS / f"{pod.name}.yaml").read_text(encoding="utf-8")
            [document] = yaml_reader.read(text, pod.name)
            lines = text.splitlines()
            for late in (False, True):
                if late and any(each.late for each in fields):
                    look.fail_the_probes()
                for field in fields:
                    if field.late == late:
                        found, by_hand = look.at(field.how)
                        line = _line(document, field.path)
                        readings.append(
                            Reading(
                                field,
                                pod.name,
                                line,
                                lines[line - 1].strip(),
                                " ".join(found.replace("\0", " ").split())[:90],
                                field.expects in found,
                                by_hand,
                            )
                        )
    readings.sort(key=lambda each: (each.manifest, each.line))
    return Xray(readings)


def _line(document, path: str) -> int:
    """The line on which a field's own name stands. A list's or a mapping's place is its first
    line, which is the next one."""
    place = document.place(path)
    if not place.found:
        raise LabError(f"The manifest has no {path}.", f"line {place.line}", "Check the path.")
    return place.line


class Xray:
    """All readings of both manifests.

    Attributes:
        readings: in the order of the lines.
        fields: what to choose from: "full.yaml 22: hostname".
    """

    def __init__(self, readings: Sequence[Reading]):
        self.readings = list(readings)
        self._by_name = {
            f"{each.manifest}.yaml, line {each.line}: {each.field.name}": each
            for each in self.readings
        }

    @property
    def fields(self) -> list[str]:
        return list(self._by_name)

    def listing(self) -> None:
        """Shows every reading in a table that unfolds."""
        from labhelpers.tables import html_table  # loads pandas

        rows = [
            {
                "file": each.manifest,
                "line": str(each.line),
                "as written": each.written,
                "who reads it": each.field.reader,
                "where it takes effect": each.field.where,
                "found there": each.found,
            }
            for each in self.readings
        ]
        head = f"<summary>All {len(rows)} fields, line by line</summary>"
        shown_only(f"<details>{head}{html_table(frame_of(rows))}</details>")

    def card(self, name: str) -> Shown:
        """All that is known about one field."""
        each = self._by_name[name]
        rows = {
            "as written": each.written,
            "who reads it": each.field.reader,
            "where it takes effect": each.field.where,
            "found there": each.found,
            "look by hand": each.by_hand,
        }
        return Shown(
            frame_of(list(rows.items()), ["about", f"{each.manifest}.yaml, line {each.line}"]),
            f"{each.field.name}: {each.field.reader}, {each.field.where}",
        )

    def chart(self) -> Chart:
        """Who reads which field: a column of fields for each reader."""
        title, words = "Who reads which line?", self.words
        rows = [
            {
                "reader": reader,
                "fields": ", ".join(
                    each.field.name for each in self.readings if each.field.reader == reader
                ),
            }
            for reader in READERS
        ]
        return Chart(lambda: _draw(self.readings, title, words), words, frame_of(rows), title)

    @property
    def words(self) -> str:
        """How many fields took effect, by reader."""
        lost = [each.field.name for each in self.readings if not each.effect]
        at_work = [each for each in self.readings if each.field.reader != NOBODY and each.effect]
        idle = [
            each.field.name for each in self.readings if each.field.reader == NOBODY and each.effect
        ]
        counts = [
            f"{reader} {sum(each.field.reader == reader for each in at_work)}"
            for reader in READERS
            if reader != NOBODY
        ]
        words = f"{len(at_work)} of {len(self.readings)} fields took effect: {', '.join(counts)}"
        words += f" · nobody reads yet: {', '.join(idle)}" if idle else ""
        return words + (f" · not found where it should be: {', '.join(lost)}" if lost else "")


LEFT, ROW = 0.25, 0.185
COLUMNS = ((API, SCHEDULER, OTHERS, NOBODY), (KUBELET,), (RUNTIME,))
EDGES = ((0.25, 1.95), (2.35, 2.2), (4.7, 2.05))  # where each begins, and its width


def _draw(readings: Sequence[Reading], title: str, finding: str):
    """Three columns: the many fields of the kubelet and the runtime have one each."""
    groups = {
        reader: [each for each in readings if each.field.reader == reader] for reader in READERS
    }
    heights = [sum(0.42 + ROW * len(groups[reader]) for reader in column) for column in COLUMNS]
    sheet = Sheet(max(heights) + 0.3, title, finding)
    for column, (x, width) in zip(COLUMNS, EDGES, strict=True):
        y = sheet.top + 0.1
        for reader in column:
            look = PALETTE[READERS.index(reader)]
            sheet.box((x, y, width, 0.24), facecolor=PALE, edgecolor=LINE, linewidth=0.8)
            sheet.filled((x + 0.05, y + 0.05, 0.22, 0.14), look)
            sheet.say(x + 0.34, y + 0.12, reader, size=9, color=INK, weight="bold")
            sheet.say(x + width - 0.08, y + 0.12, str(len(groups[reader])), size=9, ha="right")
            y += 0.36
            for each in groups[reader]:
                _chip(sheet, x, y, width, each)
                y += ROW
            y += 0.06
    y = sheet.top + max(heights) + 0.16
    sheet.say(LEFT, y, "Numbers: lines of full.yaml. Numbers with h: lines of host.yaml.", size=7)
    return sheet.figure


def _chip(sheet: Sheet, x: float, y: float, width: float, each: Reading) -> None:
    number = f"h{each.line}" if each.manifest == "host" else str(each.line)
    sheet.say(x + 0.3, y, number, size=6.5, ha="right")
    mark = "" if each.effect else "  ✗ not found"
    color = SOFT if each.field.reader == NOBODY else INK
    sheet.say(x + 0.37, y, each.field.name + mark, size=7.5, color=color)


def c20(lab, seen, excluded) -> Shown:
    """The whole spec at once, in two manifests: each field is read back where it takes effect.
    Fields that exclude each other are named, with the API's rejection."""
    return Shown(seen.chart(), f"{seen.words}; {excluded.sentence}".replace(" · ", "; "))


# --- What excludes what ---------------------------------------------------------------------------

# Two fields that may not stand in one Pod.
PAIRS: dict[str, dict] = {
    "hostPID, shareProcessNamespace": {"hostPID": True, "shareProcessNamespace": True},
    "hostNetwork, sysctls of the network": {
        "hostNetwork": True,
        "securityContext": {
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "500"}]
        },
    },
    "hostNetwork, hostUsers: false": {"hostNetwork": True, "hostUsers": False},
    "privileged, allowPrivilegeEscalation: false": {
        "container": {"securityContext": {"privileged": True, "allowPrivilegeEscalation": False}}
    },
    "hostNetwork, another hostPort than containerPort": {
        "hostNetwork": True,
        "container": {"ports": [{"containerPort": 8080, "hostPort": 80}]},
    },
    "dnsPolicy: None, no dnsConfig": {"dnsPolicy": "None"},
}


def exclusions(lab) -> Shown:
    """What a dry run says to each pair of fields that exclude each other."""
    rows = []
    for pair, spec in PAIRS.items():
        body = _manifest("plain.yaml")
        more = dict(spec)
        body["spec"]["containers"][0].update(more.pop("container", {}))
        body["spec"].update(more)
        body["metadata"].update(name="pair", namespace=lab.namespace)
        try:
            lab.connection.apply(body, dry_run=True)
            rows.append((pair, "admitted"))
        except Refused as error:
            rows.append((pair, _last_words(error.message)))
    passed = [pair for pair, said in rows if said == "admitted"]
    words = f"the API server rejects {len(rows) - len(passed)} of {len(rows)} pairs"
    words += f", and admits {listed(passed)}" if passed else ""
    return Shown(frame_of(rows, ["these two", "API server"]), words)


def _last_words(message: str) -> str:
    """An API server's rejection without the value that it rejects.

    >>> _last_words('Pod "x" is invalid: spec.a: Invalid value: {"b":null}: cannot set both')
    'spec.a: cannot set both'
    >>> _last_words('Pod "x" is invalid: spec.a: Forbidden: when `b` is false')
    'spec.a: when `b` is false'
    """
    text = message.partition(" is invalid: ")[2] or message
    value = r": (?:Invalid value: (?:\{.*?\}|[^: ]+): |Forbidden: |Required value: )"
    return re.sub(value, ": ", text, count=1)


# --- The node's namespaces ------------------------------------------------------------------------

KINDS = {"net": "hostNetwork", "ipc": "hostIPC", "pid": "hostPID"}


def c10(lab, host, plain) -> Shown:
    """hostNetwork, hostPID and hostIPC give the Pod the node's namespaces: the inodes are the
    node's."""
    import pandas

    columns = [*KINDS, "uts", "mnt"]
    node = lab.node.node_namespaces()
    found = {each.name: each.namespaces().loc["app"] for each in (host, plain)}
    frame = pandas.DataFrame([node, *found.values()], index=["node", *found])[columns]
    shared = {
        name: [kind for kind in columns if own[kind] == node[kind]] for name, own in found.items()
    }
    words = [
        f"{name} has {f'the namespaces {listed(kinds)} of the node' if kinds else 'its own'}"
        for name, kinds in shared.items()
    ]
    return Shown(charts.matrix(frame, "Which namespaces are the node's?"), "; ".join(words))


# --- Capabilities ---------------------------------------------------------------------------------

BIND = 1 << 10  # NET_BIND_SERVICE, capability 10 of capabilities(7)


def c19(lab, *pods) -> Shown:
    """Dropping ALL and adding NET_BIND_SERVICE leaves a root process with one capability bit."""
    rows, words = [], []
    for pod in pods:
        text = pod.exec("app", ["cat", "/proc/1/status"]).stdout
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        uid = fields["Uid"].split()[0]
        now, most = (int(fields[name], 16) for name in ("CapEff", "CapBnd"))
        rows.append(
            {"Pod": pod.name, "uid": uid, "CapEff": f"{now:016x}", "CapBnd": f"{most:016x}"}
        )
        words.append(f"{pod.name}, uid {uid}, has {_bits(now)}, and may get {_bits(most)}")
    return Shown(frame_of(rows), "; ".join(words))


def _bits(mask: int) -> str:
    """
    >>> _bits(0), _bits(1 << 10), _bits(0xA80425FB)
    ('none', 'NET_BIND_SERVICE alone', '14 capabilities')
    """
    if mask == BIND:
        return "NET_BIND_SERVICE alone"
    return f"{mask.bit_count()} capabilities" if mask else "none"


# --- DNS ------------------------------------------------------------------------------------------

LONG_NAME = "kube-dns.kube-system.svc.cluster.local"
# of a name, until two in a row cost the same
LOOKUPS = 6
METRICS = "wget -q -O - http://127.0.0.1:9153/metrics"
NO_SUCH_NAME, ANSWERED = "NXDOMAIN", "NOERROR"
COUNTED = re.compile(r'^coredns_dns_responses_total\{.*rcode="(\w+)".*\} (\d+)', re.MULTILINE)


def dns_address(lab) -> str:
    """The address of the cluster's DNS."""
    return lab.connection.get("Service", "kube-dns", namespace="kube-system")["spec"]["clusterIP"]


def tell_dns_address(lab) -> None:
    """Writes the address of the cluster's DNS into the ConfigMap cluster-dns, for the DNS servers
    of the lab's own Pods."""
    address = dns_address(lab)
    lab.transcript.note(f"kubectl create configmap cluster-dns --from-literal=address={address}")
    where = {"name": "cluster-dns", "namespace": lab.namespace}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where}
    lab.connection.apply({**config, "data": {"address": address}})


def queries(lab, pod, name: str) -> dict[str, int]:
    """Lets a Pod's app look a name up, and counts what its DNS server answers, by code.

    A query without an answer in time is sent again, and the server counts an answer only after it
    has sent it. So the name is looked up until two lookups in a row cost the same; if none do, the
    smallest count is the answer.
    """
    seen: list[dict[str, int]] = []
    while len(seen) < LOOKUPS and (len(seen) < 2 or seen[-1] != seen[-2]):
        before = _counts(pod)
        pod.exec("app", f"wget -q -O /dev/null http://{name}:9153/metrics")
        more = {code: count - before.get(code, 0) for code, count in _counts(pod).items()}
        seen.append({code: count for code, count in more.items() if count})
    if seen[-1] == seen[-2]:
        return seen[-1]
    return min(seen, key=lambda codes: sum(codes.values()))


def _counts(pod) -> dict[str, int]:
    """The answers so far. The server may have been started just now."""
    done = poll(
        lambda: [each for each in [pod.exec("app", METRICS)] if each.returncode == 0],
        timeout_seconds=patient(SECONDS),
    )
    if not done:
        raise LabError(
            f"The DNS server in Pod {pod.name} doesn't answer.",
            "no metrics on port 9153",
            f"Look at its log: kubectl logs {pod.name} -c dns",
        )
    # A line for each plugin that answers.
    counts: Counter[str] = Counter()
    for code, count in COUNTED.findall(done[0].stdout):
        counts[code] += int(count)
    return dict(counts)


def lookups(lab, five, one) -> dict[str, dict[str, int]]:
    """The same name looked up in three ways, and the answers that it cost."""
    return {
        "ndots 5": queries(lab, five, LONG_NAME),
        "ndots 1": queries(lab, one, LONG_NAME),
        "ndots 5 with a dot at the end": queries(lab, five, f"{LONG_NAME}."),
    }


def how_many_queries(lab, seen) -> str:
    """A choice of "dns"."""
    return str(sum(seen["ndots 5"].values()))


def c9(lab, seen, plain, five) -> Shown:
    """dnsPolicy and dnsConfig write the container's resolv.conf. ndots decides how many queries a
    name costs."""
    rows = [
        {
            "lookup": case,
            "queries": sum(codes.values()),
            "no such name": codes.get(NO_SUCH_NAME, 0),
            "answered": codes.get(ANSWERED, 0),
        }
        for case, codes in seen.items()
    ]
    unanswered = [row["lookup"] for row in rows if not row["answered"]]
    first, *others = [(row["queries"], row["lookup"]) for row in rows]
    costs = [f"{first[0]} queries under {first[1]}", *(f"{n} under {how}" for n, how in others)]
    by_policy = _resolv(plain)
    wanted = {"nameserver": dns_address(lab), "ndots": "5"}
    follows = all(by_policy.get(key) == value for key, value in wanted.items())
    config = five.raw["spec"]["dnsConfig"]
    wanted = {
        "nameserver": " ".join(config["nameservers"]),
        "search": " ".join(config["searches"]),
        "ndots": config["options"][0]["value"],
    }
    words = "ClusterFirst writes the cluster's DNS and ndots 5 into resolv.conf"
    words = words if follows else "ClusterFirst doesn't write the cluster's DNS and ndots 5"
    words += "; None writes dnsConfig and nothing else" if _resolv(five) == wanted else (
        "; None doesn't write just dnsConfig"
    )  # fmt: skip
    words += f"; a name with 4 dots costs {listed(costs)}"
    words += f"; there's no answer under {listed(unanswered)}" if unanswered else ""
    return Shown(frame_of(rows), words)


def _resolv(pod) -> dict[str, str]:
    """The lines of a container's resolv.conf; the option ndots on its own."""
    text = pod.exec("app", ["cat", "/etc/resolv.conf"]).stdout
    lines = dict(line.split(" ", 1) for line in text.strip().splitlines() if " " in line)
    options = lines.pop("options", "")
    return {**{k: v.strip() for k, v in lines.items()}, "ndots": options.partition("ndots:")[2]}


# --- Images ---------------------------------------------------------------------------------------

POLICIES = ("Always", "IfNotPresent", "Never")
PRESENT, ABSENT = "localhost:1/busybox:1", "localhost:1/nowhere:1"
WHERE = {PRESENT: "on the node", ABSENT: "not on the node"}
STARTS, PULL_FAILS, NEVER_PULLS = "starts", "ErrImagePull", "ErrImageNeverPull"
OUTCOMES = {
    "ErrImagePull": PULL_FAILS,
    "ImagePullBackOff": PULL_FAILS,
    "ErrImageNeverPull": NEVER_PULLS,
}


def pulls(lab) -> dict[str, dict[str, str]]:
    """Starts pull.yaml with each policy, with an image that's on the node and with one that isn't.

    The kubelet counts an image as not yet pulled while another Pod is pulling it. So Always comes
    last for the image that's there.
    """
    order = sorted(
        ((policy, image) for policy in POLICIES for image in WHERE),
        key=lambda case: case == ("Always", PRESENT),
    )
    found: dict[str, dict[str, str]] = {policy: {} for policy in POLICIES}
    body = _manifest("pull.yaml")
    with lab.transcript.quietly():
        for policy, image in order:
            changes = {(*CONTAINER, "image"): image, (*CONTAINER, "imagePullPolicy"): policy}
            name = f"{policy.lower()}-{'present' if image == PRESENT else 'absent'}"
            _apply(lab, fields.changed(body, changes), name)
            found[policy][WHERE[image]] = _pulled(lab, name)
    return found


def _pulled(lab, name: str) -> str:
    """What became of a Pod's image."""

    def decided() -> str:
        status = lab.connection.get("Pod", name).get("status", {})
        for each in status.get("containerStatuses", ()):
            if "running" in each["state"]:
                return STARTS
            reason = each["state"].get("waiting", {}).get("reason", "")
            return OUTCOMES.get(reason, "")
        return ""

    return poll(decided, timeout_seconds=patient(SECONDS)) or "nothing, for a minute"


def c14(lab, found) -> Shown:
    """imagePullPolicy Always, IfNotPresent and Never differ for an image that is on the node and
    for one that isn't."""
    frame = frame_of([{"policy": policy, **by_image} for policy, by_image in found.items()])
    frame = frame[["policy", *(where for where in WHERE.values() if where in frame)]]
    marks = {STARTS: Mark(sign=STARTS), PULL_FAILS: Mark(1, "×"), NEVER_PULLS: Mark(3, "–")}
    words = [
        f"{policy}: {', '.join(f'{by_image[where]} if it is {where}' for where in WHERE.values())}"
        for policy, by_image in found.items()
    ]
    starts = [policy for policy, by_image in found.items() if by_image[WHERE[PRESENT]] == STARTS]
    finding = f"with the image on the node, the Pod starts under {listed(starts) or 'no policy'}"
    title = "The registry is down. Does the Pod start?"
    return Shown(verdicts(frame.set_index("policy"), title, finding, marks), "; ".join(words))


def does_it_start(lab, found) -> str:
    """A choice of "pull"."""
    return {
        STARTS: "yes, the image is on the node",
        PULL_FAILS: "no: ErrImagePull",
    }.get(found["Always"][WHERE[PRESENT]], "no: the kubelet rejects the Pod")


SECRET_EVENT = "FailedToRetrieveImagePullSecret"


def c18(lab, present, absent) -> Shown:
    """A Secret missing from imagePullSecrets neither stops a Pod whose image is present nor gets
    reported. An event names it only when a pull fails."""
    wait_for_event(lab.connection, absent.name, "Failed", timeout_seconds=SECONDS)
    poll(lambda: _named(lab, absent), timeout_seconds=patient(10))
    rows, words = [], []
    for pod in (present, absent):
        told, phase = _named(lab, pod), pod.phase
        rows.append({"Pod": pod.name, "phase": phase, "its events about the Secret": told or "–"})
        runs = "runs" if phase == "Running" else f"is {phase}"
        words.append(
            f"{pod.name} {runs}, and {'an event' if told else 'no event'} names the Secret"
        )
    return Shown(frame_of(rows), "; ".join(words))


def _named(lab, pod) -> str:
    """What an event of the Pod says about the Secret; "" if none does."""
    [secret] = pod.raw["spec"]["imagePullSecrets"]
    said = [
        each["message"]
        for each in _events(lab, pod.name)
        if each["reason"] == SECRET_EVENT and secret["name"] in each["message"]
    ]
    return said[0] if said else ""


# --- Ports ----------------------------------------------------------------------------------------

ASKED_TIMES = 60


def c23(lab, client, old, new) -> Shown:
    """containerPort only informs: a port that isn't listed still answers. A named port lets a
    Service target a different number in each Pod."""
    listed_ports = [each["containerPort"] for each in old.raw["spec"]["containers"][0]["ports"]]
    unlisted = client.exec("app", f"wget -q -O - http://{old.address}:7070").stdout.strip()
    ports = _target_ports(lab, "ports")
    answers: set[str] = set()
    for _ in range(ASKED_TIMES):
        answers.add(client.exec("app", "wget -q -O - http://ports").stdout.strip())
        if answers >= {"old", "new"}:
            break
    answers.discard("")
    rows = [
        {
            "Pod": each.name,
            "listed": ", ".join(
                str(port["containerPort"]) for port in each.raw["spec"]["containers"][0]["ports"]
            ),
            "the Service's target": str(ports.get(each.name, "none")),
            "it answers through the Service": "yes" if each.name in answers else "no",
        }
        for each in (old, new)
    ]
    answer = "answers" if unlisted == "old" and 7070 not in listed_ports else "doesn't answer"
    where = " and ".join(f"{ports.get(each.name, 'no port')} of {each.name}" for each in (old, new))
    through = listed(sorted(answers, reverse=True)) or "nobody"
    return Shown(
        frame_of(rows),
        f"port 7070, which is not listed, {answer}; targetPort web is {where}, and through the "
        f"Service {through} answered",
    )


def _target_ports(lab, service: str) -> dict[str, int]:
    """The port that a Service targets in each Pod, as the endpoint slices have it."""

    def found() -> dict[str, int]:
        slices = lab.connection.list(
            "EndpointSlice", label_selector=f"kubernetes.io/service-name={service}"
        )["items"]
        return {
            each["targetRef"]["name"]: port["port"]
            for one in slices
            for port in one.get("ports") or ()
            for each in one.get("endpoints") or ()
            if each["conditions"].get("ready")
        }

    poll(lambda: len(found()) >= 2, timeout_seconds=patient(SECONDS))
    return found()


# --- Labels ---------------------------------------------------------------------------------------


def pods_of(lab, app: str, count: int = 2) -> list[str]:
    """The names of an app's Pods, as soon as there are so many, and all are endpoints."""
    poll(lambda: len(_target_ports(lab, app)) == count, timeout_seconds=patient(SECONDS))
    return sorted(_target_ports(lab, app))


@dataclass(frozen=True)
class Members:
    """Who belongs to the Deployment web: the Pods that its ReplicaSet owns, those that its Service
    sends traffic to, and those that are running at all."""

    owned: tuple[str, ...]
    served: tuple[str, ...]
    running: tuple[str, ...]


def members(lab, left: str) -> Members:
    """Who belongs to web, once the Pod that's left has been replaced."""
    poll(lambda: left not in _members(lab).owned, timeout_seconds=patient(SECONDS))

    def settled() -> bool:
        now = _members(lab)
        return len(now.owned) == 2 and set(now.served) == set(now.owned)

    poll(settled, timeout_seconds=patient(SECONDS))
    return _members(lab)


def _members(lab) -> Members:
    pods = [
        each
        for each in lab.connection.list("Pod")["items"]
        if each["metadata"]["name"].startswith("web-")
        and not each["metadata"].get("deletionTimestamp")
    ]
    names = {each["metadata"]["name"]: each for each in pods}
    owned = [name for name, each in names.items() if each["metadata"].get("ownerReferences")]
    running = [name for name, each in names.items() if each["status"]["phase"] == "Running"]
    served = _target_ports(lab, "web")
    return Members(tuple(sorted(owned)), tuple(sorted(served)), tuple(sorted(running)))


def how_many_pods(lab, seen: Members, left: str) -> str:
    """A choice of "label"."""
    if len(seen.running) > 2:
        return "3: one more is created"
    return "2: the label is put back" if left in seen.owned else "2: the Pod is replaced"


def c25(lab, seen: Members, annotated: str, labelled: str) -> Shown:
    """Labels select; annotations don't. Changing a label takes a Pod out of its Service and its
    ReplicaSet, which creates a replacement. An annotation changes nothing."""
    rows = [
        {
            "Pod": name,
            "what was done": what,
            "the ReplicaSet's": _is_in(name, seen.owned),
            "gets the Service's traffic": _is_in(name, seen.served),
            "running": _is_in(name, seen.running),
        }
        for name, what in _named_pods(seen, annotated, labelled)
    ]
    new = [name for name in seen.owned if name not in (annotated, labelled)]
    stays = annotated in seen.owned and annotated in seen.served
    words = f"the annotated Pod {'is still' if stays else 'is no longer'} in both"
    left = [
        where
        for where, names in (("the ReplicaSet", seen.owned), ("the Service", seen.served))
        if labelled not in names
    ]
    words += f"; the Pod with another label has left {listed(left) or 'neither'}"
    words += ", and is still running" if labelled in seen.running else ", and has ended"
    words += f"; {len(new)} new Pod{'' if len(new) == 1 else 's'}"
    return Shown(frame_of(rows), words)


def _named_pods(seen: Members, annotated: str, labelled: str) -> Iterator[tuple[str, str]]:
    done = {annotated: "annotation app=other", labelled: "label app=other"}
    for name in sorted({*seen.owned, *seen.served, *seen.running, annotated, labelled}):
        yield name, done.get(name, "nothing: it's new")


def _is_in(name: str, names: Sequence[str]) -> str:
    return "yes" if name in names else "no"


# --- What can be changed --------------------------------------------------------------------------

APP = {"name": "app"}
# What is changed of the running Pod plain, each by a patch.
CHANGES: dict[str, dict] = {
    "metadata.labels": {"metadata": {"labels": {"app": "plain"}}},
    "metadata.annotations": {"metadata": {"annotations": {"owner": "till-team"}}},
    "activeDeadlineSeconds": {"spec": {"activeDeadlineSeconds": 36000}},
    "one more toleration": {
        "spec": {"tolerations": [{"key": "example.com/cleaning", "operator": "Exists"}]}
    },
    "env": {"spec": {"containers": [{**APP, "env": [{"name": "COLOR", "value": "red"}]}]}},
    "command": {"spec": {"containers": [{**APP, "command": ["sleep", "60"]}]}},
    "ports": {"spec": {"containers": [{**APP, "ports": [{"containerPort": 80}]}]}},
    "livenessProbe": {
        "spec": {"containers": [{**APP, "livenessProbe": {"exec": {"command": ["true"]}}}]}
    },
    "resources.limits": {
        "spec": {"containers": [{**APP, "resources": {"limits": {"cpu": "500m"}}}]}
    },
    "securityContext.runAsUser": {"spec": {"securityContext": {"runAsUser": 1000}}},
    "volumes": {"spec": {"volumes": [{"name": "more", "emptyDir": {}}]}},
    "nodeSelector": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}},
    "serviceAccountName": {"spec": {"serviceAccountName": "clerk"}},
    "restartPolicy": {"spec": {"restartPolicy": "Never"}},
    "dnsPolicy": {"spec": {"dnsPolicy": "Default"}},
    "terminationGracePeriodSeconds": {"spec": {"terminationGracePeriodSeconds": 60}},
}
ACCEPTED = "accepted"


def changes(lab, pod) -> dict[str, str]:
    """What the API server says to each change of a running Pod: "accepted", or its reason."""
    found = {}
    for field, patch in CHANGES.items():
        try:
            lab.connection.patch("Pod", pod.name, patch, patch_type="strategic")
            found[field] = ACCEPTED
        except Refused as error:
            found[field] = error.reason
    return found


def settle(lab, before, pod) -> None:
    """Waits until a Pod isn't what it was: another one, or with a container that was restarted."""
    app = before.container("app")

    def has_changed(now) -> bool:
        new = now.container("app")
        return now.uid != before.uid or (new.state == "running" and new.restarts > app.restarts)

    poll(lambda: has_changed(pod.now()), timeout_seconds=patient(SECONDS))


def image_fate(lab, before, now) -> str:
    """A choice of "image"."""
    if now.raw["metadata"]["uid"] != before.raw["metadata"]["uid"]:
        return "a new Pod replaces it"
    restarted = now.container("app").restarts > before.container("app").restarts
    return "its container restarts" if restarted else "it's rejected"


def o3(lab, answers, before, now) -> Shown:
    """Most of a running Pod's spec is immutable; a changed image restarts that one container in
    place, with the same Pod, address and uid."""
    rows = [{"change": field, "API server": said} for field, said in answers.items()]
    same = {
        "uid": now.raw["metadata"]["uid"] == before.raw["metadata"]["uid"],
        "address": now.address == before.address,
    }
    images = [each.raw["spec"]["containers"][0]["image"] for each in (before, now)]
    times_ = now.container("app").restarts - before.container("app").restarts
    kept = [name for name, is_same in same.items() if is_same]
    moved = [name for name, is_same in same.items() if not is_same]
    accepted = [field for field, said in answers.items() if said == ACCEPTED]
    reasons = sorted({said for said in answers.values() if said != ACCEPTED})
    words = f"{len(answers) - len(accepted)} of {len(answers)} changes are rejected"
    words += f" as {listed(reasons)}" if reasons else ""
    words += f", and accepted are {listed(accepted) or 'none'}; "
    words += "a new image restarts" if times_ and images[0] != images[1] else "no image restarts"
    words += f" the container, with the same {listed(kept) or 'nothing'}"
    words += f" and another {listed(moved)}" if moved else ""
    return Shown(frame_of(rows), words)


# --- A static Pod ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mirror:
    """What is seen of a static Pod: its mirror's uid, owner and source, and its process."""

    uid: str
    owner: str
    source: str
    process: tuple[int, int]
    restarts: int


def mirror_of(lab, pod) -> Mirror:
    """What is seen of a static Pod now."""
    raw = pod.raw
    meta = raw["metadata"]
    notes = meta["annotations"]
    [status] = raw["status"]["containerStatuses"]
    # The node knows the Pod by this hash: the mirror's uid is the API's alone.
    there = lab.node.processes(notes["kubernetes.io/config.hash"])
    process = first_process(there, status["containerID"].rpartition("/")[2])
    if process is None:
        raise LabError(
            f"The static Pod {pod.name} has no process on the node.",
            f"{len(there)} processes of its cgroup are in another container",
            "Run the cell again.",
        )
    return Mirror(
        meta["uid"],
        meta["ownerReferences"][0]["kind"],
        notes["kubernetes.io/config.source"],
        process.identity,
        status["restartCount"],
    )


def mirror_again(lab, pod, before: Mirror) -> Mirror:
    """The same as soon as the kubelet has put another mirror into the API, with a status."""

    def there() -> list[Mirror]:
        try:
            now = mirror_of(lab, pod)
        except (LabError, KeyError):  # none yet, or one without a status
            return []
        return [now] if now.uid != before.uid else []

    if found := poll(there, timeout_seconds=patient(MIRROR_SECONDS)):
        return found[0]
    try:
        return mirror_of(lab, pod)
    except KeyError as error:
        raise LabError(
            f"The mirror of the static Pod {pod.name} has no status yet.",
            f"it has no field {error}",
            advice("Run the cell again."),
        ) from error


def o20(lab, before: Mirror, after: Mirror) -> Shown:
    """A static Pod is a file on the node: the API shows a mirror Pod, and deleting the mirror stops
    nothing."""
    rows = [
        {
            "": when,
            "owner": each.owner,
            "source": each.source,
            "mirror's uid": each.uid,
            "process on the node": str(each.process[0]),
            "restarts": each.restarts,
        }
        for when, each in (("before the deletion", before), ("after it", after))
    ]
    mirror = "another mirror" if after.uid != before.uid else "the same mirror"
    process = "the same process" if after.process == before.process else "another process"
    return Shown(
        frame_of(rows),
        f"the mirror comes from a {before.source} and belongs to the {before.owner}; after the "
        f"deletion there is {mirror}, and {process} is running",
    )
