"""Exercise c of lab 04: two users, one directory, and a token that only one of them has."""

import base64
import json

from labhelpers.exercises import NotYet, expected_pod, first_log

QUESTION = """
The Pod mailer has two containers. writer, uid 1001, puts letters into /out with mode 640. sender,
uid 1002, reads them and hands them to a service that accepts tokens for the audience post alone.

Design the Pod so that all of these hold. The users and commands stay as they are.
1. sender can read the letters, and others still can't.
2. sender has a token for the audience post in /post/token. It's valid for 15 minutes at most.
3. That's the only token in the Pod: writer has none at all.
"""

HINTS = [
    "1: mode 640 gives the letter's group read access. Which lines put both containers into that "
    "group?",
    "2: a projected volume has the source serviceAccountToken, with the fields audience, "
    "expirationSeconds and path. kubectl explain pod.spec.volumes.projected.sources",
    "3: one line of the Pod's spec leaves out the token that's mounted by default.",
]

DEBRIEF = [
    "fsGroup gave /out the group 2000, and new files inherit it. Both containers are in that "
    "group, so mode 640 was enough.",
    "A projected token is for one audience, and for some minutes. A container that gets one of "
    "those needs no default token.",
    "Every Pod gets a token for the API server unless you say no. Anyone who can read a file in "
    "the container can steal it.",
]

DEFAULT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
TOKEN, LONGEST_SECONDS = "/post/token", 15 * 60


def check(lab, path):
    pod = expected_pod(lab, "mailer").wait_until("Ready", timeout_seconds=60)
    first_log(pod, "writer")  # it writes "done" when the letter is there
    for name, uid in (("writer", "1001"), ("sender", "1002")):
        found = pod.exec(name, ["id", "-u"]).stdout.strip()
        if found != uid:
            raise NotYet(f"{name} is uid {found}, and should be {uid}")
    _expect_letter(pod)
    for name, file in (("writer", DEFAULT), ("sender", DEFAULT), ("writer", TOKEN)):
        if pod.exec(name, ["test", "-e", file]).returncode == 0:
            raise NotYet(f"{name} has a token in {file}")
    token = pod.exec("sender", ["cat", TOKEN])
    if token.returncode:
        raise NotYet(f"sender has no token that it can read: {token.stderr.strip()}")
    _expect_token(lab, token.stdout.strip())
    return "sender reads the letters, and has the Pod's only token: for post, and not for long"


def _expect_letter(pod):
    mode = pod.exec("writer", ["stat", "-c", "%a", "/out/letter"]).stdout.strip()
    if mode != "640":
        raise NotYet(f"the letter's mode is {mode or 'missing'}, and should be 640")
    read = pod.exec("sender", ["cat", "/out/letter"])
    if read.returncode:
        raise NotYet(f"sender can't read the letter: {read.stderr.strip()}")


def _expect_token(lab, token):
    part = token.split(".")[1]
    payload = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not _accepts(lab, token, ["post"]):
        raise NotYet(f"the audience post refuses the token; it's for {payload.get('aud')}")
    if _accepts(lab, token, []):
        raise NotYet("the API server accepts the token, too: it has more than one audience")
    seconds = payload["exp"] - payload["iat"]
    if seconds > LONGEST_SECONDS:
        raise NotYet(f"the token is valid for {seconds} seconds")


def _accepts(lab, token, audiences):
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "metadata": {"name": "post"},
        "spec": {"token": token, "audiences": audiences},
    }
    return bool(lab.connection.create(body)["status"].get("authenticated"))
