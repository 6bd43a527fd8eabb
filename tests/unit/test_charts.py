"""A chart's finding follows its data, and its picture is the same for the same data."""

import base64
import io
from itertools import combinations

import pandas
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from labhelpers.charts import (
    canvas,
    cpu,
    doses,
    ledger,
    matrix,
    memory,
    samples,
    strips,
    timeline,
    values,
    verdicts,
)
from labhelpers.charts.lanes import Lane
from labhelpers.errors import LabError

SHARED = {"net": [1, 1, 1], "ipc": [2, 2, 2], "pid": [3, 4, 5], "mnt": [6, 7, 8]}
NAMES = ["pause", "writer", "reader"]


def row(lane, kind, state, value, span, **more):
    usual = {"start_resolution": 0.01, "end_resolution": 0.0, "ongoing": False}
    what = {
        "lane": lane,
        "kind": kind,
        "state": state,
        "value": value,
        "start": span[0],
        "end": span[1],
    }
    return {**dict.fromkeys(timeline.COLUMNS), **usual, **what, **more}


def killed_app() -> list[dict]:
    """The life of a Pod whose app was killed: the address, the network and pause go on."""
    end = {"ongoing": True}
    return [
        row("address", "address", "set", "10.244.0.30", (0, 4), **end),
        row("Ready", "condition", "True", "True", (0, 2)),
        row("Ready", "condition", "False", "False", (2, 4), **end),
        row("network", "network", "running", "1", (-5, 4), **end),
        row("pause", "pause", "running", "7@100", (-5, 4), **end),
        row("app", "container", "running", "8@110", (-4, 1), restarts=0, end_resolution=0.2),
        row(
            "app",
            "container",
            "terminated",
            None,
            (1, 2),
            restarts=0,
            exit_code=137,
            signal=9,
            reason="Error",
        ),
        row("app", "container", "running", "9@300", (2, 4), restarts=1, **end),
    ]


def frame(rows: list[dict]) -> pandas.DataFrame:
    return pandas.DataFrame(rows, columns=timeline.COLUMNS)


def finding(rows: list[dict], **more) -> str:
    return timeline.timeline(frame(rows), "What moved?", **more).finding


def test_the_finding_of_a_life():
    said = (
        "app: ended by signal 9, restarted once · pause: same process · network namespace: same ·"
        " address: same"
    )
    assert finding(killed_app()) == said


def changed(number: int, **what) -> list[dict]:
    return [{**each, **what} if at == number else each for at, each in enumerate(killed_app())]


def second(number: int, **what) -> list[dict]:
    """A row cut in two at second 2, the second half with something changed."""
    rows = killed_app()
    rows[number : number + 1] = [
        {**rows[number], "end": 2, "ongoing": False},
        {**rows[number], "start": 2, **what},
    ]
    return rows


def older(restarts: int) -> list[dict]:
    """The same life of a Pod that had some restarts behind it."""
    return [{**each, "restarts": (each["restarts"] or 0) + restarts} for each in killed_app()]


def cut(number: int) -> list[dict]:
    """Nothing comes after this row."""
    return [*killed_app()[:number], {**killed_app()[number], "end": 4, "ongoing": True}]


FALSE_CLAIMS = {
    "another address": (second(0, value="10.244.0.31"), "address: changed"),
    "no address at the end": (changed(0, end=2, ongoing=False), "address: gone"),
    "the address went and came back": (second(0), "address: same"),
    "another network": (second(3, value="2"), "network namespace: another"),
    "another pause": (second(4, value="9@250"), "pause: another process"),
    "no pause at the end": (changed(4, end=2, ongoing=False), "pause: gone"),
    "another signal": (
        changed(6, signal=15, exit_code=143),
        "app: ended by signal 15, restarted once",
    ),
    "an exit of its own": (
        changed(6, signal=None, exit_code=1),
        "app: ended with exit code 1, restarted once",
    ),
    "an end that was never told": (
        changed(6, signal=None, exit_code=None),
        "app: ended, restarted once",
    ),
    "three restarts": (changed(7, restarts=3), "app: ended by signal 9, restarted 3 times"),
    "restarts from before do not count": (older(5), "app: ended by signal 9, restarted once"),
    "no restart": (cut(6), "app: ended by signal 9, not restarted"),
    "another process, though no restart is told": (
        changed(7, restarts=0),
        "app: ended by signal 9, restarted once",
    ),
    "nothing happened": (cut(5), "app: same process"),
}


@pytest.mark.parametrize("name", FALSE_CLAIMS)
def test_another_life_has_another_finding(name):
    rows, words = FALSE_CLAIMS[name]
    assert words in finding(rows).split(" · ")


def texts(chart) -> list[str]:
    return [text.get_text() for text in chart.figure().axes[0].texts]


def test_a_lane_of_ones_own_stands_where_it_is_named_with_its_source():
    probes = Lane("probes", "a log", points=[(1, "passed", True), (3, "failed", False)])
    answers = Lane("answers", "what we set", spans=[(0, 2, "200"), (2, 4, "503")])
    drawn = timeline.timeline(
        frame(killed_app()), "?", [answers, "Ready", probes], ("app",), predicted=[(3.5, "end")]
    )
    said = texts(drawn)
    names = [each for each in said if each in ("answers", "Ready", "probes")]
    assert names == ["answers", "Ready", "probes"]
    assert {"a log", "what we set", "200", "503", "passed", "failed", "predicted", "end"} <= set(
        said
    )
    words = ("answers", "503", "probes", "failed", "predicted", "end")
    assert all(f">{word}<" in drawn.alternative for word in words)
    assert drawn.finding == "app: ended by signal 9, restarted once"


def test_the_words_of_two_predicted_lines_stand_on_their_own_sides():
    ends = [(2.5, "earliest of all"), (3.0, "latest of all")]
    drawn = timeline.timeline(frame(killed_app()), "?", ["app"], predicted=ends)
    sides = {
        text.get_text(): text.get_ha()
        for text in drawn.figure().axes[0].texts
        if text.get_text().endswith("of all")
    }
    assert sides == {"earliest of all": "right", "latest of all": "left"}
    alone = timeline.timeline(frame(killed_app()), "?", ["app"], predicted=ends[:1])
    said = [text for text in alone.figure().axes[0].texts if text.get_text() == ends[0][1]]
    assert said[0].get_ha() == "left"


def test_equal_ends_that_have_no_place_for_two_words_share_one():
    killed = {"signal": 9, "reason": "Error", "exit_code": 137}
    rows = [
        row("app", "container", "running", "1@1", (1.9, 7.3), restarts=0, end_resolution=0.15),
        row("app", "container", "terminated", None, (7.3, 7.5), restarts=0, **killed),
        row("app", "container", "running", "2@2", (7.5, 11.8), restarts=1, end_resolution=0.06),
        row("app", "container", "terminated", None, (11.8, 12), restarts=1, **killed),
        row("app", "container", "running", "3@3", (12, 14.3), restarts=2, ongoing=True),
    ]
    said = texts(timeline.timeline(frame(rows), "?", ["app"]))
    assert said.count("signal 9, restarted") == 1


def test_two_ends_soon_after_a_start_do_not_cover_each_other():
    """A container that crashes twice at once, with reasons all around."""
    failed = {"exit_code": 1, "reason": "Error", "start_resolution": 0.3}
    rows = [
        row("app", "container", "waiting", None, (0.4, 1.9), reason="ContainerCreating"),
        row("app", "container", "running", "1@1", (1.9, 3.5), restarts=0, end_resolution=0.3),
        row("app", "container", "terminated", None, (3.5, 4.0), restarts=0, **failed),
        row("app", "container", "running", "2@2", (4.0, 5.2), restarts=1, end_resolution=0.3),
        row("app", "container", "terminated", None, (5.2, 7.0), restarts=1, **failed),
        row("app", "container", "waiting", None, (7.0, 18.9), reason="CrashLoopBackOff"),
        row("app", "container", "running", "3@3", (18.9, 28.0), restarts=2, ongoing=True),
    ]
    figure = timeline.timeline(frame(rows), "?", ["app"]).figure()
    wanted = {"ContainerCreating", "exit code 1, restarted", "exit code 1"}
    drawn = [text for text in figure.axes[0].texts if text.get_text() in wanted]
    assert {"ContainerCreating", "exit code 1, restarted"} <= {each.get_text() for each in drawn}
    boxes = [text.get_window_extent() for text in drawn]
    assert not any(
        one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[number + 1 :]
    )


@pytest.mark.parametrize(
    ("exit_code", "key", "color"),
    [
        (None, "ended, exit code unknown", canvas.SOFT),
        (1, "ended with an error", canvas.ALARM),
        (0, "ended with exit code 0", canvas.CALM),
    ],
)
def test_an_end_is_drawn_as_what_it_was(exit_code, key, color):
    ended = row("app", "container", "terminated", None, (1, 4), exit_code=exit_code, ongoing=True)
    rows = [row("app", "container", "running", "1@1", (0, 1)), ended]
    drawn = timeline.timeline(frame(rows), "?", ["app"], ("pause",))
    keys = [said for said in texts(drawn) if said.startswith(("ended ", "ended,"))]
    assert keys == [key]
    signs = [line for line in drawn.figure().axes[0].lines if line.get_marker() in ("o", "x")]
    assert {sign.get_color() for sign in signs} == {color}
    assert ("exit code unknown" in drawn.alternative) is (exit_code is None)


def test_an_end_that_nobody_has_seen_is_at_the_end_of_the_pale_part():
    """Its object was gone long before the process was, and nobody could look at the node."""
    unsure = {"end_resolution": 37.0}
    rows = [
        row("app", "container", "running", "1@1", (0, 39.5), **unsure),
        row("app", "container", "terminated", None, (39.5, 39.5), start_resolution=37.0),
        row("other", "container", "running", "2@2", (0, 80), ongoing=True),
    ]
    axes = timeline.timeline(frame(rows), "?", ["app", "other"], ("pause",)).figure().axes[0]
    [sign] = [line for line in axes.lines if line.get_marker() == "o" and line.get_ydata()[0] < 2]
    bars = [patch.get_path().get_extents() for patch in axes.patches if patch.get_alpha() == 0.35]
    assert sign.get_xdata()[0] == pytest.approx(bars[0].x1, abs=0.05)


def test_words_of_a_lane_that_are_near_each_other_do_not_touch():
    """All containers of a Pod are restarted, and wait twice in between."""
    again, init = {"reason": "RestartingAllContainers"}, {"reason": "PodInitializing"}
    killed = {"signal": 9, "reason": "Error", "exit_code": 137, "start_resolution": 0.2}
    rows = []
    for lane, until, ended in (("worker", 8.7, killed), ("watcher", 5.9, {"exit_code": 42})):
        rows += [
            row(lane, "container", "waiting", None, (0.1, 2.7), **init),
            row(lane, "container", "running", f"{lane}@1", (2.7, until)),
            row(lane, "container", "terminated", None, (until, 8.9), **ended),
            row(lane, "container", "waiting", None, (8.9, 9.1), **again),
            row(lane, "container", "waiting", None, (9.1, 10.7), **init),
            row(lane, "container", "running", f"{lane}@2", (10.7, 11.1), ongoing=True),
        ]
    figure = timeline.timeline(frame(rows), "?", ["worker", "watcher"], ("pause",)).figure()
    wanted = {*again.values(), *init.values(), "signal 9", "exit code 42", "restarted"}
    drawn = [text for text in figure.axes[0].texts if text.get_text() in wanted]
    assert {text.get_text() for text in drawn} == wanted
    boxes = [text.get_window_extent() for text in drawn]
    pairs = [
        (one, other) for number, one in enumerate(boxes) for other in boxes[number + 1 :]
        if one.overlaps(other)
    ]  # fmt: skip
    assert not pairs


@pytest.mark.parametrize(("order", "looks"), [((), [0, 1]), (("200", "503"), [1, 0])])
def test_a_lane_may_fix_the_colours_of_its_words(order, looks):
    lane = Lane("answers", "a log", spans=[(0, 2, "503"), (2, 4, "200")], order=order)
    assert [each["look"] for each in lane.rows()] == looks


def test_events_are_marks_and_are_drawn_where_they_are_asked_for():
    rows = [
        *killed_app(),
        row("events", "event", "Killing", "Stopping container app", (1, 1)),
        row("events", "event", "Started", "Started container", (2, 2)),
    ]
    assert "Killing" not in texts(timeline.timeline(frame(rows), "?"))
    said = texts(timeline.timeline(frame(rows), "?", ["app", "events"]))
    assert {"Killing", "Started", "event"} <= set(said)
    assert "predicted" not in said


def test_a_container_that_starts_in_the_recording():
    rows = [
        row("db", "container", "running", "1@1", (0.5, 1), restarts=0),
        row("db", "container", "terminated", None, (1, 4), restarts=0, exit_code=0, ongoing=True),
        row("app", "container", "waiting", None, (0.1, 2), restarts=0, reason="PodInitializing"),
        row("app", "container", "running", "2@2", (2, 4), restarts=0, ongoing=True),
        row(
            "bad",
            "container",
            "waiting",
            None,
            (0.1, 4),
            restarts=0,
            reason="ErrImagePull",
            ongoing=True,
        ),
    ]
    said = {
        "db": "ended with exit code 0",
        "app": "started once",
        "bad": "never ran (ErrImagePull)",
    }
    assert timeline.facts(frame(rows)) == {
        "containers": said,
        "pause": None,
        "network": None,
        "address": None,
    }


def test_tell_chooses_and_orders_what_is_said():
    assert (
        finding(killed_app(), tell=("pause", "app"))
        == "pause: same process · app: ended by signal 9, restarted once"
    )
    with pytest.raises(LabError, match="cannot speak of 'sidecar'"):
        finding(killed_app(), tell=("sidecar",))


def test_only_lanes_that_are_there_are_drawn():
    words = drawn_words(killed_app(), lanes=["Ready", "app"]).splitlines()
    assert {"Ready", "app"} <= set(words)
    assert not {"address", "pause"} & set(words)
    with pytest.raises(LabError, match="no lane 'sidecar'"):
        finding(killed_app(), lanes=["sidecar"])
    with pytest.raises(LabError, match="nothing to draw"):
        finding([])


def drawn_words(rows: list[dict], **more) -> str:
    figure = timeline.timeline(frame(rows), "What moved?", **more).figure()
    return "\n".join(text.get_text() for text in figure.axes[0].texts)


def overlaps(chart) -> list[tuple[str, str]]:
    """The words of a picture that lie on each other."""
    figure = chart.figure()
    FigureCanvasAgg(figure).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts]
    return [
        (one, other)
        for (one, first), (other, second) in combinations(boxes, 2)
        if one and other and first.overlaps(second)
    ]


def test_words_of_short_bars_do_not_lie_on_each_other():
    """A predicted moment is where the first one's words would begin."""
    spans = [(0, 9.3, "Running"), (9.3, 11.6, "being deleted"), (11.6, 12.3, "ended")]
    lanes = [Lane("patient", "the API", spans)]
    rows = frame([row("Ready", "condition", "True", "True", (0, 12.4), ongoing=True)])
    drawn = timeline.timeline(rows, "Who?", lanes, predicted=[(9.28, "NoExecute + 6 s")])
    assert overlaps(drawn) == []


def test_words_of_a_short_wait_do_not_lie_on_the_lanes_source():
    """Right of the wait is a predicted moment."""
    lanes = ["Ready", "app"]
    rows = [
        row("Ready", "condition", "True", "True", (0, 12.5), ongoing=True),
        row("app", "container", "waiting", None, (0.2, 0.8), reason="ContainerCreating"),
        row("app", "container", "running", "8@110", (0.8, 12.5), restarts=0, ongoing=True),
    ]
    drawn = timeline.timeline(frame(rows), "When?", lanes, predicted=[(2.0, "earliest")])
    assert overlaps(drawn) == []


SIGNS = [
    "a, then a new one: b",
    "ended somewhere in the pale part",
    "killed",
    "ended with exit code 0",
    "not running",
    "condition False (reason)",
    "what to look at",
]


@pytest.mark.parametrize(
    ("lanes", "there"),
    [
        (["address", "network", "pause", "app"], [1, 1, 1, 0, 1, 0, 0]),
        (["Ready", "app"], [1, 1, 1, 0, 1, 1, 0]),
        (["pause", "network"], [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_the_legend_has_the_signs_that_are_there(lanes, there):
    words = drawn_words(killed_app(), lanes=lanes).splitlines()
    assert [sign in words for sign in SIGNS] == [bool(each) for each in there]


def test_the_legend_says_what_a_full_bar_is_and_what_is_shaded():
    words = drawn_words(killed_app(), lanes=["Ready", "app"], notes=[(1, 2, "a gap")])
    assert {"running or condition True", "what to look at", "restarted"} <= set(words.splitlines())
    assert "running" in drawn_words(killed_app(), lanes=["pause"]).splitlines()


def test_the_sign_of_an_end_stands_where_it_surely_was_over():
    """The app ended between 0.8 and 1.2."""
    rows = [
        {**each, "start_resolution": 0.2} if each["state"] == "terminated" else each
        for each in killed_app()
    ]
    axes = timeline.timeline(frame(rows), "?", ["app"], ("app",)).figure().axes[0]
    [sign] = [line for line in axes.lines if line.get_marker() == "x"][:1]
    left, right = 1.05, canvas.WIDTH_INCHES - 0.3
    assert sign.get_xdata()[0] == pytest.approx(left + 1.2 * (right - left) / 4, abs=0.02)
    assert "± 0.20 s" in timeline.timeline(frame(rows), "?", ["app"], ("app",)).alternative


def test_letters_tell_apart_and_stand_nowhere_else():
    words = drawn_words(killed_app(), lanes=["pause", "app"]).splitlines()
    assert [words.count(letter) for letter in "abc"] == [2, 2, 0], "in app's lane, and in the key"


def boxes(figure, words: str) -> list:
    """Where the words stand, as the renderer measures it."""
    figure.canvas.draw()
    return [
        text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text() in words.split("|")
    ]


def test_words_and_lines_keep_out_of_each_others_way():
    """A letter moves away from a line across; the words of two lines get a row each."""
    marks = [(0.4, "we kill the app"), (0.42, "we look")]
    figure = timeline.timeline(frame(killed_app()), "?", lanes=["app"], marks=marks).figure()
    (a,) = [
        box for box in boxes(figure, "a") if box.y0 > boxes(figure, "a, then a new one: b")[0].y1
    ]
    across = [line for line in figure.axes[0].lines if line.get_color() == canvas.ALARM]
    places = [
        figure.axes[0].transData.transform((line.get_xdata()[0], 0))[0] for line in across[:2]
    ]
    assert not any(a.x0 <= place <= a.x1 for place in places)
    one, other = boxes(figure, "we kill the app|we look")
    assert not one.overlaps(other)


def test_what_there_is_to_see_is_shaded_and_no_part_of_the_finding():
    rows, note = killed_app(), [(1.0, 2.0, "Ready, but nothing runs")]
    assert timeline.when(frame(rows), {"Ready": "True", "app": "terminated"}) == [(1.0, 2.0)]
    assert timeline.when(frame(rows), {"Ready": "False", "app": "terminated"}) == []
    with pytest.raises(LabError, match="no lane 'web'"):
        timeline.when(frame(rows), {"web": "running"})
    chart, without = (timeline.timeline(frame(rows), "?", notes=notes) for notes in (note, []))
    shaded = [patch for patch in chart.figure().axes[0].patches if patch.get_zorder() == 0.5]
    assert len(shaded) == 1
    assert "Ready, but nothing runs" in drawn_words(rows, notes=note)
    assert "Ready, but nothing runs" in chart.alternative
    assert chart.finding == without.finding


def test_what_we_did_stands_in_the_picture_and_not_in_the_finding():
    assert "we kill the app" in drawn_words(killed_app(), marks=[(1.0, "we kill the app")])
    assert finding(killed_app(), marks=[(1.0, "we kill the app")]) == finding(killed_app())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "net, ipc: one shared by all · pid, mnt: each its own"),
        (
            {"net": [1, 1, 9]},
            (
                "net: one shared by pause and writer; reader has its own · ipc: one shared by all ·"
                " pid, mnt: each its own"
            ),
        ),
        ({"net": [1, 2, 3]}, "net, pid, mnt: each its own · ipc: one shared by all"),
        ({"pid": [3, 3, 3]}, "net, ipc, pid: one shared by all · mnt: each its own"),
        ({"ipc": [2, 2, None]}, "net, ipc: one shared by all · pid, mnt: each its own"),
    ],
)
def test_the_finding_of_a_matrix(change, said):
    assert (
        matrix.matrix(pandas.DataFrame({**SHARED, **change}, index=NAMES), "Who shares?").finding
        == said
    )


def test_two_pods_share_within_and_not_between():
    inodes = {"net": [1, 1, 2, 2], "user": [5, 5, 5, 5]}
    said = matrix.matrix(
        pandas.DataFrame(inodes, index=["one/a", "one/b", "two/a", "two/b"]), "Who?"
    ).finding
    assert said == "net: each Pod its own · user: one shared by all"


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([9, 1, 1, 2, 2], "each Pod its own; node has its own"),
        ([9, 9, 9, 2, 2], "one shared by node and one; two has its own"),
        ([9, 1, 2, 3, 4], "each its own"),
        ([9, 1, 2, 3, 3], "node, one/a, one/b and two each their own"),
        ([9, 1, 2, 1, 2], "one shared by one/a and two/a; one shared by one/b and two/b; node has"
                          " its own"),
        ([9, 1, 1, None, None], "each Pod its own; node has its own"),
    ],
)  # fmt: skip
def test_all_containers_of_a_pod_go_by_its_name(numbers, said):
    names = ["node", "one/a", "one/b", "two/a", "two/b"]
    assert matrix.matrix(pandas.DataFrame({"net": numbers}, index=names), "?").finding == (
        f"net: {said}"
    )


def test_columns_have_plain_words_and_the_one_that_answers_a_frame():
    plain, marked = (
        matrix.matrix(pandas.DataFrame(SHARED, index=NAMES), "?", mark).figure().axes[0]
        for mark in ("", "pid")
    )
    assert {"network", "net", "processes", "pid"} <= {each.get_text() for each in plain.texts}
    assert len(marked.patches) == len(plain.patches) + 1


FATES = pandas.DataFrame(
    {"crash": ["same file", "gone"], "deletion": ["gone", None]}, index=["claim", "root"]
)
SEEN = pandas.DataFrame(
    [("file", "old", 0, 3.14), ("file", "new", 3.14, 9), ("env", "old", 0, 9)],
    columns=["place", "value", "start", "end"],
)
FATE_MARKS = {
    "same file": verdicts.Mark(0, "same file"),
    "gone": verdicts.Mark(1, "gone"),
    "new copy": verdicts.Mark(sign="new copy"),
}


CHARTS = {
    "timeline": lambda: timeline.timeline(
        frame(killed_app()), "The app died. What moved?", lanes=["address", "Ready", "pause", "app"]
    ),
    "matrix": lambda: matrix.matrix(pandas.DataFrame(SHARED, index=NAMES), "Who shares what?"),
    "values": lambda: values.values(SEEN, "Who sees it?", "the file", [(2, "changed")]),
    "verdicts": lambda: verdicts.verdicts(FATES, "What stays?", "the claim stays", FATE_MARKS),
}


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    """What charts put out from now on."""
    outputs: list[dict] = []

    def display(data, *, raw, metadata=None):
        outputs.append(data)

    monkeypatch.setattr("IPython.display.display", display)
    return outputs


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_that_every_viewer_shows(name, shown):
    from PIL import Image

    first, again = CHARTS[name](), CHARTS[name]()
    first._ipython_display_()
    picture, words = shown
    assert set(picture) == {"image/png", "text/plain"}, "HTML in it would hide the picture"
    assert picture["text/plain"] == first.finding == repr(first)
    assert set(words) == {"text/html"}
    png = base64.b64decode(picture["image/png"])
    assert png == again.png, "equal data give equal bytes"
    assert len(png) < 40_000
    image = Image.open(io.BytesIO(png))
    assert set(image.info) <= {"transparency"}, "no date and no version of a program"
    width, height = image.size
    image = image.convert("RGBA")
    corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
    assert [image.getpixel(at)[3] for at in corners] == [0] * 4, "a card with round corners"
    edges = [(width // 2, 6), (6, height // 2), (width // 2, height - 6), (30, 30)]
    assert all(min(image.getpixel(at)) > 230 for at in edges), (
        "opaque and bright: readable in the dark theme"
    )


def written_on(chart):
    return [text.get_text() for text in chart.figure().axes[0].texts]


def test_values_have_a_lane_for_each_place_and_a_key_for_each_value():
    chart = CHARTS["values"]()
    words = written_on(chart)
    assert (words.count("file"), words.count("env"), words.count("changed")) == (1, 1, 1)
    assert (words.count("old"), words.count("new")) == (3, 2), "on the bars, and in the legend"
    assert ">3.1<" in chart.alternative
    assert "3.14" not in chart.alternative


def test_no_values_are_nothing_to_draw():
    with pytest.raises(LabError, match="nothing to draw"):
        values.values(SEEN.head(0), "?", "none")


def test_verdicts_are_written_in_their_cells_and_need_no_legend():
    words = written_on(CHARTS["verdicts"]())
    assert (words.count("same file"), words.count("gone"), words.count("new copy")) == (1, 2, 0)
    assert {"claim", "root", "crash", "deletion"} <= set(words)


def test_verdicts_with_signs_have_a_legend_and_words_beside_them():
    frame = FATES.assign(why=["bound to the claim", ""])
    marks = {"same file": verdicts.Mark(), "gone": verdicts.Mark(1, "×")}
    words = written_on(verdicts.verdicts(frame, "What?", "so", marks, beside="why"))
    assert words.count("×") == 3, "two cells and a key"
    assert {"same file", "gone", "why", "bound to the claim"} <= set(words)


def test_verdicts_without_a_case_are_nothing_to_draw():
    with pytest.raises(LabError, match="nothing to draw"):
        verdicts.verdicts(pandas.DataFrame(), "?", "none", {})


def test_a_chart_is_shown_with_the_sentence_of_its_proof(shown):
    CHARTS["matrix"]().display("net and ipc are shared")
    assert shown[0]["text/plain"] == "net and ipc are shared"


def test_the_text_alternative_has_the_question_the_answer_and_the_data():
    words = CHARTS["timeline"]().alternative
    assert words.startswith("<details><summary>Text alternative</summary>")
    for part in [
        "What moved?",
        "ended by signal 9, restarted once",
        "terminated by signal 9",
        "10.244.0.30",
    ]:
        assert part in words
    assert "<script>" not in timeline.timeline(frame(killed_app()), "<script>").alternative
    many = samples.samples(sampled(RISING * 40), "?").alternative
    assert "64" in many and "in use" not in many
    assert len(many) < 4000, "a summary, however many samples there are"


def test_a_picture_says_what_it_was_measured_on(monkeypatch):
    before = CHARTS["matrix"]()
    monkeypatch.setattr(canvas, "_provenance", "")
    plain = [text.get_text() for text in before.figure().axes[0].texts]
    canvas.set_provenance("Kubernetes 1.37.0 · cgroup v2")
    chart = CHARTS["matrix"]()
    assert [text.get_text() for text in chart.figure().axes[0].texts] == [
        *plain[:1],
        *plain[1:2],
        "Kubernetes 1.37.0 · cgroup v2",
        *plain[2:],
    ]
    assert "Kubernetes 1.37.0 · cgroup v2" in chart.alternative
    assert chart.finding == before.finding


def test_another_life_is_another_picture():
    assert (
        CHARTS["timeline"]().png
        != timeline.timeline(frame(second(4, value="9@250")), "The app died. What moved?").png
    )


def test_more_things_than_colours_still_differ():
    """Beyond the palette colours come again, and the letters do not."""
    assert canvas.letters(range(28))[25:] == ["z", "aa", "bb"]
    many = pandas.DataFrame(
        {"net": [n // 2 for n in range(20)]}, index=[f"c{n}" for n in range(20)]
    )
    assert matrix.matrix(many, "Who?").png


# --- samples --------------------------------------------------------------------------------------

MIB = 1 << 20


def sampled(memory, *, limit=64 * MIB, throttled=0.0, run=1, start=0.0):
    """Samples 20 ms apart: memory in bytes each, half a core used, and this share of the periods
    throttled."""
    times = [start + 0.02 * number for number in range(len(memory))]
    data = {
        "time_seconds": times,
        "memory_bytes": memory,
        "memory_peak_bytes": memory,
        "memory_limit_bytes": limit,
        "cpu_usage_seconds": [5 + (time - start) / 2 for time in times],
        "periods": [int((time - start) * 10 + 1e-9) for time in times],
        "throttled_periods": [throttled * int((time - start) * 10 + 1e-9) for time in times],
        "throttled_seconds": 0.0,
        "run": run,
    }
    return pandas.DataFrame(data, columns=samples.COLUMNS)


RISING = [number * MIB for number in range(1, 65)]


@pytest.mark.parametrize(
    ("memory", "limit", "words"),
    [
        (RISING, 64 * MIB, "memory came to its limit"),
        (RISING[:62], 64 * MIB, "memory came to its limit"),
        (RISING[:60], 64 * MIB, "memory stayed below its limit"),
        (RISING, None, "memory has no limit"),
        ([], 64 * MIB, "nothing sampled yet"),
    ],
)
def test_what_the_finding_says_of_memory(memory, limit, words):
    assert str(samples.samples(sampled(memory, limit=limit), "?")) == words


def test_a_limit_that_is_raised_is_held_against_its_own_samples():
    frame = pandas.concat(
        [sampled(RISING[:50]), sampled(RISING[50:60], limit=128 * MIB, start=1.0)]
    )
    assert str(samples.samples(frame, "?")) == "memory stayed below its limit"


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "no period"), (0.5, "some periods"), (1.0, "nearly all periods")]
)
def test_what_the_finding_says_of_throttling(share, words):
    assert (
        str(samples.samples(sampled([MIB] * 100, throttled=share), "?", show="throttling"))
        == f"throttled in {words}"
    )


@pytest.mark.parametrize(
    ("steps", "within", "words"),
    [
        ([(0, 1.9, 0.5)], None, "yes"),
        ([(0, 0.9, 0.5), (1, 1.9, 0.58)], None, "yes"),
        ([(0, 0.9, 0.5), (1, 1.9, 0.7)], None, "1 of 2"),
        ([(0, 0.9, 0.5), (1, 1.9, 0.7)], 0.3, "yes"),
        ([(5, 6, 0.5)], None, "0 of 1"),
    ],
)
def test_a_prediction_is_held_against_its_stretch(steps, within, words):
    chart = samples.samples(
        sampled([MIB] * 100, throttled=0.5), "?", show="throttling", predicted=steps, within=within
    )
    assert str(chart).endswith(f"as predicted: {words}")


def test_counters_begin_anew_with_each_run():
    frame = pandas.concat(
        [sampled([MIB] * 60, throttled=1.0), sampled([MIB] * 60, throttled=0.0, run=2, start=2.0)]
    )
    assert samples.measured(frame, "throttling", 0, 10) == pytest.approx(0.5)
    assert samples.measured(frame, "cpu", 0, 10) == pytest.approx(0.5)
    assert samples.measured(frame, "memory", 0, 10) == MIB
    assert samples.measured(frame, "cpu", 1.3, 1.9) is None, "between two runs"


def test_the_finding_tells_marks_and_the_container():
    lane = [each for each in killed_app() if each["lane"] == "app"]
    lane[1]["reason"] = "OOMKilled"
    marks = [(1.0, "killed by the kernel"), (1.1, "killed by the kernel")]
    chart = samples.samples(sampled(RISING), "?", marks=marks, intervals=frame(lane))
    ended = "app: ended by signal 9 (OOMKilled, exit code 137), restarted once"
    assert str(chart) == f"memory came to its limit · killed by the kernel twice · {ended}"


@pytest.mark.parametrize("show", samples.SHOWS)
def test_samples_are_drawn_the_same_way_twice_and_without_any(show):
    lane = frame([each for each in killed_app() if each["lane"] == "app"])
    two_runs = pandas.concat(
        [sampled(RISING, throttled=0.5), sampled(RISING[:40], run=2, start=2.0)]
    )
    one, other = (
        samples.samples(
            two_runs, "?", show=show, predicted=[(0, 1, 0.5)], marks=[(1, "m")], intervals=lane
        )
        for _ in "12"
    )
    assert one.png == other.png
    assert samples.samples(sampled([]), "?", show=show).png
    assert samples.samples(sampled([MIB]), "?", show=show).png


def test_what_samples_lack_is_told():
    with pytest.raises(LabError, match="there are memory, cpu, throttling"):
        samples.samples(sampled(RISING), "?", show="disk")
    with pytest.raises(LabError, match="the node keeps no periods"):
        samples.samples(sampled(RISING).assign(periods=None), "?", show="throttling")


def test_parts_say_which_was_the_largest_and_are_drawn():
    frame = pandas.DataFrame(
        {"programs": [0, 40 * MIB, 1], "files": [100, 20 * MIB, 60 * MIB]},
        index=["at rest", "held", "ended"],
    )
    chart = memory.parts(frame, "Who gives way?", 64 * MIB)
    assert str(chart) == "at rest: hardly anything · held: mostly programs · ended: mostly files"
    assert chart.png == memory.parts(frame, "Who gives way?", 64 * MIB).png
    assert memory.parts(frame.iloc[:1] * 0, "?").finding == "at rest: hardly anything"
    assert memory.parts(frame, "?").png != chart.png, "the limit is drawn"
    with pytest.raises(LabError, match="nothing to draw"):
        memory.parts(frame.iloc[:0], "?")


def test_parts_have_a_stroke_and_notes_where_they_are_given():
    frame = pandas.DataFrame({"programs": [0, 40 * MIB]}, index=["at rest", "held"])
    mark, notes = ("working set", {"at rest": 0, "held": 30 * MIB}), {"held": "OOM kill"}
    chart = memory.parts(frame, "?", 64 * MIB, finding="it was killed", mark=mark, notes=notes)
    assert str(chart) == "it was killed"
    assert chart.png != memory.parts(frame, "?", 64 * MIB, finding="it was killed").png
    assert "<td" in chart.alternative
    assert all(words in chart.alternative for words in ("working set, MiB", "OOM kill"))


ACCOUNT = [
    ("none", "offered", "", 0), ("none", "waits", "first", 1),
    ("one", "offered", "", 1), ("one", "has", "first", 1), ("one", "waits", "second", 1),
    ("two", "offered", "", 2), ("two", "has", "second", 1),
]  # fmt: skip


def account(rows=ACCOUNT):
    return pandas.DataFrame(rows, columns=["moment", "state", "who", "pieces"])


def test_a_ledger_says_who_has_and_who_waits_and_is_drawn():
    chart = ledger.ledger(account(), "Who has it?")
    assert (
        str(chart)
        == "none: first waits for 1 · one: first has 1, second waits for 1 · two: second has 1, 1"
        " free"
    )
    assert chart.png == ledger.ledger(account(), "Who has it?").png


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            ("one", "has", "second", 1),
            "one: first has 1, second has 1, second waits for 1, -1 free",
        ),
        (("two", "offered", "", 1), "2 free"),
        (("none", "has", "third", 2), "none: third has 2, first waits for 1, -2 free"),
    ],
)
def test_another_account_is_another_finding(row, says):
    """More has been given than there is; more is offered; somebody has what nobody offers."""
    assert says in str(ledger.ledger(account([*ACCOUNT, row]), "?"))


def test_a_ledger_without_entries_is_refused():
    with pytest.raises(LabError, match="an account without entries"):
        ledger.ledger(account([]), "?")


def spun(cpus: list[float]) -> pandas.DataFrame:
    """Samples of a container that used so many cores in each tenth of a second."""
    used, rows = 0.0, []
    for number, each in enumerate(cpus):
        rows.append((number / 10, used))
        used += each / 10
    return pandas.DataFrame(rows, columns=["time_seconds", "cpu_usage_seconds"]).assign(run=1)


REQUESTED = {"small": 0.1, "big": 0.3}
HALF, EQUAL = {"small": 0.25, "big": 0.75}, {"requested": REQUESTED, "node_cpus": 2}


def test_a_division_is_compared_with_what_was_predicted():
    big = [0.0] * 20 + [1.5] * 50
    fair = cpu.division(
        {"small": spun([2.0] * 20 + [0.5] * 50), "big": spun(big)},
        "Who gets how much?",
        HALF,
        **EQUAL,
    )
    assert str(fair) == (
        "alone, small used more than 5 times its request · "
        "together, they got CPU time in the ratio of their weights"
    )
    assert fair.table.loc["small", "measured"] == pytest.approx(0.25)
    assert fair.table.loc["small", "alone_cpus"] == pytest.approx(2.0, abs=0.1)
    half = {"small": spun([0.4] * 20 + [1.5] * 50), "big": spun(big)}
    found = cpu.division(half, "?", HALF, **EQUAL)
    assert str(found) == (
        "alone, small used no more than 5 times its request · together, not in the ratio of their "
        "weights: small got 0.50 instead of 0.25, big got 0.50 instead of 0.75"
    )
    assert found.png != fair.png
    with pytest.raises(LabError, match="did not want CPU time at the same time"):
        cpu.division(
            {"small": spun([1.0] * 30 + [0.0] * 30), "big": spun([0.0] * 30 + [1.0] * 30)},
            "?",
            HALF,
            **EQUAL,
        )


def test_room_is_counted_in_each_way():
    counts = pandas.DataFrame({"there": [1.2, 0.2], "new": [0.9, 0.9]}, index=["requests", "use"])
    chart = cpu.room(counts, "Is there room?", 2)
    assert str(chart) == "requests: no room · use: room"
    assert chart.png != cpu.room(counts, "Is there room?", 4).png
    assert str(cpu.room(counts, "?", 4)) == "requests: room · use: room"
    with pytest.raises(LabError, match="nothing to draw"):
        cpu.room(counts.head(0), "?", 2)


def test_strips_are_compared_with_their_range():
    own = {"free": [0.05] * 9 + [0.5], "held": [0.13, 0.17, 0.21]}
    ranges = {"free": (0.05, 0.05), "held": (0.13, 0.21)}
    more = {
        "myths": {"held": 0.25},
        "myth": "slower",
        "beside": {"use": {"free": "1", "held": "2"}},
    }
    chart = strips.strips(own, "How long?", ranges, within=(0.02, 0.02), **more)
    assert str(chart) == "free: 50 ms, as predicted · held: 130 to 210 ms, as predicted"
    assert chart.table.loc["free"].to_dict() == {"median": 50, "longest": 500}
    assert chart.png == strips.strips(own, "How long?", ranges, within=(0.02, 0.02), **more).png
    slow = strips.strips({**own, "held": [0.25, 0.25, 0.17]}, "?", ranges, within=(0.02, 0.02))
    assert str(slow) == "free: 50 ms, as predicted · held: 1 of 3 took 130 to 210 ms"
    with pytest.raises(LabError, match="nothing to draw"):
        strips.strips({"free": []}, "?", {"free": (0, 0)})


def test_strips_of_seconds_are_stacked_and_named():
    scale = strips.Scale("from the change to the file", "one Pod", "s")
    own = {"label": [0.12, 0.2, 0.31], "ConfigMap": [57.26, 88.0]}
    ranges = {"label": (0, 2), "ConfigMap": (0, 90)}
    chart = strips.strips(own, "How late?", ranges, scale=scale)
    assert str(chart) == "label: 0 to 2 s, as predicted · ConfigMap: 0 to 90 s, as predicted"
    assert chart.table.loc["ConfigMap"].to_dict() == {"median": 57.3, "longest": 88.0}
    assert chart.png != strips.strips(own, "How late?", ranges).png


def dose(*rows):
    frame = pandas.DataFrame(rows, columns=list(doses.COLUMNS))
    return doses.doses(frame, "How often?", 1.0)


def test_doses_are_compared_with_what_follows_from_the_demand():
    chart = dose((0.2, 1.0, 0.21), (0.8, 0.95, 0.78), (1.2, 0.04, 0.9))
    assert str(chart) == (
        "below the demand throttled in nearly every period, above it in hardly any · "
        "below the demand it used its limit"
    )
    assert chart.png != dose((0.2, 0.5, 0.21), (1.2, 0.5, 0.9)).png
    assert str(dose((0.2, 0.5, 0.4), (1.2, 0.5, 0.9))) == (
        "below the demand throttled in 50 % at 0.2, above it in 50 % at 1.2 · "
        "below the demand it used 0.40 CPUs under 0.2"
    )


def test_doses_may_be_few():
    assert str(dose()) == str(dose((0.2, None, None))) == "nothing measured yet"
    assert str(dose((1.2, 0.0, 0.9))) == "above it in hardly any"
    assert dose().png


def test_what_is_drawn_is_told_apart_without_colours():
    """Areas by hatch, lines by dash; and each stands out from the paper (3 to 1, as WCAG 2.2 asks
    of graphics; areas have an edge)."""
    hatches, dashes = [look[2] for look in canvas.PALETTE], [style for _, style in canvas.LINES]
    assert len(set(hatches)) == len(canvas.PALETTE)
    assert len(set(dashes)) == len(canvas.LINES)
    styles = [canvas.line_style(name) for name in ("measured", "limit", "predicted")]
    assert len({style for _, style in styles}) == 3
    for color in [
        *(color for color, _ in (*canvas.LINES, *styles)),
        canvas.ALARM,
        canvas.CALM,
        canvas.INK,
        canvas.SOFT,
    ]:
        assert contrast(color, canvas.PAPER) >= 3, color
    for color, ink, _ in canvas.PALETTE:
        assert contrast(color, ink) >= 3, "the letter on it can be read"


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    from matplotlib.colors import to_rgb

    def luminance(color):
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in to_rgb(color)
        ]
        return sum(
            weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
        )

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
