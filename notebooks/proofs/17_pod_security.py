"""Lab 17: what each Pod Security level rejects, where its message lands, and what the lines of a
security context change for the process."""

import copy
import json
import re
import time
from collections.abc import Mapping

import yaml

from labhelpers import paths
from labhelpers.charts.verdicts import Mark, verdicts
from labhelpers.errors import Refused
from labhelpers.outcomes import Shown, listed
from labhelpers.polling import poll

MANIFESTS = paths.repository() / "notebooks" / "manifests" / "17-pod-security"
LEVELS = ("privileged", "baseline", "restricted")
AUDIT_LOG = "/var/log/kubernetes/audit*.log"  # the star: it may have been rotated just now
AUDIT, ENFORCE = (f"pod-security.kubernetes.io/{each}" for each in ("audit-violations", "enforce"))
LOG_SECONDS, START_SECONDS = 20.0, 60.0
STAYS_SECONDS = 3.0

POD, CONTAINER = ("spec",), ("spec", "containers", 0)
POD_CONTEXT, CONTEXT = (*POD, "securityContext"), (*CONTAINER, "securityContext")

# The lines of best.yaml's security context: what the reader knows each by, and where it stands.
LINES = {
    "runAsNonRoot: true": (*POD_CONTEXT, "runAsNonRoot"),
    "runAsUser: 1000": (*POD_CONTEXT, "runAsUser"),
    "runAsGroup: 3000": (*POD_CONTEXT, "runAsGroup"),
    "seccompProfile: RuntimeDefault": (*POD_CONTEXT, "seccompProfile"),
    "allowPrivilegeEscalation: false": (*CONTEXT, "allowPrivilegeEscalation"),
    "readOnlyRootFilesystem: true": (*CONTEXT, "readOnlyRootFilesystem"),
    "capabilities drop: [ALL]": (*CONTEXT, "capabilities"),
}
USERS = "hostUsers: false"
# What restricted asks for, as the claim has it.
ASKED = (
    "runAsNonRoot: true",
    "seccompProfile: RuntimeDefault",
    "allowPrivilegeEscalation: false",
    "capabilities drop: [ALL]",
)

TMP = {"name": "tmp", "emptyDir": {}}
HOST = {"name": "host", "hostPath": {"path": "/var/log"}}
NFS = {"name": "nfs", "nfs": {"server": "localhost", "path": "/"}}
PROBE = {"httpGet": {"host": "localhost", "port": 80}}
# Each is best.yaml with one change; None takes the line out.
CHANGES = {
    "nothing changed": {},
    "no line of security context": dict.fromkeys((POD_CONTEXT, CONTEXT)),
    "emptyDir volume": {(*POD, "volumes"): [TMP]},
    "readOnlyRootFilesystem left out": {LINES["readOnlyRootFilesystem: true"]: None},
    "safe sysctl": {
        (*POD_CONTEXT, "sysctls"): [
            {"name": "net.ipv4.ip_unprivileged_port_start", "value": "1024"}
        ]
    },
    "capabilities add: [NET_BIND_SERVICE]": {
        (*CONTEXT, "capabilities", "add"): ["NET_BIND_SERVICE"]
    },
    "runAsNonRoot left out": {LINES["runAsNonRoot: true"]: None},
    "runAsUser: 0": {LINES["runAsUser: 1000"]: 0},
    "capabilities add: [CHOWN]": {(*CONTEXT, "capabilities", "add"): ["CHOWN"]},
    "allowPrivilegeEscalation: true": {LINES["allowPrivilegeEscalation: false"]: True},
    "seccompProfile left out": {LINES["seccompProfile: RuntimeDefault"]: None},
    "nfs volume": {(*POD, "volumes"): [NFS]},
    "capabilities add: [NET_ADMIN]": {(*CONTEXT, "capabilities", "add"): ["NET_ADMIN"]},
    "seccompProfile: Unconfined": {LINES["seccompProfile: RuntimeDefault"]: {"type": "Unconfined"}},
    "hostNetwork: true": {(*POD, "hostNetwork"): True},
    "hostPID: true": {(*POD, "hostPID"): True},
    "hostPort: 8080": {(*CONTAINER, "ports"): [{"containerPort": 80, "hostPort": 8080}]},
    "hostPath volume": {(*POD, "volumes"): [HOST]},
    "unsafe sysctl": {(*POD_CONTEXT, "sysctls"): [{"name": "net.core.somaxconn", "value": "1024"}]},
    "probe with host": {(*CONTAINER, "livenessProbe"): PROBE},
    "privileged: true": {
        (*CONTEXT, "privileged"): True,
        LINES["allowPrivilegeEscalation: false"]: None,
    },
}


# --- Asking admission -----------------------------------------------------------------------------


def rules(message: str) -> list[str]:
    """The rules that a message of Pod Security names, without their explanations.

    >>> port = 'hostPort (container "app" uses hostPort 80)'
    >>> rules(f'violates PodSecurity "baseline:latest": {port}, privileged (a, b)')
    ['hostPort', 'privileged']
    >>> rules("pods is forbidden: no quota")
    []
    """
    found = re.search(r'violate[sd]? PodSecurity "[^"]*": (.*)', message, re.DOTALL)
    if not found:
        return []
    bare = re.sub(r"\s*\([^()]*\)", "", found[1])
    return [each.strip() for each in bare.split(", ") if each.strip()]


def _best() -> dict:
    return yaml.safe_load((MANIFESTS / "best.yaml").read_text(encoding="utf-8"))


def _changed(body: dict, changes: Mapping) -> dict:
    """A copy of a manifest with some fields set, or taken out where the value is None."""
    body = copy.deepcopy(body)
    for path, value in changes.items():
        at = body
        for step in path[:-1]:
            at = at[step] if isinstance(step, int) else at.setdefault(step, {})
        if value is None:
            at.pop(path[-1], None)
        else:
            at[path[-1]] = copy.deepcopy(value)
    return body


def _value(body: dict, path: tuple) -> object:
    for step in path:
        body = body[step]
    return body


def _ask(lab, body: dict, level: str) -> list[str]:
    """The rules that a dry run breaks in the lab's namespace with this level; none: admitted.

    A Pod that's rejected for any other reason is an error: it would say nothing about the level.
    """
    body = copy.deepcopy(body)
    body["metadata"]["namespace"] = f"{lab.namespace}-{level}"
    try:
        lab.connection.apply(body, dry_run=True)
    except Refused as error:
        if found := rules(error.message):
            return found
        raise
    return []


# --- Without a label, and with one ----------------------------------------------------------------


def l9(lab) -> Shown:
    """A namespace without Pod Security labels admits a privileged Pod."""
    own = lab.connection.get("Namespace", lab.namespace)["metadata"].get("labels", {})
    labels = sorted(key for key in own if key.startswith("pod-security.kubernetes.io/"))
    body = yaml.safe_load((MANIFESTS / "privileged.yaml").read_text(encoding="utf-8"))
    body["metadata"]["namespace"] = lab.namespace
    try:
        lab.connection.apply(body, dry_run=True)
        warned = "with a warning" if lab.connection.warnings else "without a warning"
        said = f"admits the privileged Pod {warned}"
    except Refused as error:
        said = f"rejects the privileged Pod: {error.message}"
    has = f"with {listed(labels)}" if labels else "without Pod Security labels"
    table = [{"Pod Security labels": listed(labels) or "none", "the privileged Pod": said}]
    return Shown(_frame(table), f"the namespace {has} {said}")


def default_is(lab, said: str) -> str:
    """Which of the choices of "default" a proof's sentence means."""
    if "admits" not in str(said):
        return "it's rejected: Forbidden"
    return "it's admitted, with a warning" if "with a warning" in str(said) else "it's admitted"


def l1(lab, refusal) -> Shown:
    """enforce rejects a Pod that breaks the level, and names every broken rule."""
    named = rules(refusal.message)
    body = yaml.safe_load((MANIFESTS / "host-network.yaml").read_text(encoding="utf-8"))
    body["metadata"]["namespace"] = lab.namespace
    # The same Pod with everything but the host's network set right, and so on: one rule at a time.
    broken = {
        "host namespaces": "hostNetwork: true",
        "runAsNonRoot != true": "runAsNonRoot left out",
        "allowPrivilegeEscalation != false": "allowPrivilegeEscalation: true",
        "seccompProfile": "seccompProfile left out",
        "unrestricted capabilities": "capabilities add: [CHOWN]",
    }
    alone = {rule for rule, change in broken.items() if rule in _own(lab, CHANGES[change])}
    missed = sorted(alone - set(named))
    stored = any(
        each["metadata"]["name"] == "host-network"
        for each in lab.connection.list("Pod", lab.namespace)["items"]
    )
    words = f"enforce names {len(named)} broken rules: {listed(named) or 'none'}"
    words += f"; it doesn't name {listed(missed)}" if missed else "; no broken rule is missing"
    words += "; the Pod is stored" if stored else "; no Pod is stored"
    table = [
        {
            "rule": rule,
            "broken alone": "rejected" if rule in alone else "",
            "in the message": "named" if rule in named else "missing",
        }
        for rule in dict.fromkeys([*named, *broken])
    ]
    return Shown(_frame(table), words)


def _own(lab, changes: Mapping) -> list[str]:
    """The rules that best.yaml with a change breaks in the lab's own namespace, as labelled."""
    body = _changed(_best(), changes)
    body["metadata"].update(name="one-change", namespace=lab.namespace)
    try:
        lab.connection.apply(body, dry_run=True)
    except Refused as error:
        return rules(error.message)
    return []


def l2(lab, pod, warnings) -> Shown:
    """warn returns a warning to the client and lets the Pod pass."""
    named = [rule for each in warnings for rule in rules(each)]
    phase = pod.phase
    words = (
        f"the client got a warning that names {len(named)} broken rules"
        if named
        else "the client got no warning"
    )
    passed = "the Pod is running" if phase == "Running" else f"the Pod is {phase}"
    table = [{"warning": each} for each in warnings] or [{"warning": "none"}]
    return Shown(_frame(table), f"{words}, and {passed}")


def l3(lab, pod) -> Shown:
    """audit writes an annotation into the API server's audit log."""
    began = lab.connection.get("Namespace", lab.namespace)["metadata"]["creationTimestamp"]

    def annotated() -> list[dict]:
        text = lab.node.run(f'grep -hF \'"namespace":"{lab.namespace}"\' {AUDIT_LOG} || true')
        events = map(json.loads, text.splitlines())
        return [
            each
            for each in events
            if _is_about(each, pod, began) and AUDIT in each.get("annotations", {})
        ]

    events = poll(annotated, timeout_seconds=LOG_SECONDS, every_seconds=0.3)
    said = [each["annotations"][AUDIT] for each in events]
    table = [{"annotation": AUDIT, "says": each} for each in said[:1]]
    if not said:
        return Shown(
            _frame([{"annotation": AUDIT, "says": "not in the log"}]),
            f"the audit log has no annotation {AUDIT} about the Pod",
        )
    code = events[-1].get("responseStatus", {}).get("code")
    passed = "admitted" if code in (200, 201) else f"answered with {code}"
    return Shown(
        _frame(table),
        f"the audit log has the annotation {AUDIT}; it names {len(rules(said[0]))} broken rules, "
        f"and the request was {passed}",
    )


def _is_about(event: dict, pod, began: str) -> bool:
    about = event.get("objectRef", {})
    return (
        about.get("resource") == "pods"
        and about.get("name") == pod.name
        and about.get("namespace") == pod.connection.namespace
        and event.get("verb") in ("create", "patch")
        and not about.get("subresource")
        and event["requestReceivedTimestamp"][:19] >= began[:19]
    )


def typo(lab, key: str, value: str) -> Shown:
    """What the API server says when a namespace gets this label; nothing is stored."""
    body = {"metadata": {"labels": {key: value}}}
    was = lab.connection.get("Namespace", lab.namespace)["metadata"].get("labels", {})
    try:
        lab.connection.patch("Namespace", lab.namespace, body)
    except Refused as error:
        return Shown(error.message, f"{key.rpartition('/')[2]}={value} is rejected: {error.reason}")
    warnings = list(lab.connection.warnings)
    lab.connection.patch("Namespace", lab.namespace, {"metadata": {"labels": {key: was.get(key)}}})
    heard = f"with {len(warnings)} warnings" if warnings else "without a warning"
    text = "\n".join(warnings) or "no warning"
    return Shown(text, f"{key.rpartition('/')[2]}={value} is accepted {heard}")


# --- The matrix -----------------------------------------------------------------------------------


def l4(lab) -> Shown:
    """A matrix of specs against levels, from real admission."""
    answers = matrix(lab)
    rows, first = [], {}
    for name, by_level in answers.items():
        stops = next((level for level in LEVELS if by_level[level]), "")
        first.setdefault(stops, []).append(name)
        names = {rule for each in by_level.values() for rule in each}
        rows.append(
            {
                "best.yaml with this change": name,
                **{level: "rejects" if by_level[level] else "admits" for level in LEVELS},
                "broken rule": listed(sorted(names)) if names else "",
            }
        )
    loose = [
        name
        for name, by_level in answers.items()
        if by_level["baseline"] and not by_level["restricted"]
    ]
    counts = [
        f"{level} admits {sum(not each[level] for each in answers.values())}" for level in LEVELS
    ]
    finding = f"of {len(answers)} specs {listed(counts)}"
    words = f"{finding}; baseline rejects {listed(first.get('baseline', ['nothing']))}"
    words += f"; restricted rejects {listed(first.get('restricted', ['nothing']))} as well"
    words += f"; only baseline rejects {listed(loose)}" if loose else ""
    title = "Which change of best.yaml does which level reject?"
    frame = _frame(rows).set_index("best.yaml with this change")
    marks = {"admits": Mark(), "rejects": Mark(1, "×")}
    return Shown(verdicts(frame, title, finding, marks, beside="broken rule"), words)


def matrix(lab) -> dict[str, dict[str, list[str]]]:
    """The broken rules of each spec at each level, from dry runs."""
    best = _best()
    return {
        name: {level: _ask(lab, _changed(best, changes), level) for level in LEVELS}
        for name, changes in CHANGES.items()
    }


def first_to_reject(lab, name: str) -> str:
    """The lowest level that rejects one spec of the matrix."""
    body = _changed(_best(), CHANGES[name])
    return next((level for level in LEVELS if _ask(lab, body, level)), "no level")


# --- A Deployment ---------------------------------------------------------------------------------


def l5(lab, web, old) -> Shown:
    """Labels act when Pods are created: a Deployment is accepted and its Pods are rejected. Pods
    that are already there go on."""
    label = lab.connection.get("Namespace", lab.namespace)["metadata"]["labels"].get(ENFORCE)
    raw = web.raw
    # The controller sends its event just after it has changed the condition.
    events = poll(lambda: _rejections(lab), timeout_seconds=LOG_SECONDS)
    failed = next(
        (
            each
            for each in raw["status"].get("conditions", ())
            if each["type"] == "ReplicaFailure" and each["status"] == "True"
        ),
        None,
    )
    pods = [
        each["metadata"]["name"]
        for each in lab.connection.list("Pod", lab.namespace)["items"]
        if each["metadata"].get("labels", {}).get("app") == "web"
    ]
    kinds = sorted({each["involvedObject"]["kind"] for each in events})
    table = [
        {"object": "Deployment web", "what was seen": "accepted"},
        {"object": "its Pods", "what was seen": f"{len(pods)} of {raw['spec']['replicas']}"},
        {"object": "condition ReplicaFailure", "what was seen": (failed or {}).get("message", "")},
        {"object": f"Pod {old.name}", "what was seen": f"{old.phase}, with the label {label}"},
    ]
    where = (
        "the condition ReplicaFailure" if failed and rules(failed["message"]) else "no condition"
    )
    return Shown(
        _frame(table),
        f"the Deployment is accepted and has {len(pods)} of {raw['spec']['replicas']} Pods; "
        f"the broken rules are in {where} and in events of "
        f"{listed(kinds) or 'nothing'}; the Pod that was there before the label is "
        f"{'still running' if old.phase == 'Running' else old.phase}",
    )


def _rejections(lab) -> list[dict]:
    """The events in which Pod Security rejected a controller's Pod."""
    return [
        each
        for each in lab.connection.list("Event", lab.namespace)["items"]
        if each["reason"] == "FailedCreate" and rules(each.get("message", ""))
    ]


def what_becomes_of(lab, web) -> str:
    """Which of the choices of "deployment" happened, once the Deployment exists."""
    pods = [
        each["status"].get("phase")
        for each in lab.connection.list("Pod", lab.namespace)["items"]
        if each["metadata"].get("labels", {}).get("app") == "web"
    ]
    if not pods:
        return "it's accepted, and no Pod appears"
    return "it's accepted, and its Pods stay Pending" if "Pending" in pods else "its Pods run"


# --- The security context, line by line -----------------------------------------------------------


def l8(lab) -> Shown:
    """The best-practice security context passes restricted, and without any of the four lines that
    restricted asks for it fails."""
    best = _best()
    cases = {"every line": {}, **{f"without {line}": {path: None} for line, path in LINES.items()}}
    exempt = {LINES["runAsNonRoot: true"]: None, (*POD, "hostUsers"): False}
    cases[f"without runAsNonRoot: true, with {USERS}"] = exempt
    named = {
        case: _ask(lab, _changed(best, changes), "restricted") for case, changes in cases.items()
    }
    rows = [
        {
            "best.yaml": case,
            "restricted": "rejects" if found else "admits",
            "broken rule": listed(found),
        }
        for case, found in named.items()
    ]
    needed = [line for line in LINES if named[f"without {line}"]]
    free = [line for line in LINES if line not in needed]
    whole = "rejects" if named["every line"] else "admits"
    users = "rejects" if named[f"without runAsNonRoot: true, with {USERS}"] else "admits"
    return Shown(
        _frame(rows),
        f"restricted {whole} best.yaml; it rejects best.yaml without any of {len(needed)} lines: "
        f"{listed(needed) or 'none'}; it doesn't ask for {listed(free) or 'any other'}; "
        f"with {USERS} it {users} best.yaml without runAsNonRoot",
    )


def needed(lab, line: str) -> str:
    """Which of the choices of "read-only" is right, from a dry run."""
    found = _ask(lab, _changed(_best(), {LINES[line]: None}), "restricted")
    return "restricted rejects the Pod" if found else "all three levels still admit it"


def judge(lab, lines: list[str]) -> Shown:
    """What the three levels say about best.yaml with these lines of its security context only."""
    changes = {path: None for line, path in LINES.items() if line not in lines}
    if USERS in lines:
        changes[*POD, "hostUsers"] = False
    body = _changed(_best(), changes)
    answers = {level: _ask(lab, body, level) for level in LEVELS}
    rows = [
        {"level": level, "verdict": "rejects" if found else "admits", "broken rule": listed(found)}
        for level, found in answers.items()
    ]
    words = [
        f"{level} {'rejects: ' + listed(found) if found else 'admits'}"
        for level, found in answers.items()
    ]
    return Shown(_frame(rows), f"with {len(lines)} lines: {'; '.join(words)}")


def switches(lab) -> dict[str, bool]:
    """The widget's lines: those of best.yaml but one, so that there's something to find."""
    return {**{line: line != "runAsNonRoot: true" for line in LINES}, USERS: False}


def with_one_line(lab) -> dict[str, dict]:
    """Runs plain.yaml once as it is, and once with each line of best.yaml alone; says what the
    process sees.

    Returns:
        For each line: the fields of /proc/1/status, and what writing to / says.
    """
    plain = yaml.safe_load((MANIFESTS / "plain.yaml").read_text(encoding="utf-8"))
    best, pods = _best(), {}
    cases = {"no line": {}}
    # runAsNonRoot alone starts no container: busybox runs as root. It's a check and sets nothing.
    for line, path in LINES.items():
        if line not in ("runAsNonRoot: true", "runAsGroup: 3000"):
            cases[line] = {path: _value(best, path)}
    cases["runAsUser: 1000"][LINES["runAsGroup: 3000"]] = 3000
    for number, (case, changes) in enumerate(cases.items()):
        body = _changed(plain, changes)
        body["metadata"].update(name=f"line-{number}", namespace=lab.namespace)
        lab.connection.apply(body)
        pods[case] = lab.pod(f"line-{number}")
    names = " ".join(each.name for each in pods.values())
    lab.transcript.note(f"kubectl wait --for=condition=Ready pod {names}")
    for pod in pods.values():
        pod.wait_until("Ready", timeout_seconds=START_SECONDS)
    seen = {case: _sees(pod) for case, pod in pods.items()}
    seen["runAsUser: 1000, runAsGroup: 3000"] = seen.pop("runAsUser: 1000")
    return seen


def _sees(pod) -> dict:
    status = pod.exec("app", ["cat", "/proc/1/status"]).stdout
    fields = {
        name: value.split()
        for name, _, value in (each.partition(":") for each in status.splitlines())
    }
    wrote = pod.exec("app", ["touch", "/probe"])
    answer = wrote.stderr.strip().rpartition(": ")[2] if wrote.returncode else "works"
    return {
        "uid": fields["Uid"][0],  # a name, not an amount: no thousands separators
        "gid": fields["Gid"][0],
        "CapEff": fields["CapEff"][0],
        "NoNewPrivs": int(fields["NoNewPrivs"][0]),
        "Seccomp": int(fields["Seccomp"][0]),
        "write to /": answer,
    }


def l6(lab, seen) -> Shown:
    """runAsUser and runAsGroup are shown as the process sees them; readOnlyRootFilesystem gives
    EROFS. runAsNonRoot sets nothing: it's a check."""
    user, plain = seen["runAsUser: 1000, runAsGroup: 3000"], seen["no line"]
    read_only = seen["readOnlyRootFilesystem: true"]
    columns = ("uid", "gid", "write to /")
    rows = [{"plain.yaml with": case, **{c: row[c] for c in columns}} for case, row in seen.items()]
    answer = read_only["write to /"]
    can = "can write to /" if answer == "works" else f"can't write to /: {answer}"
    return Shown(
        _frame(rows),
        f"the process is uid {plain['uid']} and gid {plain['gid']} without a line, and uid "
        f"{user['uid']} and gid {user['gid']} with runAsUser and runAsGroup; with "
        f"readOnlyRootFilesystem uid {read_only['uid']} {can}; {_non_root(lab)}",
    )


def _non_root(lab) -> str:
    """What becomes of an image that runs as root with runAsNonRoot and no runAsUser."""
    plain = yaml.safe_load((MANIFESTS / "plain.yaml").read_text(encoding="utf-8"))
    body = _changed(plain, {LINES["runAsNonRoot: true"]: True})
    body["metadata"].update(name="non-root", namespace=lab.namespace)
    lab.connection.apply(body)
    pod = lab.pod("non-root")

    def decided(now) -> bool:
        return now.container("app").reason == "CreateContainerConfigError" or now.phase == "Running"

    pod.wait_until(decided, timeout_seconds=START_SECONDS)
    now = pod.now()
    if now.phase == "Running":
        return "with runAsNonRoot alone root runs"
    return f"with runAsNonRoot alone root isn't started: {now.container('app').reason}"


def l7(lab, seen) -> Shown:
    """capabilities drop ALL leaves CapEff zero; allowPrivilegeEscalation false sets NoNewPrivs;
    seccomp RuntimeDefault is mode 2."""
    columns = ("uid", "CapEff", "NoNewPrivs", "Seccomp")
    rows = [{"plain.yaml with": case, **{c: row[c] for c in columns}} for case, row in seen.items()]
    plain, drop = seen["no line"], seen["capabilities drop: [ALL]"]
    words = f"uid {plain['uid']} has {_caps(plain)} without a line, and uid {drop['uid']} has "
    words += f"{_caps(drop)} with drop ALL"
    for line, field in (
        ("allowPrivilegeEscalation: false", "NoNewPrivs"),
        ("seccompProfile: RuntimeDefault", "Seccomp"),
    ):
        words += f"; {line} turns {field} from {plain[field]} to {seen[line][field]}"
    return Shown(_frame(rows), words)


def _caps(row: dict) -> str:
    count = int(row["CapEff"], 16).bit_count()
    return f"{count} capabilities" if count else "no capability"


def on_the_node(lab, pod) -> Shown:
    """Which user a process is in its container, and on the node."""
    inside = int(pod.exec("app", ["id", "-u"]).stdout)
    outside = pod.container("app").process.uid
    where = "an unprivileged uid above 65535" if outside > 65535 else f"uid {outside}"
    rows = [{"in the container": inside, "on the node": str(outside)}]
    return Shown(_frame(rows), f"uid {inside} in the container is {where} on the node")


# --- Sysctls --------------------------------------------------------------------------------------


def o12(lab, unsafe, safe) -> Shown:
    """An unsafe sysctl is rejected by the kubelet, after scheduling, for good; a safe one takes
    effect."""
    name, value = (
        safe.raw["spec"]["securityContext"]["sysctls"][0][key] for key in ("name", "value")
    )
    found = safe.exec("app", ["cat", f"/proc/sys/{name.replace('.', '/')}"]).stdout.strip()
    time.sleep(STAYS_SECONDS)
    now = unsafe.now()
    status = now.raw["status"]
    node = now.raw["spec"].get("nodeName")
    started = [each for each in status.get("containerStatuses", ()) if each.get("containerID")]
    rows = [
        {"Pod": unsafe.name, "phase": now.phase, "reason": status.get("reason", ""), "value": ""},
        {"Pod": safe.name, "phase": safe.phase, "reason": "", "value": found},
    ]
    effect = "takes effect" if found == value else f"doesn't take effect: {found}"
    return Shown(
        _frame(rows),
        f"the Pod with the unsafe sysctl was {'scheduled' if node else 'not scheduled'}, and is "
        f"{now.phase} with the reason {status.get('reason', 'none')}; it "
        f"{'has started a container' if started else 'never started a container'}; "
        f"the safe sysctl {effect}",
    )


def sysctl_fate(lab, pod) -> str:
    """Which of the choices of "sysctl" happened."""
    raw = lab.connection.get("Pod", pod.name)
    if raw["status"].get("reason") == "SysctlForbidden":
        return "it's scheduled, then it fails"
    return (
        "it runs" if raw["status"].get("phase") == "Running" else "it stays Pending: no node fits"
    )


def _frame(rows: list[dict]):
    import pandas

    return pandas.DataFrame(rows)
