"""Lab 05: where each environment variable came from, which source won, and what a missing one
does."""

import base64
import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labhelpers import formulas, paths
from labhelpers.charts.canvas import (
    INK,
    KEY_WIDTH,
    LINE,
    NARROW,
    PALE,
    PALETTE,
    SOFT,
    WIDTH_INCHES,
    Sheet,
    key_rows,
)
from labhelpers.charts.chart import Chart
from labhelpers.errors import LabError
from labhelpers.kube import yaml_reader
from labhelpers.kube.events import wait_for_event
from labhelpers.outcomes import Shown, frame_of, listed
from labhelpers.patience import patient
from labhelpers.polling import poll

MANIFESTS = paths.notebooks() / "manifests" / "05-configuration"
PORT, LEVEL, STARTED = "WEB_PORT", "LEVEL", "STARTED"
START_SECONDS, RETRY_SECONDS = 60, 60  # the kubelet tries again every 10 to 15 s
LATE_SECONDS = 120  # the kubelet tries again, and the containers start
USAGE_ERROR, ANSWER_SECONDS = 1, 10  # httpd's exit code, and how long it may take to start
WAITING = "CreateContainerConfigError"
IMAGE, LINKS, ENV = "image", "Service links", "env"


# --- What a process has, and what could have given it ---------------------------------------------


def variables(text: str) -> dict[str, str]:
    """The variables in what a process was started with, or in what ``env`` prints.

    >>> variables("A=1\\0B=x=y\\0"), variables("A=1\\nB=\\nhttpd: bad address")
    ({'A': '1', 'B': 'x=y'}, {'A': '1', 'B': ''})
    """
    lines = text.split("\0" if "\0" in text else "\n")
    return dict(line.split("=", 1) for line in lines if re.match(r"[^\s=:]+=", line))


def environment(lab, pod) -> dict[str, str]:
    """The variables with which the process of a Pod's container app was started."""
    return _environment(pod)


def _environment(pod) -> dict[str, str]:
    return variables(pod.exec("app", ["cat", "/proc/1/environ"]).stdout)


def service_variables(service: Mapping) -> dict[str, str]:
    """The variables that the kubelet makes of a Service; none of a headless one.

    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables

    >>> spec = {"clusterIP": "10.96.0.9", "ports": [{"port": 80, "protocol": "TCP"}]}
    >>> found = service_variables({"metadata": {"name": "my-web"}, "spec": spec})
    >>> found["MY_WEB_SERVICE_HOST"], found["MY_WEB_PORT"], len(found)
    ('10.96.0.9', 'tcp://10.96.0.9:80', 7)
    >>> service_variables({"metadata": {"name": "db"}, "spec": {"clusterIP": "None"}})
    {}
    """
    address = service["spec"].get("clusterIP", "None")
    if address in ("", "None"):
        return {}
    name = service["metadata"]["name"].upper().replace("-", "_")
    ports = service["spec"]["ports"]
    found = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        protocol, number = port.get("protocol", "TCP"), str(port["port"])
        url = f"{protocol.lower()}://{address}:{number}"
        own = f"{name}_PORT_{number}_{protocol}"
        found.setdefault(f"{name}_PORT", url)
        found |= {own: url, f"{own}_PROTO": protocol.lower(), f"{own}_PORT": number}
        found[f"{own}_ADDR"] = address
        if called := port.get("name"):
            found[f"{name}_SERVICE_PORT_{called.upper().replace('-', '_')}"] = number
    return found


@dataclass(frozen=True)
class Offer:
    """One source's value for a variable.

    Attributes:
        source: such as "image", "Service links", "base" (of envFrom) or "env".
        value: what the source says.
        place: the file and the line that say so.
    """

    source: str
    value: str
    place: str


def offers(lab, pod) -> dict[str, list[Offer]]:
    """What each source says about each variable of a Pod's container, from the weakest source to
    the strongest, as Kubernetes' documentation has the order."""
    found: dict[str, list[Offer]] = {}

    def add(source: str, values: Mapping[str, str], places: Mapping[str, str] | str) -> None:
        for name, value in values.items():
            place = places if isinstance(places, str) else places[name]
            found.setdefault(name, []).append(Offer(source, value, place))

    raw = pod.raw
    of_image = image_variables(lab, raw)
    add(IMAGE, of_image, {name: _line_of_image(name) for name in of_image})
    linked = raw["spec"].get("enableServiceLinks", True)
    for service in _services(lab, with_own=linked):
        add(LINKS, service_variables(service), f"Service {service['metadata']['name']}")
    container = raw["spec"]["containers"][0]
    for each in container.get("envFrom", ()):
        kind, name = _referred(each)
        values, prefix = _data(lab, kind, name), each.get("prefix", "")
        add(
            name,
            {prefix + key: value for key, value in values.items()},
            {prefix + key: _line_of_key(kind, name, key) for key in values},
        )
    for each in container.get("env", ()):
        add(ENV, {each["name"]: _value(lab, raw, each)}, _line_of_env(each["name"]))
    return found


def image_variables(lab, raw: Mapping) -> dict[str, str]:
    """The ENV of a container's image, as the node has it."""
    digest = raw["status"]["containerStatuses"][0]["imageID"].rpartition("@")[2]
    get = "ctr --namespace k8s.io content get"
    found = json.loads(lab.node.run(f"{get} {digest}"))
    if "layers" in found:  # It was the digest of the manifest.
        found = json.loads(lab.node.run(f"{get} {found['config']['digest']}"))
    return dict(line.split("=", 1) for line in found["config"].get("Env") or ())


def _services(lab, with_own: bool) -> list[dict]:
    """The Services that a new container may be linked with: kubernetes always, those of its own
    namespace unless the Pod says otherwise."""
    own = lab.connection.list("Service", lab.namespace)["items"] if with_own else []
    return [lab.connection.within("default").get("Service", "kubernetes"), *own]


def _referred(each: Mapping) -> tuple[str, str]:
    """The kind and the name of the object that an item of envFrom, or a valueFrom, refers to."""
    for field, kind in {"configMap": "ConfigMap", "secret": "Secret"}.items():
        for ending in ("Ref", "KeyRef"):
            if found := each.get(field + ending):
                return kind, found["name"]
    raise LabError("That's no reference to a ConfigMap or a Secret.", f"{dict(each)}", "")


def _data(lab, kind: str, name: str) -> dict[str, str]:
    data = lab.connection.get(kind, name).get("data") or {}
    if kind == "Secret":
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
    return data


def _value(lab, raw: Mapping, each: Mapping) -> str:
    """What an entry of env stands for. Those of this lab refer to no other variable."""
    how = each.get("valueFrom")
    if how is None:
        return each.get("value", "")
    if "fieldRef" in how:
        return raw["status"]["podIP"]
    if "resourceFieldRef" in how:
        limits = raw["spec"]["containers"][0]["resources"]["limits"]
        return str(int(formulas.quantity(limits["memory"])))
    kind, name = _referred(how)
    key = how["configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef"]["key"]
    return _data(lab, kind, name)[key]


def _line_of_image(name: str) -> str:
    lines = (MANIFESTS / "web.Dockerfile").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.startswith(f"ENV {name}="):
            return f"web.Dockerfile:{number}"
    return "web.Dockerfile:1"  # FROM: the base has it


def _line_of_key(kind: str, name: str, key: str) -> str:
    text = (MANIFESTS / "settings.yaml").read_text(encoding="utf-8")
    for document in yaml_reader.read(text, "settings.yaml"):
        if (document.value["kind"], document.value["metadata"]["name"]) == (kind, name):
            field = "stringData" if kind == "Secret" else "data"
            return f"settings.yaml:{document.place(f'{field}[{key}]').line}"
    return f"{kind} {name}"


def _line_of_env(name: str) -> str:
    text = (MANIFESTS / "shop.yaml").read_text(encoding="utf-8")
    (document,) = yaml_reader.read(text, "shop.yaml")
    path = f'spec.containers[name="app"].env[name="{name}"]'
    return f"shop.yaml:{document.place(path).line}"


# --- Which source wins ----------------------------------------------------------------------------


def winner(has: str | None, offered: Sequence[Offer]) -> Offer | None:
    """The offer with the value that the process has, and the strongest of them if there are
    several; None if there's none.

    >>> two = [Offer("image", "80", "a:1"), Offer("env", "90", "b:2")]
    >>> winner("80", two).source, winner("70", two)
    ('image', None)
    """
    found = [each for each in offered if each.value == has]
    return found[-1] if found else None


@dataclass(frozen=True)
class Step:
    """What a Pod of the ladder has: without which sources, and whose value its process has."""

    without: tuple[str, ...]
    value: str
    won: Offer | None


def take_away(lab, pod) -> list[Step]:
    """Takes away the source that won, again and again, each time in a new Pod, and sees which one
    wins then."""
    steps, without = [], ()
    body = _body("shop.yaml")
    while True:
        value = _environment(pod).get(PORT)
        won = winner(value, offers(lab, pod).get(PORT, ()))
        steps.append(Step(without, value or "", won))
        if won is None or won.source == IMAGE:
            return steps
        without = (*without, won.source)
        body = _without(body, won.source)
        body["metadata"].update(name=f"shop-{len(without)}", namespace=lab.namespace)
        lab.connection.apply(body)
        pod = lab.pod(body["metadata"]["name"]).wait_until("Ready", timeout_seconds=START_SECONDS)


def _body(file: str) -> dict:
    (document,) = yaml_reader.read((MANIFESTS / file).read_text(encoding="utf-8"), file)
    return document.value


def _without(body: Mapping, source: str) -> dict:
    """A Pod's manifest without one source of WEB_PORT."""
    body = copy.deepcopy(dict(body))
    container = body["spec"]["containers"][0]
    if source == LINKS:
        body["spec"]["enableServiceLinks"] = False
    elif source == ENV:
        container["env"] = [each for each in container["env"] if each["name"] != PORT]
    else:
        container["envFrom"] = [
            each for each in container["envFrom"] if _referred(each)[1] != source
        ]
    return body


def which_of_two(lab, pod) -> str:
    """Which of the two ConfigMaps won, as one of the choices of "twice"."""
    value = _environment(pod).get("LOG_LEVEL")
    return {"info": "info, from base", "debug": "debug, from site"}.get(value, str(value))


def ladder(lab, steps: Sequence[Step]) -> Shown:
    """The steps as a table."""
    rows = [
        {
            "taken away": listed(step.without[-1:]) or "nothing",
            PORT: step.value,
            "comes from": step.won.source if step.won else "?",
            "line": step.won.place if step.won else "?",
        }
        for step in steps
    ]
    return Shown(frame_of(rows), f"{PORT} comes from {_order(steps)}")


def _order(steps: Sequence[Step]) -> str:
    names = {ENV: "env", LINKS: "the Service link", IMAGE: "the image"}
    won = [
        names.get(step.won.source, f"envFrom {step.won.source}") if step.won else "no source"
        for step in steps
    ]
    return ", without that from ".join(won)


def c12(lab, pod, steps) -> Shown:
    """The value from each source arrives; env wins over envFrom, a later envFrom over an earlier
    one, envFrom over Service links, and Service links over the image."""
    has, offered = _environment(pod), offers(lab, pod)
    wrong = [name for name, each in offered.items() if winner(has.get(name), each) is not each[-1]]
    unknown = sorted(set(has) - set(offered))
    order = [step.won.source if step.won else "?" for step in steps]
    law = [ENV, "site", "base", LINKS, IMAGE]
    words = [
        f"the strongest source didn't win for {listed(wrong)}"
        if wrong
        else "each variable has the value of the strongest source that has its name",
        f"only {listed(unknown)} have none" if unknown else "every variable has a source",
        "from strong to weak: env, a later envFrom, an earlier envFrom, Service links, the image"
        if order == law
        else f"from strong to weak: {', '.join(order)}",
    ]
    return Shown(_picture(has, offered, unknown), "; ".join(words))


ROWS = (
    "PATH", "KUBERNETES_PORT", "WEB_SERVICE_HOST", "CURRENCY", "LOG_LEVEL", "WEB_PORT",
    "DB_PASSWORD", "WELCOME", "PGPASSWORD", "POD_IP", "MEMORY_LIMIT",
)  # fmt: skip
COLUMNS = {
    IMAGE: "image ENV",
    LINKS: "Service links",
    "base": "envFrom base",
    "site": "envFrom site",
    "db": "envFrom db",
    ENV: "env",
}
ROW = 0.27  # in inches
WINS = PALETTE[0]


def _picture(has: Mapping[str, str], offered: Mapping[str, Sequence[Offer]], unknown) -> Chart:
    """A row for each variable, a column for each source: who offered what, and whose value the
    process has."""
    rows = []
    for name in (row for row in ROWS if row in offered):
        won = winner(has.get(name), offered[name])
        values = {each.source: each.value for each in offered[name]}
        rows.append({"variable": name, **values, "line": won.place if won else "?"})
    more = {name: winner(has.get(name), each) for name, each in offered.items() if name not in ROWS}
    linked = sum(1 for won in more.values() if won and won.source == LINKS)
    parts = [_contest(name, has.get(name), offered.get(name, ())) for name in ROWS]
    parts += [f"{linked} more variables are Service links"]
    finding = " · ".join(filter(None, parts))
    if unknown:
        finding += f" · no source has {listed(unknown)}"
    frame = frame_of(rows).reindex(columns=["variable", *COLUMNS, "line"]).fillna("")
    title = "Where does each variable come from, and which source won?"
    return Chart(lambda: _draw(frame, has, title, finding), finding, frame, title)


def _contest(name: str, has: str | None, offered: Sequence[Offer]) -> str:
    """Which source won a variable, in words; nothing if only one has it.

    >>> _contest("PORT", "90", [Offer("image", "80", "a:1"), Offer("env", "90", "b:2")])
    'PORT: env won over image'
    """
    won = winner(has, offered)
    if len(offered) < 2 or won is None:
        return ""
    return f"{name}: {won.source} won over {listed(each.source for each in offered if each != won)}"


def _draw(frame, has: Mapping[str, str], title: str, finding: str):
    left = 0.2 + NARROW * max(map(len, frame["variable"])) + 0.1
    place = left + 0.02
    cell = (WIDTH_INCHES - 0.2 - place - 1.02) / len(COLUMNS)
    sheet = Sheet(0.52 + ROW * len(frame) + 0.42, title, finding)
    top = sheet.top
    for number, words in enumerate(COLUMNS.values()):
        x = place + cell * (number + 0.5)
        for line, word in enumerate(words.split(" ", 1)):
            sheet.say(x, top + 0.12 + 0.14 * line, word, size=7.5, color=INK, ha="center")
    line = place + cell * len(COLUMNS) + 0.08
    sheet.say(line, top + 0.26, "the winner's line", size=7.5, color=INK)
    for row, record in enumerate(frame.to_dict("records")):
        y = top + 0.4 + ROW * row
        name = record["variable"]
        sheet.say(left - 0.08, y + ROW / 2, name, size=7.5, color=INK, ha="right")
        sources = [source for source in COLUMNS if record[source]]
        winning = [source for source in sources if record[source] == has.get(name)][-1:]
        for number, source in enumerate(COLUMNS):
            if source not in sources:
                continue
            box = (place + cell * number + 0.02, y + 0.025, cell - 0.04, ROW - 0.05)
            _cell(sheet, box, record[source], source in winning, cell)
        sheet.say(line, y + ROW / 2, record["line"], size=7, color=INK)
    y = top + 0.4 + ROW * len(frame) + 0.2
    sheet.line([place + 0.02, place + cell * len(COLUMNS)], [y - 0.12] * 2, SOFT, width=1)
    sheet.say(place, y, "weakest", size=7.5)
    sheet.say(place + cell * len(COLUMNS), y, "strongest →", size=7.5, ha="right")
    keys = [("in the process", _key(True)), ("overruled", _key(False))]
    sheet.legend(y + 0.22, key_rows(keys))
    return sheet.figure


def _cell(sheet: Sheet, box, value: str, won: bool, width: float) -> None:
    letters = int((width - 0.06) / 0.055)
    short = value if len(value) <= letters else f"{value[: letters - 1]}…"
    style = {"facecolor": WINS[0]} if won else {"facecolor": PALE, "edgecolor": LINE}
    sheet.box(box, linewidth=0 if won else 0.8, **style)
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    color = INK if won else SOFT
    sheet.say(x, y, short, size=6.8, color=color, ha="center", va="center_baseline")
    if not won:
        half = min(box[2] / 2 - 0.04, 0.027 * len(short) + 0.03)
        sheet.line([x - half, x + half], [y, y], SOFT, width=0.9)


def _key(won: bool):
    def draw(sheet: Sheet, x: float, y: float) -> None:
        _cell(sheet, (x, y - 0.08, KEY_WIDTH, 0.16), "80", won, KEY_WIDTH)

    return draw


# --- Service links --------------------------------------------------------------------------------


def log_of_crash(lab, pod) -> str:
    """What the restarted web server wrote before it failed. It's up for milliseconds, so that
    "running" may never be seen."""

    def failed(now) -> bool:
        container = now.container("app")
        # A container that the runtime couldn't start has another exit code, and no log.
        ended = container.restarts >= 1 and container.state == "terminated"
        return ended and container.exit_code == USAGE_ERROR

    pod.wait_until(failed, timeout_seconds=START_SECONDS)
    return pod.logs("app")


@dataclass(frozen=True)
class Start:
    """One start of the web server.

    Attributes:
        what: which one, in words.
        env: its variables.
        serves: whether it answers on port 8080.
        said: its error, if it has one.
    """

    what: str
    env: dict[str, str]
    serves: bool
    said: str


def _start_of(log: str, what: str, *, serves: bool) -> Start:
    """One start of the web server, from its log: first its variables, then its error."""
    said = next((line for line in log.splitlines() if line.startswith("httpd:")), "")
    return Start(what, variables(log), serves, said)


def serves(lab, pod) -> bool:
    """Whether the Pod's web server answers on port 8080, after a moment to start. It has no page,
    and says so."""

    def answers() -> bool:
        asked = pod.exec("app", ["wget", "-q", "-O", "-", "http://127.0.0.1:8080/"])
        return asked.returncode == 0 or "404" in asked.stderr

    return poll(answers, timeout_seconds=patient(ANSWER_SECONDS))


def when_changed(lab, running: Mapping[str, str], crash: str) -> str:
    """When WEB_PORT changed, as one of the choices of "when".

    Args:
        running: the running container's variables, once the Service was there.
        crash: the log of the restarted container.
    """
    if running[PORT] != "8080":
        return "at once, in the running container"
    changed = variables(crash)[PORT] != "8080"
    return "when its container restarts" if changed else "only in a new Pod"


def o15(lab, running, answered, crash, no_links) -> Shown:
    """Service links put variables into the environment for every Service with a cluster IP that
    exists in the Pod's namespace when a container starts, and break an app that reads one of them.

    Args:
        running: the first container's variables, read once the Service was there.
        answered: whether that container answered at that time.
        crash: the log of the restarted container.
        no_links: a Pod without Service links.
    """
    answers = serves(lab, no_links)  # From then on its log is complete.
    starts = [
        Start("web, started before the Service", dict(running), answered, ""),
        _start_of(crash, "web, its container restarted", serves=False),
        _start_of(
            no_links.logs("app"),
            "no-links, created after the Service",
            serves=answers,
        ),
    ]
    services = {
        each["metadata"]["name"]: service_variables(each) for each in _services(lab, with_own=True)
    }
    rows = []
    for each in starts:
        linked = [
            name for name, made in services.items() if made and made.items() <= each.env.items()
        ]
        rows.append(
            {
                "container": each.what,
                "linked Services": ", ".join(linked) or "none",
                PORT: each.env.get(PORT, ""),
                "the web server": "answers" if each.serves else each.said or "doesn't answer",
            }
        )
    before, after, without = (_links(row["linked Services"]) for row in rows)
    broken = starts[1].said and "://" in starts[1].said
    return Shown(
        frame_of(rows),
        f"the container that started before the Services is linked with {before}, and "
        f"{'answers' if starts[0].serves else 'does not answer'}; restarted, it is linked with "
        f"{after}, and the web server "
        f"{'fails on a URL in place of a port' if broken else 'does not fail on a URL'}; with "
        f"enableServiceLinks: false a container is linked with {without}, and "
        f"{'answers' if starts[2].serves else 'does not answer'}",
    )


def _links(names: str) -> str:
    return listed(sorted(names.split(", "))) if names != "none" else "no Service"


# --- A source that is missing ---------------------------------------------------------------------


def is_waiting(lab, now) -> bool:
    """Whether a Pod's container waits for its configuration."""
    return now.container("app").reason == WAITING


def settle(lab, *pods) -> None:
    """Waits until the Pods run, or long enough to say that they don't."""
    poll(lambda: all(pod.phase == "Running" for pod in pods), timeout_seconds=patient(LATE_SECONDS))


def what_became_of_it(lab, life, *pods) -> str:
    """What became of the Pods that waited, as one of the choices of "late"."""
    before = {each.obj["metadata"]["name"]: each.uid for each in reversed(life.versions)}
    now = [pod.now() for pod in pods]
    if any(each.uid != before[pod.name] for pod, each in zip(pods, now, strict=True)):
        return "they wait until you delete them"
    restarts = sum(each.container("app").restarts for each in now)
    if all(each.phase == "Running" for each in now) and not restarts:
        return "they start by themselves"
    return "they have failed for good"


def c13(lab, life, strict, no_key, optional) -> Shown:
    """A missing Secret or ConfigMap key keeps the container in CreateContainerConfigError until it
    exists; with optional: true the container starts anyway, without the variable."""
    created, _ = life.annotations[0]
    began = {pod.name: _began(life, pod) for pod in (strict, no_key, optional)}
    words = [
        f"without the {missing} {pod.name} {_waited(life, pod, created)}"
        for pod, missing in ((strict, "ConfigMap"), (no_key, "key in the Secret"))
    ]
    anyway = "started anyway" if began[optional.name] < created else "did not start"
    has = "has" if LEVEL in _environment(optional) else "has no"
    words.append(f"{optional.name} {anyway}, and {has} {LEVEL}")
    last = max(began[strict.name], began[no_key.name])
    picture = life.chart(
        "The source comes late. When does the container start?",
        [f"{name}: app" for name in began],
        notes=[(last, last, f"{last - created:.0f} s later")],
    )
    return Shown(picture, "; ".join(words))


def _began(life, pod) -> float:
    """When a Pod's container began to run, in seconds since the recording began."""
    rows = life.intervals
    own = rows[(rows["lane"] == f"{pod.name}: app") & (rows["state"] == "running")]
    return float(own["start"].min())


def _waited(life, pod, created: float) -> str:
    """How a Pod's container waited until what it refers to was created, in words."""
    rows = life.intervals
    waits = rows[(rows["lane"] == f"{pod.name}: app") & (rows["reason"] == WAITING)]
    if waits.empty or not _began(life, pod) > created:
        return "did not wait"
    restarts, has = pod.container("app").restarts, LEVEL in _environment(pod)
    ran = "without a restart" if restarts == 0 else "with restarts"
    return f"waited in {WAITING}, then ran {ran} and {'has' if has else 'has no'} {LEVEL}"


# --- A variable from a file -----------------------------------------------------------------------


def settled(lab, *pods) -> None:
    """Waits until each Pod's app runs, or waits for its configuration."""
    for pod in pods:
        pod.wait_until(
            lambda now: now.phase == "Running" or is_waiting(lab, now),
            timeout_seconds=RETRY_SECONDS,
        )


def fate_of_double(lab, double) -> str:
    """What became of the double quotes, as one of the choices of "quotes"."""
    if double.phase != "Running":
        return "nothing: it isn't started"
    value = _environment(double).get(STARTED, "")
    return "the number in quotes" if value.startswith('"') else "the number"


def o22(lab, single, double, bare) -> Shown:
    """fileKeyRef: an init container writes a file, and the app gets its values without mounting
    anything. The values have to be in single quotes."""
    rows, fates = [], {}
    for pod in (single, double, bare):
        written = _file(lab, pod)
        if pod.phase == "Running":
            value = _environment(pod).get(STARTED)
            fates[pod.name] = "arrives" if f"{STARTED}='{value}'" == written else "arrives changed"
            seen = f"{STARTED}={value}"
        else:
            fates[pod.name] = f"ends in {pod.container('app').reason}"
            seen = wait_for_event(lab.connection, pod.name, "Failed")["message"]
        rows.append({"Pod": pod.name, "line of the file": written, "the app": seen})
    app = single.raw["spec"]["containers"][0]
    mounts = [each["name"] for each in app.get("volumeMounts", ()) if each["name"] == "made"]
    inside = single.exec("app", ["ls", "/made"]).returncode == 0
    return Shown(
        frame_of(rows),
        f"a value in single quotes {fates['single']}, in double quotes it {fates['double']}, "
        f"without quotes it {fates['bare']}; the app that has the value "
        f"{'mounts the volume' if mounts or inside else 'does not mount the volume'}",
    )


def _file(lab, pod) -> str:
    """The file as the init container wrote it, read on the node."""
    path = f"/var/lib/kubelet/pods/{pod.uid}/volumes/kubernetes.io~empty-dir/made/app.env"
    return lab.node.read(path).strip()


# --- command, args, and what Kubernetes replaces in them ------------------------------------------


def what_runs(lab, pod) -> str:
    """What a Pod's container has printed, once it has ended."""
    pod.wait_until("Succeeded", timeout_seconds=START_SECONDS)
    return pod.logs("app").strip()


def c24(lab, *pods) -> Shown:
    """command replaces the image's ENTRYPOINT and drops its CMD; args alone replaces CMD."""
    said = {}
    for pod in pods:
        container = pod.raw["spec"]["containers"][0]
        key = (bool(container.get("command")), bool(container.get("args")))
        said[key] = what_runs(lab, pod)
    rows = [
        {
            "": "command: [echo, command]" if command else "no command",
            "no args": said[command, False],
            "args: [args]": said[command, True],
        }
        for command in (False, True)
    ]
    return Shown(
        frame_of(rows),
        f"with neither, the container runs {_parts(said[False, False])}; with args alone, "
        f"{_parts(said[False, True])}; with command alone, {_parts(said[True, False])}; "
        f"with both, {_parts(said[True, True])}",
    )


def _parts(printed: str) -> str:
    """
    >>> _parts("entrypoint cmd"), _parts("command")
    ('ENTRYPOINT and CMD', 'command')
    """
    names = {"entrypoint": "ENTRYPOINT", "cmd": "CMD"}
    return listed(names.get(word, word) for word in printed.split()) or "nothing"


def expanded(lab, pod) -> Shown:
    """What Kubernetes makes of $(NAME) in a container's args, line by line."""
    printed = what_runs(lab, pod).splitlines()
    written = [str(word) for word in pod.raw["spec"]["containers"][0]["args"]]
    env = {each["name"]: each["value"] for each in pod.raw["spec"]["containers"][0]["env"]}
    rows = [
        {"written": word + (f", which is {env['URL']}" if word == "$(URL)" else ""), "printed": got}
        for word, got in zip(written, printed, strict=True)
    ]
    same = [word for word, got in zip(written, printed, strict=True) if word == got]
    other = [
        f"{word} becomes {got}" for word, got in zip(written, printed, strict=True) if word != got
    ]
    return Shown(frame_of(rows), f"{'; '.join(other)}; left as written: {listed(same) or 'none'}")
