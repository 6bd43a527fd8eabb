"""The proofs of lab 05: each says one sentence where its claim is true, another where it isn't."""

import base64
import json
from types import SimpleNamespace

import pandas
import pytest

from labhelpers.kube.yaml_reader import read
from labhelpers.proofs import Proofs

PROOFS = Proofs("05-configuration")
MODULE = PROOFS.module
ADDRESS, POD_IP = "10.96.0.9", "10.244.0.7"
LINK = f"tcp://{ADDRESS}:80"
WAITING = "CreateContainerConfigError"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(MODULE, "ANSWER_SECONDS", 0)


def prove(claim, *measured):
    return PROOFS.of(claim)(*measured).sentence


def documents(file):
    return [each.value for each in read((MODULE.MANIFESTS / file).read_text(), file)]


def service(name, address=ADDRESS):
    ports = [{"port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"clusterIP": address, "ports": ports}}


class Cluster:
    """A connection to a cluster with the objects of settings.yaml, and two Services."""

    def __init__(self):
        self.objects = {(each["kind"], each["metadata"]["name"]): each for each in _stored()}
        self.applied = []

    def within(self, namespace):
        return self

    def list(self, kind, namespace):
        return {"items": [service("web"), service("peers", "None")]}

    def get(self, kind, name):
        return service(name, "10.96.0.1") if kind == "Service" else self.objects[kind, name]

    def apply(self, body):
        self.applied.append(body)


def _stored():
    for each in documents("settings.yaml"):
        text = each.pop("stringData", {})
        coded = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
        yield {**each, "data": each.get("data") or coded}


def node_run(script):
    return json.dumps({"config": {"Env": ["PATH=/bin", "WEB_PORT=8080"]}})


def pod_of(body, env, **more):
    """A Pod whose process has these variables."""
    status = {"podIP": POD_IP, "containerStatuses": [{"imageID": "sha256:1"}]}
    text = "".join(f"{name}={value}\0" for name, value in env.items())
    return SimpleNamespace(
        name=body["metadata"]["name"],
        raw={**body, "status": status},
        exec=lambda *_: SimpleNamespace(stdout=text, stderr="", returncode=0),
        **more,
    )


SHOP = {
    "PATH": "/bin", "HOME": "/root", "HOSTNAME": "shop", "CURRENCY": "EUR", "LOG_LEVEL": "debug",
    "WEB_PORT": "8003", "greeting": "Good evening", "DB_PASSWORD": "sesame",
    "WELCOME": "Good evening", "PGPASSWORD": "sesame", "POD_IP": POD_IP,
    "MEMORY_LIMIT": str(64 << 20),
    **{name: value for name, value in MODULE.service_variables(service("web")).items()
       if name != "WEB_PORT"},
    **MODULE.service_variables(service("kubernetes", "10.96.0.1")),
}  # fmt: skip


def shop(**more):
    return pod_of(documents("shop.yaml")[0], {**SHOP, **more})


def lab():
    return SimpleNamespace(
        connection=Cluster(), namespace="lab-05", node=SimpleNamespace(run=node_run)
    )


# --- Which source wins ----------------------------------------------------------------------------


class Ladder:
    """Takes sources away; ``order`` is what a container gets, the strongest first."""

    def __init__(self, order):
        self.lab, self.order = lab(), order
        self.lab.pod = self.made
        self.first = shop(WEB_PORT=order[0])

    def made(self, name):
        body = self.lab.connection.applied[-1]
        had = {each.value for each in self._offered(body)}
        value = next(each for each in self.order if each in had)
        pod = pod_of(body, {**SHOP, "WEB_PORT": value})
        pod.wait_until = lambda *_, **__: pod
        return pod

    def _offered(self, body):
        return MODULE.offers(self.lab, pod_of(body, {}))["WEB_PORT"]

    def steps(self):
        return MODULE.take_away(self.lab, self.first)


ORDER = ("8003", "8002", "8001", LINK, "8080")


def test_the_sources_are_taken_away_one_after_the_other():
    ladder = Ladder(ORDER)
    steps = ladder.steps()
    assert [step.won.source for step in steps] == ["env", "site", "base", "Service links", "image"]
    assert [step.won.place for step in steps] == [
        "shop.yaml:23",
        "settings.yaml:16",
        "settings.yaml:8",
        "Service web",
        "web.Dockerfile:2",
    ]
    assert MODULE.ladder(ladder.lab, steps).sentence == (
        "WEB_PORT comes from env, without that from envFrom site, without that from envFrom base, "
        "without that from the Service link, without that from the image"
    )


def test_c12():
    steps = Ladder(ORDER).steps()
    assert prove("C12", lab(), shop(), steps) == (
        "each variable has the value of the strongest source that has its name; only HOME and "
        "HOSTNAME have none; from strong to weak: env, a later envFrom, an earlier envFrom, "
        "Service links, the image"
    )
    first = prove("C12", lab(), shop(LOG_LEVEL="info"), steps)
    assert first.startswith("the strongest source didn't win for LOG_LEVEL; ")
    assert "only HOME, HOSTNAME and SHLVL have none" in prove("C12", lab(), shop(SHLVL="1"), steps)
    earlier = Ladder(("8003", "8001", "8002", LINK, "8080")).steps()
    assert prove("C12", lab(), shop(), earlier).endswith(
        "from strong to weak: env, base, site, Service links, image"
    )
    image = Ladder(("8003", "8002", "8001", "8080", LINK)).steps()
    assert prove("C12", lab(), shop(), image).endswith("env, site, base, image")


def test_a_picture_of_it():
    chart = PROOFS.of("C12")(lab(), shop(), []).what
    linked = len(SHOP) - 2 - len(MODULE.ROWS) - 1
    assert chart.finding == (
        "LOG_LEVEL: site won over base · WEB_PORT: env won over image, Service links, base and site"
        f" · {linked} more variables are Service links · no source has HOME and HOSTNAME"
    )
    assert chart.png


@pytest.mark.parametrize(
    ("value", "choice"), [("debug", "debug, from site"), ("info", "info, from base")]
)
def test_which_of_two(value, choice):
    assert MODULE.which_of_two(lab(), shop(LOG_LEVEL=value)) == choice


# --- Service links --------------------------------------------------------------------------------


KUBERNETES = MODULE.service_variables(service("kubernetes", "10.96.0.1"))
LINKED = {"WEB_PORT": "8080", **KUBERNETES, **MODULE.service_variables(service("web"))}
PLAIN = {"WEB_PORT": "8080", **KUBERNETES}


def log(env, said=""):
    return "".join(f"{name}={value}\n" for name, value in env.items()) + said


def web(env, said="", answers=True):
    answer = SimpleNamespace(returncode=int(not answers), stderr="", stdout="")
    return SimpleNamespace(logs=lambda _: log(env, said), exec=lambda *_: answer)


BAD = f"httpd: bad address '{LINK}'"


def o15(running=PLAIN, answered=True, crash=None, without=None):
    crash = log(LINKED, BAD) if crash is None else crash
    return prove("O15", lab(), running, answered, crash, without or web(PLAIN))


def test_o15():
    assert o15() == (
        "the container that started before the Services is linked with kubernetes, and answers; "
        "restarted, it is linked with kubernetes and web, and the web server fails on a URL in "
        "place of a port; with enableServiceLinks: false a container is linked with kubernetes, "
        "and answers"
    )
    fine = o15(crash=log(PLAIN))
    assert "restarted, it is linked with kubernetes, and the web server does not fail" in fine
    assert o15(LINKED, False).startswith(
        "the container that started before the Services is linked with kubernetes and web, and does"
    )
    still = o15(without=web(LINKED, BAD, answers=False))
    assert still.endswith("is linked with kubernetes and web, and does not answer")


@pytest.mark.parametrize(
    ("running", "restarted", "choice"),
    [
        (PLAIN, LINKED, "when its container restarts"),
        (LINKED, LINKED, "at once, in the running container"),
        (PLAIN, PLAIN, "only in a new Pod"),
    ],
)
def test_when_it_changed(running, restarted, choice):
    assert MODULE.when_changed(lab(), running, log(restarted)) == choice


@pytest.mark.parametrize(
    ("restarts", "state", "code", "goal"),
    [
        (1, "terminated", 1, True),
        (0, "terminated", 137, False),  # killed by us, and not restarted yet
        (1, "running", None, False),
        (1, "terminated", 128, False),  # the runtime couldn't start it
    ],
)
def test_the_crash_is_the_web_servers_own(restarts, state, code, goal):
    container = SimpleNamespace(restarts=restarts, state=state, exit_code=code)
    now = SimpleNamespace(container=lambda _: container)

    def wait_until(reached, timeout_seconds):
        assert reached(now) is goal

    pod = SimpleNamespace(wait_until=wait_until, logs=lambda _: BAD)
    assert MODULE.log_of_crash(lab(), pod) == BAD


# --- A source that is missing ---------------------------------------------------------------------


def recorded(strict=((WAITING, 0, 9),), optional=0.0, key=((WAITING, 0, 8),)):
    rows = []
    for name, waits in {"strict": strict, "no-key": key}.items():
        rows += [(f"{name}: app", "waiting", reason, start) for reason, start, _ in waits]
        rows.append((f"{name}: app", "running", "", waits[0][2] if waits else 0.0))
    rows.append(("optional: app", "running", "", optional))
    frame = pandas.DataFrame(rows, columns=["lane", "state", "reason", "start"])
    return SimpleNamespace(
        intervals=frame, annotations=[(1.0, "there")], chart=lambda *_, **__: "a picture"
    )


def waiter(name, env, restarts=0, uid="1", phase="Running"):
    pod = pod_of({"metadata": {"name": name}}, env)
    container = SimpleNamespace(restarts=restarts)
    pod.container = lambda _: container
    pod.now = lambda: SimpleNamespace(uid=uid, phase=phase, container=lambda _: container)
    return pod


def c13(life, strict=None, optional=None):
    some = {"LEVEL": "debug"}
    pods = (
        strict or waiter("strict", some),
        waiter("no-key", some),
        optional or waiter("optional", {"A": "b"}),
    )
    return prove("C13", lab(), life, *pods)


def test_c13():
    assert c13(recorded()) == (
        f"without the ConfigMap strict waited in {WAITING}, then ran without a restart and has "
        f"LEVEL; without the key in the Secret no-key waited in {WAITING}, then ran without a "
        "restart and has LEVEL; optional started anyway, and has no LEVEL"
    )
    assert "strict did not wait" in c13(recorded(strict=()))
    assert "no-key did not wait" in c13(recorded(key=(("ContainerCreating", 0, 3),)))
    assert "strict did not wait" in c13(recorded(strict=((WAITING, 0, 0.5),)))
    assert "ran with restarts" in c13(recorded(), waiter("strict", {"LEVEL": "x"}, restarts=1))
    assert "and has no LEVEL; without the key" in c13(recorded(), waiter("strict", {"A": "b"}))
    assert c13(recorded(optional=5.0)).endswith("optional did not start, and has no LEVEL")
    assert c13(recorded(), None, waiter("optional", {"LEVEL": "x"})).endswith("and has LEVEL")


@pytest.mark.parametrize(
    ("pod", "choice"),
    [
        ({}, "they start by themselves"),
        ({"uid": "2"}, "they wait until you delete them"),
        ({"phase": "Failed"}, "they have failed for good"),
        ({"restarts": 1}, "they have failed for good"),
    ],
)
def test_what_became_of_those_that_waited(pod, choice):
    version = SimpleNamespace(obj={"metadata": {"name": "strict"}}, uid="1")
    life = SimpleNamespace(versions=[version])
    assert MODULE.what_became_of_it(lab(), life, waiter("strict", {}, **pod)) == choice


# --- A variable from a file -----------------------------------------------------------------------


def reader(name, value, mounts=()):
    """A Pod whose app has the value, or waits if it's None."""
    body = {
        "metadata": {"name": name},
        "spec": {"containers": [{"volumeMounts": [{"name": each} for each in mounts]}]},
    }
    pod = pod_of(body, {"A": "b"} if value is None else {"STARTED": value})
    pod.uid, pod.phase = name, "Pending" if value is None else "Running"
    pod.container = lambda _: SimpleNamespace(reason=WAITING)
    environ = pod.exec
    pod.exec = lambda container, words: (
        environ() if words[0] == "cat" else SimpleNamespace(returncode=int("made" not in mounts))
    )
    return pod


def o22(monkeypatch, single="17", double=None, bare=None, mounts=("token",)):
    monkeypatch.setattr(MODULE, "wait_for_event", lambda *_: {"message": "couldn't parse"})
    written = {"single": "STARTED='17'\n", "double": 'STARTED="17"\n', "bare": "STARTED=17\n"}
    files = SimpleNamespace(read=lambda path: written[path.split("/")[5]])
    pods = (reader("single", single, mounts), reader("double", double), reader("bare", bare))
    return prove("O22", SimpleNamespace(node=files, connection=None), *pods)


def test_o22(monkeypatch):
    assert o22(monkeypatch) == (
        f"a value in single quotes arrives, in double quotes it ends in {WAITING}, without quotes "
        f"it ends in {WAITING}; the app that has the value does not mount the volume"
    )
    assert "in single quotes arrives changed" in o22(monkeypatch, single="'17'")
    assert f"in single quotes ends in {WAITING}" in o22(monkeypatch, single=None)
    assert "in double quotes it arrives" in o22(monkeypatch, double="17")
    assert "without quotes it arrives" in o22(monkeypatch, bare="17")
    assert o22(monkeypatch, mounts=("made",)).endswith(
        "the app that has the value mounts the volume"
    )


@pytest.mark.parametrize(
    ("value", "choice"),
    [(None, "nothing: it isn't started"), ("17", "the number"), ('"17"', "the number in quotes")],
)
def test_the_fate_of_double_quotes(value, choice):
    assert MODULE.fate_of_double(lab(), reader("double", value)) == choice


# --- command and args -----------------------------------------------------------------------------


def printer(said, **container):
    raw = {"spec": {"containers": [container]}}
    pod = SimpleNamespace(raw=raw, logs=lambda _: f"{said}\n")
    pod.wait_until = lambda *_, **__: pod
    return pod


def four(neither="entrypoint cmd", args="entrypoint args", command="command", both="command args"):
    own = {"command": ["echo", "command"]}
    return (
        printer(neither),
        printer(args, args=["args"]),
        printer(command, **own),
        printer(both, args=["args"], **own),
    )


def test_c24():
    assert prove("C24", lab(), *four()) == (
        "with neither, the container runs ENTRYPOINT and CMD; with args alone, ENTRYPOINT and "
        "args; with command alone, command; with both, command and args"
    )
    assert "with command alone, command and CMD;" in prove(
        "C24", lab(), *four(command="command cmd")
    )
    assert "with args alone, args;" in prove("C24", lab(), *four(args="args"))
    assert "with neither, the container runs nothing;" in prove("C24", lab(), *four(neither=""))


def test_what_is_expanded():
    env = [{"name": "URL", "value": "http://$(PORT)"}]
    args = ["$(HOST)", "$HOST", "$$(HOST)", "$(URL)"]
    pod = printer("shop\n$HOST\n$(HOST)\nhttp://$(PORT)", args=args, env=env)
    assert MODULE.expanded(lab(), pod).sentence == (
        "$(HOST) becomes shop; $$(HOST) becomes $(HOST); $(URL) becomes http://$(PORT); "
        "left as written: $HOST"
    )
    other = printer("$(HOST)\nshop\n$(HOST)\nhttp://8080", args=args, env=env)
    assert MODULE.expanded(lab(), other).sentence.endswith("left as written: $(HOST)")
