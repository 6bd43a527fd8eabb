"""Lab 04: who a process is to the kernel, who it is to the API server, and what each lets it do."""

import base64
import contextlib
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence

from labhelpers.charts.canvas import (
    INK,
    LINE,
    PALE,
    PALETTE,
    WIDTH_INCHES,
    Sheet,
    key_rows,
)
from labhelpers.charts.chart import Chart
from labhelpers.errors import Refused
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.polling import poll

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN = f"{MOUNT}/token"
# As the node's root reads it. TOKEN is a link that may belong to the Pod's user, in a directory
# where anyone may write, and the kernel's protected_symlinks lets nobody else follow such a link.
TOKEN_FILE = f"{MOUNT}/..data/token"
NODES_CA = "/etc/kubernetes/pki/ca.crt"
START_SECONDS = 60.0
# What `kubectl create rolebinding` changes reaches the authorizer by a watch: milliseconds. The
# kubelet doesn't replace a token in its first minutes.
ALLOWED_SECONDS = 15.0
# The API server remembers for ten seconds that a token was good.
REFUSED_SECONDS = 30.0
NO_ACCOUNT, NOBODY = "system:anonymous", "nobody: it's anonymous"

USER = "clerk"  # of the image that the lab makes


# --- To the kernel --------------------------------------------------------------------------------


def primary_group(lab, pod) -> str:
    """Which of the choices of "group" is right, from the process itself."""
    gid = _number(pod, "-g")
    names = {0: "0, root's", 1000: "1000, like the user", 65534: "65534, nobody's"}
    return names.get(gid, str(gid))


def identity(lab, pod) -> Shown:
    """Where each line of a security context is seen: by the process, by the node, in the API."""
    inside, outside = _of_process(pod), _on_the_node(lab, pod)
    told = pod.raw["status"]["containerStatuses"][0].get("user", {}).get("linux", {})
    context = pod.raw["spec"]["securityContext"]
    reported = {
        "uid": told.get("uid"),
        "gid": told.get("gid"),
        "groups": sorted(told.get("supplementalGroups", ())),
    }
    lines = {
        "runAsUser": ("uid", context["runAsUser"]),
        "runAsGroup": ("gid", context["runAsGroup"]),
        "fsGroup": ("groups", context["fsGroup"]),
        "supplementalGroups": ("groups", context["supplementalGroups"][0]),
    }
    looks = {"id": inside, "/proc on the node": outside, "Pod's status": reported}
    rows, missing = [], []
    for line, (field, value) in lines.items():
        row = {"line": f"{line}: {value}", "seen as": field}
        for where, seen in looks.items():
            there = value in seen[field] if field == "groups" else value == seen[field]
            row[where] = _names(seen[field])
            missing += [] if there else [f"{line} in {where}"]
        rows.append(row)
    words = f"not seen: {listed(missing)}" if missing else "id, the node and the Pod's status agree"
    return Shown(
        frame_of(rows),
        f"{words}: uid {inside['uid']}, gid {inside['gid']}, groups {_names(inside['groups'])}",
    )


def _of_process(pod) -> dict:
    groups = sorted(int(each) for each in pod.exec("app", ["id", "-G"]).stdout.split())
    return {"uid": _number(pod, "-u"), "gid": _number(pod, "-g"), "groups": groups}


def _on_the_node(lab, pod) -> dict:
    """The same from the node: what the kernel keeps of the container's first process."""
    with lab.transcript.quietly():
        text = lab.node.read(f"/proc/{pod.container('app').process.pid}/status")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    groups = {int(each) for each in fields["Groups"].split()}
    gid = int(fields["Gid"].split()[0])
    return {"uid": int(fields["Uid"].split()[0]), "gid": gid, "groups": sorted(groups | {gid})}


def _number(pod, option: str) -> int:
    return int(pod.exec("app", ["id", option]).stdout)


def _names(value: object) -> str:
    """Numbers that are names: no thousands separators.

    >>> _names(1000), _names([2000, 3000]), _names(None)
    ('1000', '2000, 3000', 'nothing')
    """
    if value is None:
        return "nothing"
    return ", ".join(map(str, value)) if isinstance(value, Sequence) else str(value)


# --- Volumes --------------------------------------------------------------------------------------

BOOKS = {"claim": "/claim/book", "hostPath": "/host/book"}


def books(lab, pod) -> dict[str, dict]:
    """What a process can do with the restored files: for each volume the file's owner, group and
    mode, and what appending to it says."""
    return {volume: _file(pod, path) for volume, path in BOOKS.items()}


def _file(pod, path: str) -> dict:
    owner, group, mode = pod.exec("app", ["stat", "-c", "%u %g %a", path]).stdout.split()
    return {"owner": owner, "group": group, "mode": mode, "append": _append(pod, path)}


def _append(pod, path: str) -> str:
    """What a shell says that opens a file for appending, without a change to it.

    The errors of two shells differ in all but the last words."""
    done = pod.exec("app", ["sh", "-c", f": >> {shlex.quote(path)}"])
    return done.stderr.strip().rpartition(": ")[2] if done.returncode else "works"


def who_can_write(lab, after: Mapping[str, Mapping]) -> str:
    """Which of the choices of "fsgroup" is right."""
    open_ = [volume for volume, file in after.items() if file["append"] == "works"]
    return {
        ("claim", "hostPath"): "both",
        ("claim",): "only the one in the claim",
        ("hostPath",): "only the one in the hostPath",
    }.get(tuple(open_), "neither: the files are root's")


def c6(lab, pod, before: Mapping[str, Mapping], after: Mapping[str, Mapping]) -> Shown:
    """runAsUser, runAsGroup and fsGroup show up in the output of id, in the process, and as the
    group of a volume's files.

    Args:
        pod: has all three lines, and an emptyDir at /data.
        before, after: ``books`` of a Pod without fsGroup, and of the same Pod with it.
    """
    context, inside, outside = (
        pod.raw["spec"]["securityContext"], _of_process(pod), _on_the_node(lab, pod),
    )  # fmt: skip
    wanted = {name: context[name] for name in ("runAsUser", "runAsGroup", "fsGroup")}
    seen = {
        where: {"runAsUser": of["uid"], "runAsGroup": of["gid"]}
        | ({"fsGroup": wanted["fsGroup"]} if wanted["fsGroup"] in of["groups"] else {})
        for where, of in (("id", inside), ("the process", outside))
    }
    absent = [f"{name} in {where}" for where in seen for name in wanted
              if seen[where].get(name) != wanted[name]]  # fmt: skip
    pod.exec("app", ["touch", "/data/new"])
    new = pod.exec("app", ["stat", "-c", "%u %g %a", "/data/new"]).stdout.split()
    rows = [_row("a new file in the emptyDir", new[0], new[1], new[2], "works")]
    words = []
    for volume in before:
        for when, files in (("without fsGroup", before), ("with fsGroup", after)):
            file = files[volume]
            rows.append(_row(f"the book in the {volume}, {when}", *file.values()))
        words.append(_what_fsgroup_did(volume, before[volume], after[volume]))
    shown = f"not seen: {listed(absent)}" if absent else "id and the process show all three numbers"
    return Shown(
        frame_of(rows),
        f"{shown}; a new file in the emptyDir belongs to {new[0]}:{new[1]}; {'; '.join(words)}",
    )


def _row(what: str, owner: str, group: str, mode: str, append: str) -> dict:
    return {"file": what, "owner": owner, "group": group, "mode": mode, "append": append}


def _what_fsgroup_did(volume: str, before: Mapping, after: Mapping) -> str:
    """A clause about one volume's book.

    >>> book = {"owner": "0", "group": "0", "mode": "644", "append": "Permission denied"}
    >>> _what_fsgroup_did("hostPath", book, book)
    "the hostPath's book stays 0:0 644, and appending says Permission denied"
    >>> _what_fsgroup_did("claim", book, {**book, "group": "7", "mode": "664", "append": "works"})
    "fsGroup turns the claim's book from 0:0 644 into 0:7 664, and appending works"
    """
    was, now = ("{owner}:{group} {mode}".format(**file) for file in (before, after))
    append = "works" if after["append"] == "works" else f"says {after['append']}"
    if was == now:
        return f"the {volume}'s book stays {now}, and appending {append}"
    return f"fsGroup turns the {volume}'s book from {was} into {now}, and appending {append}"


# --- runAsNonRoot, and groups that nobody asked for -----------------------------------------------


def fate(lab, pod) -> str:
    """Which of the choices of "nonroot" happens."""
    return f"it runs, as uid {_number(pod, '-u')}" if _reason(pod) is None else "it isn't started"


def _reason(pod) -> str | None:
    """Why the kubelet doesn't start the container; None if it does."""

    def decided(now) -> bool:
        return now.phase == "Running" or now.container("app").reason == "CreateContainerConfigError"

    now = pod.wait_until(decided, timeout_seconds=START_SECONDS).now()
    return None if now.phase == "Running" else now.container("app").reason


def c7(lab, *pods) -> Shown:
    """runAsNonRoot with an image that runs as root ends in CreateContainerConfigError."""
    rows, words = [], []
    for pod in pods:
        reason, spec = _reason(pod), pod.raw["spec"]
        says, uid = "", ""
        if reason is None:
            uid = str(_number(pod, "-u"))
        else:
            waiting = pod.raw["status"]["containerStatuses"][0]["state"].get("waiting", {})
            says = re.sub(r" \(pod: .*\)$", "", waiting.get("message", ""))
        started = f"runs as uid {uid}" if reason is None else reason
        image_name = spec["containers"][0]["image"].rpartition("/")[2]
        rows.append(
            {"Pod": pod.name, "image": image_name, "what happens": started, "message": says}
        )
        words.append(f"{pod.name} {started if reason is None else f'ends in {reason}'}")
    return Shown(frame_of(rows), "; ".join(words))


def o25(lab, merge, strict) -> Shown:
    """supplementalGroupsPolicy Strict drops the groups that the image's /etc/group would add; the
    default, Merge, keeps them."""
    rows, seen = [], {}
    for pod in (merge, strict):
        policy = pod.raw["spec"]["securityContext"].get("supplementalGroupsPolicy")
        seen[pod.name] = groups = _of_process(pod)["groups"]
        asked = pod.raw["spec"]["securityContext"]["supplementalGroups"]
        row = {"Pod": pod.name, "supplementalGroupsPolicy": policy or "not set (Merge)"}
        rows.append(row | {"spec asks for": _names(asked), "groups of the process": _names(groups)})
    extra = sorted(set(seen[merge.name]) - set(seen[strict.name]))
    lines = merge.exec("app", ["cat", "/etc/group"]).stdout.splitlines()
    from_image = [
        int(line.split(":")[2]) for line in lines if USER in line.split(":")[3].split(",")
    ]
    words = (
        f"without a policy the process is also in {_names(extra)}, which only the image's "
        f"/etc/group names"
        if extra and extra == from_image
        else f"without a policy the process is also in {_names(extra) or 'no other group'}"
    )
    return Shown(frame_of(rows), f"{words}; with Strict its groups are {_names(seen[strict.name])}")


# --- To the API server ----------------------------------------------------------------------------


def ask(lab, pod, path: str, method: str = "GET") -> tuple[int, str]:
    """Asks the API server from inside a Pod's network, with the Pod's own token if it has one.

    The node's curl does it, because busybox's wget shows no body of an error.

    Returns:
        HTTP's code, and the API server's message; "" where the answer isn't an error.
    """
    with lab.transcript.quietly():
        pid = pod.container("app").process.pid
        service = lab.connection.get("Service", "kubernetes", "default")["spec"]["clusterIP"]
        url = shlex.quote(f"https://{service}{path}")
        token = f"/proc/{pid}/root{TOKEN_FILE}"
        # curl reads the header from its input, so that the token is in no list of processes.
        said = lab.node.run(
            f"if test -e {token}; then printf 'Authorization: Bearer '; cat {token}; fi"
            f" | nsenter -t {pid} -n curl -s -m 20 -X {method} --cacert {NODES_CA} -H @-"
            rf" -w '\n%{{http_code}}' {url}",
            timeout_seconds=30,
        )
    body, _, code = said.rpartition("\n")
    message = ""
    if int(code) >= 400:
        with contextlib.suppress(ValueError):
            message = json.loads(body).get("message", "")
    return int(code), message


def list_pods(lab, pod) -> tuple[int, str]:
    """What the API server answers when a Pod asks it for the Pods of its namespace."""
    return ask(lab, pod, f"/api/v1/namespaces/{lab.namespace}/pods")


def known_as(lab, pod) -> str:
    """Which of the choices of "who" is right, from the API server's own answer."""
    name = _user(list_pods(lab, pod)[1])
    if name.startswith(f"system:serviceaccount:{lab.namespace}:"):
        return "an account of its namespace"
    others = {"kubernetes-admin": "the user who created the Pod", NO_ACCOUNT: NOBODY}
    return others.get(name, name)


def payload(lab, pod) -> Shown:
    """What the mounted token says: its payload, without the signature that makes it worth anything.

    https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
    """
    claims = _claims(pod)
    own = claims["kubernetes.io"]
    projected = next(
        source["serviceAccountToken"]
        for volume in pod.raw["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        if "serviceAccountToken" in source
    )
    days = round((claims["exp"] - claims["iat"]) / 86400)
    rows = [
        {"claim": "sub", "meaning": "who it speaks for", "value": claims["sub"]},
        {"claim": "aud", "meaning": "who may accept it", "value": listed(claims["aud"])},
        {"claim": "kubernetes.io, pod", "meaning": "bound to", "value": own["pod"]["name"]},
        {"claim": "kubernetes.io, node", "meaning": "bound to", "value": own["node"]["name"]},
        {"claim": "exp", "meaning": "valid for", "value": f"{days} days"},
        {
            "claim": "kubernetes.io, warnafter",
            "meaning": "should be replaced after",
            "value": f"{own['warnafter'] - claims['iat']} s" if "warnafter" in own else "–",
        },
    ]
    bound = "this Pod" if own["pod"]["uid"] == pod.uid else "another Pod"
    return Shown(
        frame_of(rows),
        f"the token speaks for {claims['sub']} and is bound to {bound}; the Pod's spec asks for "
        f"{projected['expirationSeconds']} seconds",
    )


def _claims(pod) -> dict:
    """The payload of a Pod's mounted token, which anyone can read who has the token."""
    part = pod.exec("app", ["cat", TOKEN]).stdout.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def token_after(lab, pod) -> dict[str, object]:
    """Copies a Pod's token, deletes the Pod, and asks the API server about the copy: before, and
    until it's refused.

    Returns:
        "before" and "after": whether the token was accepted; "error": the API server's reason.
    """
    token = pod.exec("app", ["cat", TOKEN]).stdout.strip()
    before = _review(lab, token)
    pod.delete(timeout_seconds=60, grace_seconds=1)
    poll(
        lambda: not _review(lab, token).get("authenticated"),
        timeout_seconds=REFUSED_SECONDS,
        every_seconds=0.5,
    )
    after = _review(lab, token)
    return {
        "Pod": pod.name,
        "before": bool(before.get("authenticated")),
        "after": bool(after.get("authenticated")),
        "error": after.get("error", ""),
    }


def _review(lab, token: str) -> dict:
    """What the API server says of a token: a TokenReview, which is answered and never stored."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "metadata": {"name": "copy"},
        "spec": {"token": token},
    }
    return lab.connection.create(body)["status"]


def c8(lab, mounted, tokenless, copied: Mapping) -> Shown:
    """automountServiceAccountToken: false leaves no token in the container; true mounts a bound
    one."""
    rows, words = [], []
    for pod in (mounted, tokenless):
        line = str(pod.raw["spec"].get("automountServiceAccountToken")).lower()
        there = pod.exec("app", ["test", "-e", TOKEN]).returncode == 0
        bound = there and _claims(pod)["kubernetes.io"].get("pod", {}).get("uid") == pod.uid
        kind = "a token bound to this Pod" if bound else "a token that isn't bound to this Pod"
        token = kind if there else "no token"
        user = _user(list_pods(lab, pod)[1])
        rows.append(_of_token(pod.name, line, token, user))
        words.append(f"with {line} there's {token}, and the API server sees {user}")
    fate_of = {
        (True, False): "is accepted while its Pod is there, and refused afterwards",
        (True, True): "is accepted, even when its Pod is gone",
    }.get((copied["before"], copied["after"]), "was never accepted")
    error = re.sub(r"[][]", "", str(copied["error"]))
    rows.append(_of_token(f"{copied['Pod']}, deleted", "not set", "a copy", error))
    return Shown(frame_of(rows), f"{'; '.join(words)}; a copied token {fate_of}")


def _of_token(pod: str, line: str, token: str, seen: str) -> dict:
    return {
        "Pod": pod,
        "automountServiceAccountToken": line,
        "token": token,
        "the API server sees": seen,
    }


def _user(message: str) -> str:
    """Who the API server takes a client for, as its Forbidden message says.

    >>> _user('pods is forbidden: User "system:anonymous" cannot list resource "pods"')
    'system:anonymous'
    """
    found = re.search(r'User "([^"]+)"', message)
    return found[1] if found else "somebody that it lets in"


# --- A Role ---------------------------------------------------------------------------------------

DOORS = {
    "list Pods": ("GET", "/api/v1/namespaces/{namespace}/pods"),
    "read Secrets": ("GET", "/api/v1/namespaces/{namespace}/secrets"),
    "delete a Pod": ("DELETE", "/api/v1/namespaces/{namespace}/pods/{pod}?dryRun=All"),
}


def doors(lab, pod) -> dict[str, object]:
    """What the API server lets a Pod do: the code of its answer to each of three requests. With it
    comes what shows whether it's still the same container, with the same token."""
    codes: dict[str, object] = {}
    for door, (method, path) in DOORS.items():
        codes[door], _ = ask(lab, pod, path.format(namespace=lab.namespace, pod=pod.name), method)
    token = pod.exec("app", ["cat", TOKEN]).stdout if _has_token(pod) else ""
    container = pod.container("app")
    marks = (hashlib.sha256(token.encode()).hexdigest(), container.id)
    return {"codes": codes, "same": marks}


def _has_token(pod) -> bool:
    return pod.exec("app", ["test", "-e", TOKEN]).returncode == 0


def when_allowed(lab, pod, before: Mapping) -> str:
    """Which of the choices of "binding" is right, just after the RoleBinding was created."""
    if not poll(lambda: list_pods(lab, pod)[0] == 200, timeout_seconds=ALLOWED_SECONDS):
        return "403, until the Pod is restarted"
    same = doors(lab, pod)["same"] == before["same"]
    return "200, within seconds" if same else "403, until its token is replaced"


def o19(lab, before: Mapping, after: Mapping) -> Shown:
    """A Pod may do what its ServiceAccount may: 403 with the mounted token, then 200 once a Role
    and a RoleBinding exist."""
    rows = [
        {"request": door, "before": str(before["codes"][door]), "after": str(after["codes"][door])}
        for door in DOORS
    ]
    changed = [door for door in DOORS if before["codes"][door] != after["codes"][door]]
    words = [
        f"{door}: {before['codes'][door]}, then {after['codes'][door]}" for door in changed
    ] or ["no answer changed"]
    others = [door for door in DOORS if door not in changed]
    codes = sorted({str(after["codes"][door]) for door in others})
    rest = f"; still {listed(codes)}: {listed(others)}" if others else ""
    same = "the same" if before["same"] == after["same"] else "another"
    return Shown(frame_of(rows), f"{'; '.join(words)}{rest}; container and token are {same}")


# --- Names that don't exist -----------------------------------------------------------------------


def c22(lab, account, priority) -> Shown:
    """A serviceAccountName or priorityClassName that doesn't exist is rejected at admission: no Pod
    is created."""
    rows = [
        {"line": line, "message": str(refusal.message).partition("forbidden: ")[2]}
        for line, refusal in (
            ("serviceAccountName: nobody", account),
            ("priorityClassName: urgent", priority),
        )
    ]
    stored = [name for name in ("no-account", "no-class") if _is_stored(lab, name)]
    named = [row["line"].partition(":")[0] for row in rows if row["message"]]
    return Shown(
        frame_of(rows),
        f"rejected: {listed(named) or 'nothing'}; "
        f"{f'stored nevertheless: {listed(stored)}' if stored else 'no Pod is stored'}",
    )


def _is_stored(lab, name: str) -> bool:
    try:
        lab.connection.get("Pod", name)
    except Refused:
        return False
    return True


# --- Who am I? ------------------------------------------------------------------------------------

FILE_DOORS = ("create /new", "append to book", "read key")


def who_am_i(lab, *pods) -> Shown:
    """Each Pod's two identities, and which doors each opens: what the kernel says to a process that
    uses files, and what the API server says to its requests."""
    rows = []
    for pod in pods:
        process, raw = _of_process(pod), pod.raw["spec"]
        token = _has_token(pod)
        more = [each for each in process["groups"] if each != process["gid"]]
        rows.append(
            {
                "Pod": pod.name,
                "numbers": [
                    f"uid {process['uid']}",
                    f"gid {process['gid']}",
                    *([f"group {_names(more)}"] if more else []),
                ],
                **_files(pod),
                "account": raw["serviceAccountName"] if token else NO_ACCOUNT,
                **doors(lab, pod)["codes"],
            }
        )
    frame = frame_of(rows).set_index("Pod")
    opens = frame.isin(["works", 200])
    roots = [name for name in frame.index if frame["numbers"][name][0] == "uid 0"]
    files = [name for name in frame.index if opens.loc[name, list(FILE_DOORS)].all()]
    calls = [name for name in frame.index if opens.loc[name, list(DOORS)].any()]
    words = f"every file opens for {listed(files) or 'nobody'}"
    run = "run" if len(files) > 1 else "runs"
    words += f", which {run} as root" if files and files == roots else ""
    words += f"; the API server lets {listed(calls) or 'nobody'} in"
    words += ", which isn't root" if calls and not set(calls) & set(roots) else ""
    title = "Who am I, and what does that open?"
    spoken = frame.assign(numbers=frame["numbers"].map(", ".join)).reset_index()
    return Shown(Chart(lambda: _draw(frame, title, words), words, spoken, title), words)


def _files(pod) -> dict[str, str]:
    commands = {
        "create /new": ": > /new",
        "append to book": ": >> /claim/book",
        "read key": "cat /claim/key",
    }
    return {
        door: "denied" if pod.exec("app", ["sh", "-c", command]).returncode else "works"
        for door, command in commands.items()
    }


ROW, CELL, EDGE = 0.5, 0.56, WIDTH_INCHES - 0.25
NAME_AT, LEFT, LEFT_CELLS, RIGHT, RIGHT_CELLS = 0.25, 1.08, 2.06, 3.93, EDGE - 0.05 - 3 * CELL


def _draw(frame, title: str, finding: str):
    """A row for each Pod; to the left what the kernel sees, to the right what the API server
    sees."""
    rows = 0.74 + ROW * len(frame)
    sheet = Sheet(rows + 0.5, title, finding)
    halves = (
        (LEFT, LEFT_CELLS, FILE_DOORS, "to the kernel: numbers"),
        (RIGHT, RIGHT_CELLS, tuple(DOORS), "to the API server: an account"),
    )
    for left, cells, names, words in halves:
        box = (left, sheet.top + 0.02, cells + 3 * CELL + 0.05 - left, rows + 0.04)
        sheet.box(box, facecolor="none", edgecolor=INK, linewidth=1.1)
        sheet.say(left + 0.1, sheet.top + 0.18, words, size=9.5, color=INK, weight="bold")
        for place, name in enumerate(names):
            for line, word in enumerate(name.split(" ", 1)):
                x, y = cells + CELL * (place + 0.5), sheet.top + 0.43 + 0.14 * line
                sheet.say(x, y, word, size=7.5, color=INK, ha="center")
    for number, (name, row) in enumerate(frame.iterrows()):
        top = sheet.top + 0.72 + ROW * number
        y = top + ROW / 2
        if number:
            sheet.line([NAME_AT, EDGE], [top, top], LINE, width=0.7, zorder=0)
        sheet.say(NAME_AT, y - 0.07, str(name), size=9.5, color=INK)
        rank = "root" if row["numbers"][0] == "uid 0" else "not root"
        sheet.say(NAME_AT, y + 0.1, rank, size=7.5)
        for line, words in enumerate(row["numbers"]):
            at = y + 0.14 * (line - (len(row["numbers"]) - 1) / 2)
            sheet.say(LEFT + 0.1, at, words, size=7.5, color=INK)
        sheet.say(RIGHT + 0.08, y, row["account"], size=7, color=INK)
        for _, cells, names, _ in halves:
            for place, door in enumerate(names):
                box = (cells + CELL * place + 0.03, top + 0.1, CELL - 0.06, ROW - 0.2)
                _door(sheet, box, row[door])
    keys = [("lets it", _key(True)), ("refuses", _key(False))]
    sheet.legend(sheet.top + rows + 0.26, key_rows(keys))
    return sheet.figure


def _door(sheet: Sheet, box, verdict: object) -> None:
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    if verdict in ("works", 200):
        sheet.filled(box, PALETTE[0])
        sheet.say(x, y, str(verdict), size=8, color=INK, ha="center", weight="bold")
    else:
        sheet.box(box, facecolor=PALE, edgecolor=LINE, linewidth=0.8)
        sheet.say(x, y, str(verdict), size=8, color=INK, ha="center")


def _key(is_open: bool):
    def sign(sheet: Sheet, x: float, y: float) -> None:
        box = (x, y - 0.075, 0.3, 0.15)
        if is_open:
            sheet.filled(box, PALETTE[0])
        else:
            sheet.box(box, facecolor=PALE, edgecolor=LINE, linewidth=0.8)

    return sign
