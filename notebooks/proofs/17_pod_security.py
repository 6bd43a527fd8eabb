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
from labhelpers.kube import fields
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.polling import poll

MANIFESTS = paths.notebooks() / "manifests" / "17-pod-security"
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
STRICTER = "restricted rejects whatever baseline rejects"
# Each is best.yaml with one change; None takes the line out.
CHANGES = {
    "nothing changed": {},
    "emptyDir volume": {(*POD, "volumes"): [TMP]},
    "readOnlyRootFilesystem left out": {LINES["readOnlyRootFilesystem: true"]: None},
    "safe sysctl": {
        (*POD_CONTEXT, "sysctls"): [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "500"}]
    },
    "capabilities add: [NET_BIND_SERVICE]": {
        (*CONTEXT, "capabilities", "add"): ["NET_BIND_SERVICE"]
    },
    "without a security context": dict.fromkeys((POD_CONTEXT, CONTEXT)),
    "runAsUser: 0, runAsNonRoot left out": {
        LINES["runAsUser: 1000"]: 0,
        LINES["runAsNonRoot: true"]: None,
    },
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
    "probe of another host": {(*CONTAINER, "livenessProbe"): PROBE},
    # allowPrivilegeEscalation: false beside it is Invalid.
    "privileged: true, escalation left out": {
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


def _short(message: str) -> str:
    """A message of Pod Security without its explanations.

    >>> _short('would violate PodSecurity "restricted": privileged (container "a" must not set it)')
    'would violate PodSecurity "restricted": privileged (…)'
    """
    return re.sub(r"\([^()]*\)", "(…)", message)


def _best() -> dict:
    return yaml.safe_load((MANIFESTS / "best.yaml").read_text(encoding="utf-8"))


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
    rejection, warnings = _privileged(lab)
    said = f"admits the privileged Pod {'with' if warnings else 'without'} a warning"
    if rejection:
        said = f"rejects the privileged Pod: {rejection}"
    has = f"with {listed(labels)}" if labels else "without Pod Security labels"
    answer = rejection or f"admitted, {'with a' if warnings else 'no'} warning"
    table = [{"Pod Security labels": listed(labels) or "none", "the privileged Pod": answer}]
    return Shown(frame_of(table), f"the namespace {has} {said}")


def _privileged(lab) -> tuple[str, list[str]]:
    """Why a dry run of privileged.yaml is rejected, and the warnings of one that isn't."""
    body = yaml.safe_load((MANIFESTS / "privileged.yaml").read_text(encoding="utf-8"))
    body["metadata"]["namespace"] = lab.namespace
    try:
        lab.connection.apply(body, dry_run=True)
    except Refused as error:
        return error.message, []
    return "", list(lab.connection.warnings)


def default_is(lab) -> str:
    """Which of the choices of "default" a dry run has for its answer."""
    rejection, warnings = _privileged(lab)
    if rejection:
        return "it's rejected: Forbidden"
    return "it's admitted, with a warning" if warnings else "it's admitted"


def l1(lab, refusal) -> Shown:
    """enforce rejects a Pod that breaks the level, and names every broken rule."""
    named = rules(refusal.message)
    body = yaml.safe_load((MANIFESTS / "host-network.yaml").read_text(encoding="utf-8"))
    body["metadata"]["namespace"] = lab.namespace
    # The same Pod with everything but the host's network set right, and so on: one rule at a time.
    broken = {
        "host namespaces": CHANGES["hostNetwork: true"],
        "runAsNonRoot != true": {LINES["runAsNonRoot: true"]: None},
        "allowPrivilegeEscalation != false": CHANGES["allowPrivilegeEscalation: true"],
        "seccompProfile": CHANGES["seccompProfile left out"],
        "unrestricted capabilities": CHANGES["capabilities add: [CHOWN]"],
    }
    alone = {rule for rule, change in broken.items() if rule in _own(lab, change)}
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
            "in the message": "named" if rule in named else "missing",
            "a Pod that breaks only this": "rejected" if rule in alone else "",
        }
        for rule in dict.fromkeys([*named, *broken])
    ]
    return Shown(frame_of(table), words)


def _own(lab, changes: Mapping) -> list[str]:
    """The rules that best.yaml with a change breaks in the lab's own namespace, as labelled."""
    body = fields.changed(_best(), changes)
    body["metadata"].update(name="one-change", namespace=lab.namespace)
    try:
        lab.connection.apply(body, dry_run=True)
    except Refused as error:
        return rules(error.message)
    return []


def l2(lab, pod, headers) -> Shown:
    """warn returns a warning to the client and lets the Pod pass."""
    texts = [each.replace('\\"', '"').removesuffix('"') for each in headers]
    named = [rule for each in texts for rule in rules(each)]
    phase = pod.phase
    words = (
        f"the client got a warning that names {len(named)} broken rules"
        if named
        else "the client got no warning"
    )
    passed = "the Pod is running" if phase == "Running" else f"the Pod is {phase}"
    table = [{"header": "Warning", "value": _short(each)} for each in headers]
    none = [{"header": "Warning", "value": "not sent"}]
    return Shown(frame_of(table or none), f"{words}, and {passed}")


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
    if not said:
        return Shown(
            frame_of([{"annotation": AUDIT, "says": "not in the log"}]),
            f"the audit log has no annotation {AUDIT} about the Pod",
        )
    last = events[-1]
    code = last.get("responseStatus", {}).get("code")
    passed = "admitted" if code in (200, 201) else f"answered with {code}"
    table = [
        {"in the log": "user", "value": last.get("user", {}).get("username", "")},
        {"in the log": "verb", "value": last["verb"]},
        {"in the log": "answer's code", "value": str(code)},
        {"in the log": f"annotation {AUDIT}", "value": _short(said[-1])},
    ]
    return Shown(
        frame_of(table),
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


# --- The matrix -----------------------------------------------------------------------------------


def l4(lab) -> Shown:
    """A matrix of specs against levels, from real admission."""
    answers = matrix(lab)
    rows = []
    for name, by_level in answers.items():
        rows.append(
            {
                "best.yaml with this change": name,
                **{level: "rejects" if by_level[level] else "admits" for level in LEVELS},
                "broken rule": _by_level(by_level),
            }
        )
    loose = [
        name
        for name, by_level in answers.items()
        if by_level["baseline"] and not by_level["restricted"]
    ]
    admitted = {level: sum(not each[level] for each in answers.values()) for level in LEVELS}
    counts = [f"{level} {count}" for level, count in admitted.items()]
    counts[0] = f"{LEVELS[0]} admits {admitted[LEVELS[0]]}"
    finding = f"of {len(answers)} specs {listed(counts)}"
    words = f"{finding}; "
    words += f"only baseline rejects {listed(loose)}" if loose else STRICTER
    title = "Which change of best.yaml does which level reject?"
    frame = frame_of(rows).set_index("best.yaml with this change")
    marks = {"admits": Mark(), "rejects": Mark(1, "×")}
    return Shown(verdicts(frame, title, finding, marks, beside="broken rule"), words)


def matrix(lab) -> dict[str, dict[str, list[str]]]:
    """The broken rules of each spec at each level, from dry runs."""
    best = _best()
    return {
        name: {level: _ask(lab, fields.changed(best, changes), level) for level in LEVELS}
        for name, changes in CHANGES.items()
    }


def _by_level(named: Mapping[str, list[str]]) -> str:
    """The rules that levels name, and which level it is where two name different ones.

    >>> _by_level({"privileged": [], "baseline": ["privileged"], "restricted": ["privileged", "b"]})
    'privileged; restricted also: b'
    >>> _by_level({"privileged": [], "baseline": [], "restricted": ["b", "a"]})
    'a and b'
    """
    at_first: list[str] = next((each for each in named.values() if each), [])
    later = {rule for each in named.values() for rule in each} - set(at_first)
    words = listed(sorted(at_first)) if at_first else ""
    return words + (f"; restricted also: {listed(sorted(later))}" if later else "")


def first_to_reject(lab, name: str) -> str:
    """The lowest level that rejects one spec of the matrix."""
    body = fields.changed(_best(), CHANGES[name])
    return next((level for level in LEVELS if _ask(lab, body, level)), "no level")


# --- A Deployment ---------------------------------------------------------------------------------


def l5(lab, web, old) -> Shown:
    """Labels act when Pods are created: a Deployment is accepted and its Pods are rejected. Pods
    that are already there keep running."""
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
    # After ten of them Kubernetes writes "(combined from similar events): Error …".
    said = {
        each["involvedObject"]["kind"]: _short(each["message"].rpartition(" events): ")[2])
        for each in events
    }
    kinds = _kinds(events)
    count = f"{len(rules((failed or {}).get('message', '')))} broken rules"
    table = [
        {"where": "Deployment web", "what": f"{len(pods)} of {raw['spec']['replicas']} Pods"},
        {"where": "its condition ReplicaFailure", "what": count if failed else "not there"},
        *({"where": f"event of the {kind}", "what": said[kind]} for kind in kinds),
        {"where": f"Pod {old.name}", "what": f"{old.phase}; the namespace enforces {label}"},
    ]
    where = (
        "the condition ReplicaFailure" if failed and rules(failed["message"]) else "no condition"
    )
    return Shown(
        frame_of(table),
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


def _kinds(events) -> list[str]:
    return sorted({each["involvedObject"]["kind"] for each in events})


def whose_events(lab) -> str:
    """Which of the choices of "deployment" is right, once the Deployment has failed."""
    kinds = _kinds(poll(lambda: _rejections(lab), timeout_seconds=LOG_SECONDS))
    owners = {
        "Deployment": "the Deployment's",
        "ReplicaSet": "the ReplicaSet's",
        "Pod": "the Pods'",
    }
    return listed(owners.get(kind, kind) for kind in kinds) if kinds else "nobody's"


# --- The security context, line by line -----------------------------------------------------------


def l8(lab) -> Shown:
    """The best-practice security context passes restricted, and without any of the four lines that
    restricted asks for it fails."""
    best = _best()
    cases = {"every line": {}, **{f"without {line}": {path: None} for line, path in LINES.items()}}

    def ask(changes: Mapping) -> list[str]:
        return _ask(lab, fields.changed(best, changes), "restricted")

    named = {case: ask(changes) for case, changes in cases.items()}
    needed = [line for line in LINES if named[f"without {line}"]]
    free = [line for line in LINES if line not in needed]
    alone, instead = "only the lines that it asks for", f"the same, {USERS} for runAsNonRoot: true"
    few = {LINES[line]: None for line in free}
    named[alone] = ask(few)
    named[instead] = ask({**few, LINES["runAsNonRoot: true"]: None, (*POD, "hostUsers"): False})
    rows = [
        {
            "best.yaml": case,
            "restricted": "rejects" if found else "admits",
            "broken rule": listed(found),
        }
        for case, found in named.items()
    ]
    says = {case: "rejects" if found else "admits" for case, found in named.items()}
    return Shown(
        frame_of(rows),
        f"restricted {says['every line']} best.yaml; it rejects best.yaml without any of "
        f"{len(needed)} lines: {listed(needed) or 'none'}; with these alone it {says[alone]} the "
        f"Pod, and with {USERS} in place of runAsNonRoot it {says[instead]} the Pod; it doesn't "
        f"ask for {listed(free) or 'any other'}",
    )


def stand_in(lab) -> str:
    """Which of the choices of "stand-in" lets restricted admit best.yaml without runAsNonRoot."""
    without = {LINES["runAsNonRoot: true"]: None}
    lines = {
        "runAsUser: 1000": without,  # best.yaml has it
        USERS: {**without, LINES["runAsUser: 1000"]: None, (*POD, "hostUsers"): False},
    }
    for line, changes in lines.items():
        if not _ask(lab, fields.changed(_best(), changes), "restricted"):
            return line
    return "no line: it has to be there"


def judge(lab, lines: list[str]) -> Shown:
    """What the three levels say about best.yaml with these lines of its security context only."""
    changes = {path: None for line, path in LINES.items() if line not in lines}
    if USERS in lines:
        changes[*POD, "hostUsers"] = False
    body = fields.changed(_best(), changes)
    answers = {level: _ask(lab, body, level) for level in LEVELS}
    rows = [
        {"level": level, "verdict": "rejects" if found else "admits", "broken rule": listed(found)}
        for level, found in answers.items()
    ]
    words = [
        f"{level} {'rejects: ' + listed(found) if found else 'admits'}"
        for level, found in answers.items()
    ]
    out = [line for line in (*LINES, USERS) if line not in lines]
    return Shown(frame_of(rows), f"left out: {listed(out) or 'no line'}; {'; '.join(words)}")


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
        body = fields.changed(plain, changes)
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
        "CapBnd": fields["CapBnd"][0],
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
    reason = _non_root(lab)
    started = "started" if reason is None else f"not started: {reason}"
    rows.append(
        {"plain.yaml with": "runAsNonRoot: true", "uid": "–", "gid": "–", "write to /": started}
    )
    root = "root runs" if reason is None else f"root isn't started: {reason}"
    answer = read_only["write to /"]
    can = "can write to /" if answer == "works" else f"can't write to /: {answer}"
    return Shown(
        frame_of(rows),
        f"the process is uid {plain['uid']} and gid {plain['gid']} without a line, and uid "
        f"{user['uid']} and gid {user['gid']} with runAsUser and runAsGroup; with "
        f"readOnlyRootFilesystem uid {read_only['uid']} {can}; with runAsNonRoot alone {root}",
    )


def _non_root(lab) -> str | None:
    """Why an image that runs as root isn't started with runAsNonRoot and no runAsUser; None if it
    is."""
    plain = yaml.safe_load((MANIFESTS / "plain.yaml").read_text(encoding="utf-8"))
    body = fields.changed(plain, {LINES["runAsNonRoot: true"]: True})
    body["metadata"].update(name="non-root", namespace=lab.namespace)
    lab.connection.apply(body)
    pod = lab.pod("non-root")

    def decided(now) -> bool:
        return now.container("app").reason == "CreateContainerConfigError" or now.phase == "Running"

    pod.wait_until(decided, timeout_seconds=START_SECONDS)
    now = pod.now()
    return None if now.phase == "Running" else now.container("app").reason


def l7(lab, seen) -> Shown:
    """capabilities drop ALL leaves CapEff and CapBnd zero; allowPrivilegeEscalation false sets
    NoNewPrivs; seccomp RuntimeDefault is mode 2."""
    columns = ("uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
    rows = [{"plain.yaml with": case, **{c: row[c] for c in columns}} for case, row in seen.items()]
    plain, drop = seen["no line"], seen["capabilities drop: [ALL]"]
    user = seen["runAsUser: 1000, runAsGroup: 3000"]
    words = f"uid {plain['uid']} has {_caps(plain['CapEff'])} without a line, and uid "
    words += f"{drop['uid']} has {_caps(drop['CapEff'])} with drop ALL; uid {user['uid']} has "
    words += f"{_caps(user['CapEff'])} but may gain {_caps(user['CapBnd'])}; with drop ALL a "
    words += f"process may gain {_caps(drop['CapBnd'])}"
    for line, field in (
        ("allowPrivilegeEscalation: false", "NoNewPrivs"),
        ("seccompProfile: RuntimeDefault", "Seccomp"),
    ):
        words += f"; {line} turns {field} from {plain[field]} to {seen[line][field]}"
    return Shown(frame_of(rows), words)


def _caps(mask: str) -> str:
    count = int(mask, 16).bit_count()
    return f"{count} capabilities" if count else "no capability"


def on_the_node(lab, pod) -> Shown:
    """Which user a process is in its container, and on the node; and whether the container's own
    map of user ids says the same."""
    inside = int(pod.exec("app", ["id", "-u"]).stdout)
    own, first, _ = map(int, pod.exec("app", ["cat", "/proc/self/uid_map"]).stdout.split()[:3])
    with lab.transcript.quietly():  # a look at the node's processes is no line to type
        outside = pod.container("app").process.uid
    where = "an ordinary uid above 65535" if outside > 65535 else f"uid {outside}"
    says = "as" if outside == first + inside - own else "not as"
    rows = [{"uid in the container": str(inside), "uid on the node": str(outside)}]
    return Shown(
        frame_of(rows),
        f"uid {inside} in the container is {where} on the node, {says} its uid_map says",
    )


# --- Sysctls --------------------------------------------------------------------------------------


def o12(lab, unsafe, safe, plain) -> Shown:
    """An unsafe sysctl is rejected by the kubelet, after scheduling, for good; a safe one takes
    effect."""
    name, value = (
        safe.raw["spec"]["securityContext"]["sysctls"][0][key] for key in ("name", "value")
    )
    found, without = (
        each.exec("app", ["cat", f"/proc/sys/{name.replace('.', '/')}"]).stdout.strip()
        for each in (safe, plain)
    )
    time.sleep(STAYS_SECONDS)
    now = unsafe.now()
    status = now.raw["status"]
    node = now.raw["spec"].get("nodeName")
    started = [each for each in status.get("containerStatuses", ()) if each.get("containerID")]
    short = name.rpartition(".")[2]
    rows = [
        {"Pod": unsafe.name, "phase": now.phase, "reason": status.get("reason", ""), short: ""},
        {"Pod": safe.name, "phase": safe.phase, "reason": "", short: found},
        {"Pod": plain.name, "phase": plain.phase, "reason": "", short: without},
    ]
    effect = "takes effect" if found == value != without else "doesn't take effect"
    return Shown(
        frame_of(rows),
        f"the Pod with the unsafe sysctl was {'scheduled' if node else 'not scheduled'}, and is "
        f"{now.phase} with the reason {status.get('reason', 'none')}; it "
        f"{'has started a container' if started else 'never started a container'}; "
        f"the safe sysctl {effect}: {found}, and {_the_same(found, without)} in a Pod without it",
    )


def _the_same(found: str, without: str) -> str:
    return "the same" if found == without else "another value"


def sysctl_fate(lab, pod) -> str:
    """Which of the choices of "sysctl" happens."""

    def decided() -> bool:
        return lab.connection.get("Pod", pod.name)["status"].get("phase") in ("Failed", "Running")

    poll(decided, timeout_seconds=START_SECONDS)
    raw = lab.connection.get("Pod", pod.name)
    if raw["status"].get("reason") == "SysctlForbidden":
        return "it's scheduled, then it fails"
    return (
        "it runs" if raw["status"].get("phase") == "Running" else "it stays Pending: no node fits"
    )
