"""The proofs of lab 04: each says one sentence where its claim is true, another where it isn't."""

import base64
import json
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.errors import Refused
from labhelpers.proofs import Proofs
from labhelpers.transcript import Transcript

PROOFS = Proofs("04-identity")
MODULE = PROOFS.module
NAMESPACE = "lab-04-identity"
TOKEN = MODULE.TOKEN


def prove(claim, *measured):
    return PROOFS.of(claim)(*measured).sentence


def token(**claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{part}.signature"


class Pod:
    """A Pod whose process has these numbers; ``says`` has the answers to further commands."""

    uid = "the-uid"

    def __init__(self, name="pod", uid=1000, gid=3000, groups=(3000,), says=None, **spec):
        self.name, self.deleted = name, False
        self.raw = {"spec": spec, "status": {"containerStatuses": [{}]}}
        self._says = {
            ("id", "-u"): str(uid),
            ("id", "-g"): str(gid),
            ("id", "-G"): " ".join(map(str, groups)),
            **(says or {}),
        }

    def exec(self, container, command):
        said = self._says.get(tuple(command), "")
        code, out, err = (0, said, "") if isinstance(said, str) else said
        return SimpleNamespace(returncode=code, stdout=f"{out}\n", stderr=err)

    def container(self, name):
        return SimpleNamespace(process=SimpleNamespace(pid=7), id="container-1")

    def delete(self, **_):
        self.deleted = True


def a_lab(answers=(), reviews=(), status="", stored=()):
    """A lab whose node says ``answers`` in turn, whose API server says ``reviews`` of tokens."""
    answers, reviews = iter(answers), iter(reviews)
    transcript = Transcript()

    def get(kind, name, namespace=None):
        if kind == "Pod" and name not in stored:
            raise Refused("No.", "not found", "", reason="NotFound")
        return {"spec": {"clusterIP": "10.96.0.1"}}

    return SimpleNamespace(
        namespace=NAMESPACE,
        transcript=transcript,
        node=SimpleNamespace(run=lambda *_, **__: next(answers), read=lambda path: status),
        connection=SimpleNamespace(
            get=get,
            create=lambda body: {"status": next(reviews)},
            list=lambda kind: {"items": [{"status": {"nodeInfo": {"architecture": "amd64"}}}]},
        ),
    )


def forbids(user):
    message = f'pods is forbidden: User "{user}" cannot list resource "pods"'
    return json.dumps({"message": message}) + "\n403"


OK = '{"items": []}\n200'
DENIED = (1, "", "sh: can't create /claim/book: Permission denied\n")
NO_FILE = (1, "", "")


# --- Numbers --------------------------------------------------------------------------------------

STATUS = "Name:\tsleep\nUid:\t1000\t1000\t1000\t1000\nGid:\t3000\t3000\t3000\t3000\n"
CONTEXT = {
    "runAsUser": 1000,
    "runAsGroup": 3000,
    "fsGroup": 2000,
    "supplementalGroups": [4000],
}


def with_all(groups=(2000, 3000, 4000), new="1000 2000 644"):
    says = {("stat", "-c", "%u %g %a", "/data/new"): new}
    pod = Pod("groups", groups=groups, says=says, securityContext=CONTEXT)
    linux = {"uid": 1000, "gid": 3000, "supplementalGroups": [2000, 3000, 4000]}
    pod.raw["status"]["containerStatuses"] = [{"user": {"linux": linux}}]
    return pod


@pytest.mark.parametrize(
    ("gid", "choice"), [(0, "0, root's"), (1000, "1000, like the user"), (7, "7")]
)
def test_primary_group(gid, choice):
    assert MODULE.primary_group(None, Pod(gid=gid)) == choice


def test_identity():
    lab = a_lab(status=f"{STATUS}Groups:\t2000 3000 4000 \n")
    assert MODULE.identity(lab, with_all()).sentence == (
        "id, the node and the Pod's status agree: uid 1000, gid 3000, groups 2000, 3000, 4000"
    )
    lab = a_lab(status=f"{STATUS}Groups:\t3000 4000 \n")
    assert "not seen: fsGroup in /proc on the node" in MODULE.identity(lab, with_all()).sentence


def book(group="0", mode="644", append="Permission denied"):
    return {"owner": "0", "group": group, "mode": mode, "append": append}


CLOSED, OPEN = book(), book("2000", "664", "works")


def test_c6():
    lab = a_lab(status=f"{STATUS}Groups:\t2000 3000 4000 \n")
    before = {"claim": CLOSED, "hostPath": CLOSED}
    assert prove("C6", lab, with_all(), before, {"claim": OPEN, "hostPath": CLOSED}) == (
        "id and the process show all three numbers; a new file in the emptyDir belongs to "
        "1000:2000; fsGroup turns the claim's book from 0:0 644 into 0:2000 664, and appending "
        "works; the hostPath's book stays 0:0 644, and appending says Permission denied"
    )


def test_c6_otherwise():
    lab = a_lab(status=f"{STATUS}Groups:\t3000 4000 \n")
    before = {"claim": CLOSED}
    said = prove("C6", lab, with_all((3000,), "1000 3000 644"), before, before)
    assert said == (
        "not seen: fsGroup in id and fsGroup in the process; a new file in the emptyDir belongs to "
        "1000:3000; the claim's book stays 0:0 644, and appending says Permission denied"
    )


@pytest.mark.parametrize(
    ("claim", "host", "choice"),
    [
        (OPEN, OPEN, "both"),
        (OPEN, CLOSED, "only the one in the claim"),
        (CLOSED, OPEN, "only the one in the hostPath"),
        (CLOSED, CLOSED, "neither: the files are root's"),
    ],
)
def test_who_can_write(claim, host, choice):
    assert MODULE.who_can_write(None, {"claim": claim, "hostPath": host}) == choice


def test_books():
    stat = ("stat", "-c", "%u %g %a")
    says = {
        (*stat, "/claim/book"): "0 0 644",
        (*stat, "/host/book"): "0 2000 664",
        ("sh", "-c", ": >> /claim/book"): DENIED,
    }
    assert MODULE.books(None, Pod(says=says)) == {"claim": CLOSED, "hostPath": OPEN}


# --- C7 and O25 -----------------------------------------------------------------------------------


class Waiting(Pod):
    """A Pod that the kubelet starts, or not."""

    def __init__(self, name, reason, uid=1000):
        super().__init__(name, uid=uid, containers=[{"image": "busybox:1.35.0"}])
        self._reason = reason
        waiting = {"reason": reason, "message": f"it says why (pod: {name})"}
        self.raw["status"]["containerStatuses"] = [{"state": {"waiting": waiting}}]

    def now(self):
        phase = "Pending" if self._reason else "Running"
        container = SimpleNamespace(reason=self._reason)
        return SimpleNamespace(phase=phase, container=lambda name: container)

    def wait_until(self, goal, **_):
        assert goal(self.now())
        return self


ERROR = "CreateContainerConfigError"


def test_c7():
    shown = PROOFS.of("C7")(None, Waiting("non-root", ERROR), Waiting("by-number", None))
    assert shown.sentence == f"non-root ends in {ERROR}; by-number runs as uid 1000"
    assert list(shown.what["message"]) == ["it says why", ""]
    assert prove("C7", None, Waiting("non-root", None, uid=0)) == "non-root runs as uid 0"


def test_fate():
    assert MODULE.fate(None, Waiting("non-root", ERROR)) == "it isn't started"
    assert MODULE.fate(None, Waiting("non-root", None, 65534)) == "it runs, as uid 65534"


def grouped(name, groups, policy=None):
    context = {"supplementalGroups": [4000]}
    context |= {"supplementalGroupsPolicy": policy} if policy else {}
    says = {("cat", "/etc/group"): "root:x:0:\nclerk:x:1000:\npayroll:x:50000:clerk"}
    return Pod(name, groups=groups, says=says, securityContext=context)


@pytest.mark.parametrize(
    ("merged", "strict", "sentence"),
    [
        (
            (3000, 4000, 50000),
            (3000, 4000),
            "without a policy the process is also in 50000, which only the image's /etc/group "
            "names; with Strict its groups are 3000, 4000",
        ),
        (
            (3000, 4000, 50000),
            (3000, 4000, 50000),
            "without a policy the process is also in no other group; with Strict its groups are "
            "3000, 4000, 50000",
        ),
        (
            (3000, 4000, 7),
            (3000, 4000),
            "without a policy the process is also in 7; with Strict its groups are 3000, 4000",
        ),
    ],
)
def test_o25(merged, strict, sentence):
    said = prove("O25", None, grouped("merge", merged), grouped("strict", strict, "Strict"))
    assert said == sentence


# --- The token ------------------------------------------------------------------------------------


def test_ask():
    lab, ran = a_lab(), []
    lab.node.run = lambda script, **_: (ran.append(script), forbids("somebody"))[1]
    code, message = MODULE.ask(lab, Pod(), "/api", "DELETE")
    assert (code, MODULE._user(message)) == (403, "somebody")
    assert "nsenter -t 7 -n curl" in ran[0]
    assert "-X DELETE" in ran[0]
    assert MODULE.ask(a_lab([OK]), Pod(), "/api") == (200, "")
    assert MODULE.ask(a_lab(["no JSON\n503"]), Pod(), "/api") == (503, "")


@pytest.mark.parametrize(
    ("user", "choice"),
    [
        (f"system:serviceaccount:{NAMESPACE}:default", "an account of its namespace"),
        ("system:serviceaccount:elsewhere:default", "system:serviceaccount:elsewhere:default"),
        ("kubernetes-admin", "the user who created the Pod"),
        ("system:anonymous", "nobody: it's anonymous"),
    ],
)
def test_known_as(user, choice):
    assert MODULE.known_as(a_lab([forbids(user)]), Pod()) == choice


def mounted(pod_uid="the-uid"):
    own = {"pod": {"name": "asker", "uid": pod_uid}, "node": {"name": "n"}, "warnafter": 3607}
    claims = {"sub": "system:x", "aud": ["api"], "iat": 0, "exp": 86400, "kubernetes.io": own}
    source = {"serviceAccountToken": {"expirationSeconds": 3607}}
    return Pod(
        "asker",
        says={("cat", TOKEN): token(**claims)},
        automountServiceAccountToken=True,
        volumes=[{"name": "other"}, {"projected": {"sources": [{"configMap": {}}, source]}}],
    )


def test_payload():
    shown = MODULE.payload(None, mounted())
    assert shown.sentence == (
        "the token speaks for system:x and is bound to this Pod; the Pod's spec asks for 3607 "
        "seconds"
    )
    assert "signature" not in shown.html
    assert "bound to another Pod" in MODULE.payload(None, mounted("other")).sentence


def without():
    says = {("test", "-e", TOKEN): NO_FILE}
    return Pod("tokenless", says=says, automountServiceAccountToken=False)


REFUSED_LATER = {"Pod": "plain", "before": True, "after": False, "error": "[no longer]"}


def test_c8():
    lab = a_lab([forbids("system:x"), forbids("system:anonymous")])
    assert prove("C8", lab, mounted(), without(), REFUSED_LATER) == (
        "with true there's a token bound to this Pod, and the API server sees system:x; with false "
        "there's no token, and the API server sees system:anonymous; a copied token is accepted "
        "while its Pod is there, and refused afterwards"
    )


@pytest.mark.parametrize(
    ("first", "copied", "says"),
    [
        (mounted("other"), REFUSED_LATER, "a token that isn't bound to this Pod"),
        (without(), REFUSED_LATER, "with false there's no token, and the API server sees system:x"),
        (mounted(), {**REFUSED_LATER, "after": True}, "accepted, even when its Pod is gone"),
        (mounted(), {**REFUSED_LATER, "before": False}, "was never accepted"),
    ],
)
def test_c8_otherwise(first, copied, says):
    lab = a_lab([forbids("system:x"), forbids("system:anonymous")])
    assert says in prove("C8", lab, first, without(), copied)


def test_token_after():
    good, bad = {"authenticated": True}, {"error": "it has been invalidated"}
    pod = mounted()
    assert MODULE.token_after(a_lab(reviews=[good, bad, bad]), pod) == {
        "Pod": "asker",
        "before": True,
        "after": False,
        "error": "it has been invalidated",
    }
    assert pod.deleted


# --- O19 ------------------------------------------------------------------------------------------


def asked(pods=403, secrets=403, delete=403, same=("token", "container")):
    codes = dict(zip(MODULE.DOORS, (pods, secrets, delete), strict=True))
    return {"codes": codes, "same": same}


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (
            asked(pods=200),
            "list Pods: 403, then 200; still 403: read Secrets and delete a Pod; container and "
            "token are the same",
        ),
        (
            asked(),
            "no answer changed; still 403: list Pods, read Secrets and delete a Pod; container and "
            "token are the same",
        ),
        (
            asked(200, 200, 200, ("other", "container")),
            "list Pods: 403, then 200; read Secrets: 403, then 200; delete a Pod: 403, then 200; "
            "container and token are another",
        ),
    ],
)
def test_o19(after, sentence):
    assert prove("O19", None, asked(), after) == sentence


def test_when_allowed(monkeypatch):
    monkeypatch.setattr(MODULE, "ALLOWED_SECONDS", 0.0)
    pod = mounted()
    before = MODULE.doors(a_lab([OK] * 3), pod)
    assert before["codes"] == {"list Pods": 200, "read Secrets": 200, "delete a Pod": 200}
    assert MODULE.when_allowed(a_lab([OK] * 4), pod, before) == "200, within seconds"
    replaced = {**before, "same": ("another token", "container-1")}
    assert MODULE.when_allowed(a_lab([OK] * 4), pod, replaced) == "403, until its token is replaced"
    assert MODULE.when_allowed(a_lab([forbids("x")]), pod, before) == (
        "403, until the Pod is restarted"
    )


# --- C22, and the picture -------------------------------------------------------------------------


def refusal(message):
    return SimpleNamespace(message=message)


def test_c22():
    both = refusal('pods "no-account" is forbidden: serviceaccount "nobody" not found')
    assert prove("C22", a_lab(), both, both) == (
        "rejected: serviceAccountName and priorityClassName; no Pod is stored"
    )
    assert prove("C22", a_lab(stored=["no-class"]), both, refusal("")) == (
        "rejected: serviceAccountName; stored nevertheless: no-class"
    )


ROOT = {("sh", "-c", ": > /new"): ""}
CLOSED_FILES = {
    ("sh", "-c", command): DENIED for command in (": > /new", ": >> /claim/book", "cat /claim/key")
}


def test_who_am_i():
    root = Pod("asker", 0, 0, (0,), says=ROOT, serviceAccountName="default")
    other = Pod("reporter", says=CLOSED_FILES, serviceAccountName="reporter")
    no = forbids("x")
    shown = MODULE.who_am_i(a_lab([no, no, no, OK, no, no]), root, other)
    assert shown.sentence == (
        "every file opens for asker, which runs as root; the API server lets reporter in, which "
        "isn't root"
    )
    assert isinstance(shown.what.table, pandas.DataFrame)
    assert shown.what.png.startswith(b"\x89PNG")


def test_who_am_i_otherwise():
    root = Pod("asker", 0, 0, (0,), says=CLOSED_FILES, serviceAccountName="default")
    other = Pod("clerk", groups=(3000, 2000), says={}, serviceAccountName="default")
    assert MODULE.who_am_i(a_lab([OK] * 3 + [forbids("x")] * 3), root, other).sentence == (
        "every file opens for clerk; the API server lets asker in"
    )
