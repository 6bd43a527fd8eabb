"""labhelpers.board: the room, its journal, a participant's sender, and what a lab shares."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from labhelpers import lab_shares, paths
from labhelpers.board import room as room_module
from labhelpers.board.journal import SESSION_HOURS, Journal, Session
from labhelpers.board.room import BadEvent, Room
from labhelpers.board.seat import Seat, stored_at
from labhelpers.board.sender import MOST_WAITING, Sender
from labhelpers.errors import LabError, Unreachable
from labhelpers.exercises import Verdict
from labhelpers.polling import poll
from labhelpers.predictions import Prediction

CHOICES = ["stays", "changes"]
ASKED = {"name": "address", "text": "The address …", "choices": CHOICES}


def event(kind, id_="1", **more):
    return {"kind": kind, "id": id_, "lab": "02-pause", **more}


def vote(choice, id_="1", kind="vote"):
    field = {"vote": "choice", "reveal": "measured"}[kind]
    return event(kind, id_, question=ASKED, **{field: choice})


def reveal(measured, id_="9"):
    return vote(measured, id_, "reveal")


def check(passed, saw, id_="5"):
    return event("check", id_, key="a", passed=passed, saw=saw)


@pytest.fixture
def room():
    room = Room()
    room.take("ada", {"kind": "join", "name": "Ada"}, 0)
    room.take("bob", {"kind": "join", "name": "Bob"}, 0)
    return room


def votes(room, stage="measured"):
    [question] = room.questions.values()
    view = question.view(stage)
    return [(each.get("first"), each.get("second")) for each in view["choices"]], view["answer"]


# --- The room


def test_the_first_vote_stays_and_the_last_later_one_is_the_second(room):
    for number, choice in enumerate(["stays", "changes", "stays", "changes"]):
        room.take("ada", vote(choice, str(number)), 1)
    room.take("bob", vote("stays"), 1)
    assert votes(room) == ([(2, 0), (0, 1)], None)


def test_a_vote_after_measuring_counts_for_nothing(room):
    room.take("ada", vote("stays"), 1)
    room.take("ada", reveal("changes"), 2)
    room.take("ada", vote("changes", "2"), 3)
    assert votes(room) == ([(1, 0), (0, 0)], 1)


def test_an_event_that_arrives_twice_counts_once(room):
    assert room.take("ada", vote("stays"), 1) is True
    assert room.take("ada", vote("stays"), 2) is False
    assert votes(room)[0] == [(1, 0), (0, 0)]


def test_two_with_one_name_are_told_apart_and_keep_their_names(room):
    for who in ("ada 2", "third"):
        room.take(who, {"kind": "join", "name": " ADA\u202e "}, 1)
    assert room.take("ada", {"kind": "join", "name": "Ada"}, 2) is False
    assert [each.name for each in room.people.values()] == ["Ada", "Bob", "ADA 2", "ADA 3"]


def test_the_wall_knows_no_names_and_no_votes_before_they_are_shown(room):
    room.take("ada", vote("stays"), 1)
    room.take("ada", reveal("stays"), 1)
    [id_] = room.questions
    seen = []
    for stage in room_module.STAGES:
        room.take("", {"kind": "wall", "question": id_, "stage": stage}, 2)
        seen.append(room.wall_view(3)["question"])
    assert "first" not in seen[0]["choices"][0] and seen[0]["voted"] == 1
    assert seen[1]["choices"][0]["first"] == 1 and seen[1]["answer"] is None
    assert seen[2]["answer"] == 0
    assert "Ada" not in json.dumps(seen)


def test_a_question_in_other_words_is_another_and_spoils_nothing(room):
    forged = event("vote", question={**ASKED, "choices": ["x", "y"]}, choice="x")
    room.take("bob", forged, 1)
    room.take("ada", vote("stays"), 1)
    assert [list(each.first) for each in room.questions.values()] == [["bob"], ["ada"]]


def test_who_passed_and_what_the_others_saw(room):
    room.take("ada", check(True, "uid 1000", "1"), 1)
    room.take("ada", check(False, "uid 0", "2"), 2)  # tries something else: it stays passed
    room.take("bob", check(False, "uid 0"), 2)
    [exercise] = room.teachers_view(3)["exercises"]
    assert (exercise["passed"], exercise["others"]) == (["Ada"], [{"name": "Bob", "saw": "uid 0"}])


def test_who_is_long_on_a_section_and_who_is_gone(room):
    for who in ("ada", "bob"):
        room.take(who, event("section", number=2, of=7, title="Kill the app"), 10)
    room.hear("ada", 620)
    ada, bob = room.teachers_view(630)["people"]
    assert (ada["state"], ada["long"], ada["seconds"]) == ("here", True, 620)
    assert (bob["state"], bob["long"], bob["away_seconds"]) == ("gone", False, 620)


def test_whose_cluster_does_not_answer(room):
    room.take("bob", event("cluster", answers=False), 1)
    assert [each["answers"] for each in room.teachers_view(2)["people"]] == [True, False]
    assert "Bob" not in json.dumps(room.wall_view(2))
    room.take("bob", event("cluster", "2", answers=True), 3)
    assert all(each["answers"] for each in room.teachers_view(4)["people"])


def test_who_leaves_is_forgotten_but_for_the_votes(room):
    room.take("ada", vote("stays"), 1)
    room.take("ada", check(False, "uid 0"), 1)
    room.take("ada", {"kind": "leave"}, 2)
    with pytest.raises(BadEvent):
        room.take("ada", vote("changes", "7"), 3)
    view = room.teachers_view(3)
    assert view["exercises"] == [] and view["people"][0]["state"] == "left"
    assert votes(room)[0] == [(1, 0), (0, 0)]


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        event("fly"),
        vote("flies"),
        event("vote", question=None, choice="stays"),
        event("vote", question={**ASKED, "choices": ["a"] * 3}, choice="a"),
        event("vote", question={**ASKED, "choices": [str(n) for n in range(40)]}, choice="1"),
        event("vote", question={**ASKED, "name": ["x"]}, choice="stays"),
        event("section", number="2", of=7, title="x"),
        event("section", number=True, of=7, title="x"),
        event("cluster", answers="no"),
        {**vote("stays"), "id": None},
    ],
)
def test_what_is_no_event_changes_nothing(room, bad):
    before = room.teachers_view(1)
    with pytest.raises(BadEvent):
        room.take("ada", bad, 1)
    assert room.teachers_view(1) == before


def test_a_full_room_takes_nobody_else(room, monkeypatch):
    monkeypatch.setattr(room_module, "MOST_PEOPLE", 2)
    with pytest.raises(BadEvent, match="full"):
        room.take("carl", {"kind": "join", "name": "Carl"}, 1)


# --- The journal


def filled(journal):
    room = Room()
    for who, what, at in [
        ("ada", {"kind": "join", "name": "Ada"}, 1),
        ("bob", {"kind": "join", "name": "Bob"}, 1),
        ("ada", vote("stays"), 2),
        ("ada", check(True, "uid 1000"), 3),
    ]:
        room.take(who, what, at)
        journal.add(who, what, at)
    return room


def replayed(where):
    room, journal = Room(), Journal(where)
    for each in journal.read():
        room.take(*each)
    return room, journal


def test_a_restart_goes_on_where_it_was(tmp_path):
    room = filled(Journal(tmp_path))
    again, journal = replayed(tmp_path)
    assert again.teachers_view(9) == room.teachers_view(9) and journal.unreadable == 0
    assert journal.path.stat().st_mode & 0o077 == 0


def test_a_line_that_a_crash_cut_is_left_out_and_said(tmp_path):
    filled(Journal(tmp_path))
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    again, journal = replayed(tmp_path)
    assert journal.unreadable == 1 and again.teachers_view(9)["exercises"] == []
    journal.add("ada", check(True, "uid 1000"), 4)
    later, _ = replayed(tmp_path)
    assert later.teachers_view(9)["exercises"][0]["passed"] == ["Ada"]


@pytest.mark.parametrize("left_bytes", [0, 4096])
def test_a_full_disk_loses_nothing_once_there_is_room(small_disk, left_bytes):
    small_disk.fill(but_bytes=left_bytes)
    journal = Journal(small_disk.folder)
    room = filled(journal)
    for number in range(20):  # more than what's left, so that one line is cut
        each = check(False, f"{number} " * 200, str(100 + number))
        room.take("bob", each, 5)
        journal.add("bob", each, 5)
    assert journal.trouble == "No space left on device"
    assert journal.path.stat().st_size == left_bytes
    small_disk.free()
    journal.catch_up()
    assert journal.trouble == ""
    again, later = replayed(small_disk.folder)
    assert again.teachers_view(9) == room.teachers_view(9)
    assert later.unreadable == (left_bytes > 0), "the line that was cut"


def test_a_session_is_private_and_not_continued_the_next_day(tmp_path, monkeypatch):
    session = Session.new(8765)
    session.store(tmp_path / "board")
    assert Session.stored(tmp_path / "board") == session
    assert (tmp_path / "board").stat().st_mode & 0o077 == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + SESSION_HOURS * 3600 + 1)
    assert Session.stored(tmp_path / "board") is None


# --- A participant


class FakeBoard(BaseHTTPRequestHandler):
    """Answers with the server's `status`, and keeps the events."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.server.status, {"podlab": "board", "name": "Ada 2"}
        if self.server.status == 200:
            self.server.events += body.get("events", [])
        text = json.dumps(answer if self.server.is_board else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "state"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeBoard)
    server.daemon_threads = False
    server.status, server.events, server.is_board = 200, [], True
    server.address = f"http://127.0.0.1:{server.server_port}/K7QMTX"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sender(board):
    sender = Sender(Seat(board.address, "Ada"))
    yield sender
    sender.stop()


def arrived(board, number):
    return poll(lambda: len(board.events) >= number, timeout_seconds=10, every_seconds=0.02)


def test_what_is_sent_arrives_in_order_with_ids(board, sender):
    for number in range(3):
        sender.send({"kind": "vote", "n": number})
    assert arrived(board, 3)
    assert [each["n"] for each in board.events] == [0, 1, 2]
    assert len({each["id"] for each in board.events}) == 3
    assert sender.name == "Ada 2"


def test_a_dead_board_delays_nothing_and_gets_it_later(board, sender):
    board.status = 503
    began = time.monotonic()
    for number in range(MOST_WAITING + 5):
        sender.send({"kind": "vote", "n": number})
    assert time.monotonic() - began < 1
    assert poll(lambda: sender.trouble, timeout_seconds=10)
    board.status = 200
    assert arrived(board, MOST_WAITING)
    states = [each.state for each in sender.shared()]
    assert states[:5] == ["lost"] * 5
    assert poll(
        lambda: {each.state for each in sender.shared()[5:]} == {"sent"}, timeout_seconds=10
    )


@pytest.mark.parametrize("is_board", [True, False])
def test_only_a_board_can_end_a_seat(board, sender, is_board):
    sender.seat.store()
    board.status, board.is_board = 404, is_board
    sender.send({"kind": "vote"})
    assert poll(lambda: sender.ended if is_board else sender.trouble, timeout_seconds=10)
    assert (sender.ended, stored_at().exists()) == (is_board, not is_board)


def test_who_leaves_in_a_terminal_has_left_in_the_kernel(board, sender):
    sender.seat.store()
    Seat.stored().give_up()
    sender.send({"kind": "vote"})
    assert poll(lambda: sender.ended, timeout_seconds=10) and board.events == []


@pytest.mark.parametrize(
    "address", ["", "K7QMTX", "ftp://a/K7QMTX", "http://a/", "http://a:b/K7QMTX", "http:///K7QMTX"]
)
def test_an_address_that_is_none_is_said_to_be(address):
    with pytest.raises(LabError, match="isn't the address of a board"):
        Seat(address, "Ada")


def test_a_board_that_is_not_there_is_told_in_three_lines(board):
    board.server_close()
    with pytest.raises(LabError, match="The board doesn't answer"):
        Sender(Seat("http://127.0.0.1:9/K7QMTX", "Ada")).join()


# --- What a lab shares


@pytest.fixture
def shares(monkeypatch, board):
    monkeypatch.setattr(lab_shares, "_sender", None)
    shares = lab_shares.LabShares()
    shares.name = "02-pause"
    yield shares
    if lab_shares._sender is not None:
        lab_shares._sender.stop()


def test_nothing_is_shared_before_joining(board, shares):
    prediction = Prediction("address", "The address …", CHOICES)
    shares._share_reveal(prediction, "stays")
    assert str(shares.shared()) == "Nothing is shared: you haven't joined a board."
    assert board.events == []


def test_what_is_shared_is_shown_and_ends(board, shares):
    said = shares.join(board.address, "Ada")
    assert said.startswith("You're Ada 2 on the board") and "Nothing else." in said
    prediction = Prediction("address", "The address …", CHOICES)
    prediction.committed = lambda: shares._share_vote(prediction)
    prediction.commit("changes")
    shares._share_reveal(prediction, "stays")
    with shares._sharing_check("a", own=True) as told:
        told.append(Verdict(False, "uid 0 · hint: set runAsUser"))
    with pytest.raises(OSError), shares._sharing_check("a", own=True):
        raise OSError(28, "No space left on device")
    with shares._sharing_check("b", own=False) as told:
        told.append(Verdict(True, "the author's"))
    assert arrived(board, 4)
    assert [each["kind"] for each in board.events] == ["vote", "reveal", "check", "check"]
    words = [line.split("  02-pause  ")[-1] for line in str(shares.shared()).splitlines()[1:]]
    assert words == [
        "prediction address: changes",
        "measured address: stays",
        "exercise a: not yet: uid 0",
        "exercise a: not yet: the check failed: [Errno 28] No space left on device",
    ]
    assert shares.leave().startswith("You've left.") and not stored_at().exists()
    assert board.events[-1]["kind"] == "leave"


def test_the_next_lab_goes_on_sharing_and_says_so(board, shares, capsys):
    shares.join(board.address, "Ada")
    lab_shares._sender.stop()
    lab_shares._sender = None
    shares._resume_sharing()
    assert capsys.readouterr().out.startswith("Shared with the board http://127.0.0.1")
    shares._share("section", number=1, of=7, title="One")
    assert arrived(board, 1)


def test_joining_again_is_the_same_person(board, shares):
    shares.join(board.address, "Ada")
    secret = Seat.stored().secret
    shares.join(board.address, "Ada Lovelace")
    assert Seat.stored().secret == secret


def test_a_cell_is_found_by_its_id_and_by_its_source(tmp_path, monkeypatch):
    cells = [
        {"cell_type": "markdown", "source": ["# 02\n", "```\n", "## no heading\n", "```"]},
        {"cell_type": "code", "id": "start", "source": ["lab = 1"]},
        {"cell_type": "markdown", "source": "## What does `pause` hold?\ntext"},
        {"cell_type": "code", "id": "ask", "source": "lab.predict()"},
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_pause.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path / "notebooks")
    found = lab_shares.sections("02-pause")
    assert found["start"] == {"number": 0, "title": "the beginning", "of": 1}
    assert found["lab.predict()"] == {"number": 1, "title": "What does pause hold?", "of": 1}
    assert lab_shares.sections("77-none") == {}


@pytest.fixture
def hooks(board, shares, monkeypatch):
    """What IPython would call before and after a cell."""
    hooks = {}
    events = SimpleNamespace(register=hooks.__setitem__, unregister=lambda *_: None)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(events=events))
    shares.join(board.address, "Ada")
    return hooks


def test_a_cell_tells_the_section_once(board, shares, hooks):
    first = next(iter(lab_shares.sections(shares.name)))
    for cell in (first, first, "a cell of the reader's own"):
        hooks["pre_run_cell"](SimpleNamespace(cell_id=cell, raw_cell=cell))
    assert arrived(board, 1) and len(board.events) == 1
    assert board.events[0]["lab"] == "02-pause"


def test_a_cluster_that_dies_is_told_once_and_so_is_that_it_answers_again(board, shares, hooks):
    first = next(iter(lab_shares.sections(shares.name)))
    dead = Unreachable("The cluster didn't answer.", "connection refused", "podlab up")
    for cell, error in [
        (first, None),
        (first, None),
        (first, ValueError("the reader's own")),
        (first, dead),
        ("a cell of the reader's own", dead),
        ("print(1)", None),  # it hasn't asked the cluster
        (first, ValueError("the reader's own")),
        (first, None),
    ]:
        info = SimpleNamespace(cell_id=cell, raw_cell=cell)
        result = SimpleNamespace(info=info, error_in_exec=error, success=error is None)
        hooks["post_run_cell"](result)
    assert arrived(board, 3)
    assert [each["answers"] for each in board.events] == [True, False, True]
    assert "your cluster doesn't answer" in shares.shared()
