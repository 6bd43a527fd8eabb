"""The teacher's board in a browser, with a room of thirty: real senders, all at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from labhelpers.board.seat import Seat
from labhelpers.board.sender import Sender
from labhelpers.polling import poll
from tests.browser.board_host import Host
from tests.ports import free_port

pytestmark = [pytest.mark.rota(group="browser"), pytest.mark.timeout(120)]

CHOICES = [
    "the app dies and is restarted",
    "kill fails: not permitted",
    "nothing happens: the kernel drops the signal",
]
QUESTION = {"name": "kill", "text": "kill -9 1, from inside the container …", "choices": CHOICES}
WHERE = {"kind": "section", "lab": "02-pause", "of": 7}
MARKUP = "<img src=x onerror=document.title='hacked'>"
NAMES = ["Ada", "Ada", MARKUP, *(f"Person {number:02}" for number in range(4, 31))]
BEGIN_SECONDS = 30
# Headless Chromium has no dark mode of its own; pages are looked at in both, and as on a phone.
PHONE, LAPTOP, WALL = ({"width": w, "height": h} for w, h in [(360, 740), (1280, 800), (1280, 720)])


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "state")
    host.start(str(free_port()))
    yield host
    host.kill()


@pytest.fixture
def senders(host: Host, tmp_path, monkeypatch) -> Iterator[list[Sender]]:
    """Thirty that join in the same moment."""
    monkeypatch.setenv("PODLAB_STATE", str(tmp_path / "theirs"))
    senders = [Sender(Seat(host.room, name)) for name in NAMES]
    with ThreadPoolExecutor(len(senders)) as pool:
        list(pool.map(Sender.join, senders))
    yield senders
    with ThreadPoolExecutor(len(senders)) as pool:
        list(pool.map(Sender.stop, senders))


def vote(sender: Sender, choice: int, kind: str = "vote") -> None:
    field = {"vote": "choice", "reveal": "measured"}[kind]
    event = {"kind": kind, "lab": "02-pause", "question": QUESTION, field: CHOICES[choice]}
    sender.send(event)


def delivered(senders: list[Sender]) -> bool:
    return poll(
        lambda: all(each.state == "sent" for sender in senders for each in sender.shared()),
        timeout_seconds=20,
    )


def rows(page: Page) -> list[str]:
    """The bars' numbers, choice by choice."""
    return [
        " ".join(row.locator(".number b").all_inner_texts())
        for row in page.locator(".histogram tbody tr").all()
    ]


@pytest.fixture
def picture(tmp_path: Path):
    folder = Path(os.environ.get("PODLAB_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str, size: dict) -> None:
        """In light and dark; a phone must not have to scroll sideways."""
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"board-{name}-{scheme}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], f"{name} is {wide} px wide"

    return take


def test_a_room_of_thirty(host: Host, senders: list[Sender], chromium: Browser, picture):
    teacher, wall = chromium.new_page(viewport=LAPTOP), chromium.new_page(viewport=WALL)
    try:
        wall.goto(host.room)
        expect(wall.locator("h1")).to_have_text("Join the board")
        expect(wall.locator(".here")).to_have_text("30 people here")
        picture(wall, "wall-join", WALL)

        # All at once; two have one name, and one has markup.
        for number, sender in enumerate(senders):
            sender.send({**WHERE, "number": 4, "title": "Kill the app"})
            vote(sender, 0 if number < 18 else 1 if number < 26 else 2)
        assert delivered(senders)
        teacher.goto(host.teacher)
        expect(teacher.locator("article .lab")).to_have_text("02-pause · 30 voted")
        assert rows(teacher) == ["18", "8", "4"]
        named = teacher.locator(".people th[scope=row]").all_inner_texts()
        assert {"Ada", "Ada 2"} <= set(named) and len(named) == 30
        assert len([name for name in named if name.startswith("<img")]) == 1
        assert teacher.locator("main img").count() == 0 and teacher.title() != "hacked"

        # The wall shows no votes before the teacher does.
        teacher.get_by_role("button", name="Choices").click()
        expect(wall.locator("h1")).to_have_text(QUESTION["text"])
        assert rows(wall) == ["", "", ""]
        picture(wall, "wall-choices", WALL)
        teacher.get_by_role("button", name="Votes").click()
        expect(wall.locator(".number b")).to_have_text(["18", "8", "4"])
        tall = wall.evaluate("document.documentElement.scrollHeight")
        assert tall <= WALL["height"], "the wall is seen without scrolling"
        picture(wall, "wall-votes", WALL)

        # The board dies. The room goes on, and one leaves meanwhile.
        host.kill()
        senders[29].stop()
        for number, sender in enumerate(senders[:29]):
            vote(sender, 2 if number < 22 else 0)
            vote(sender, 2, "reveal")
            passed = number % 3 == 0
            saw = "app runs as user 1000" if passed else f"the Pod has {MARKUP} as its image"
            check = {"kind": "check", "lab": "02-pause", "key": "a", "passed": passed, "saw": saw}
            sender.send(check)
        expect(wall.locator("#away")).to_be_visible()
        assert any(each.state == "waiting" for each in senders[0].shared())
        host.start(port="")
        assert host.room == senders[0].seat.address, "the same address again"
        assert delivered(senders[:29])
        expect(wall.locator(".second .number b")).to_have_text(["7", "0", "22"], timeout=15000)
        assert wall.locator("tr.answer").count() == 0, "not before the teacher shows it"
        teacher.get_by_role("button", name="Measured").click()
        expect(wall.locator("tr.answer th")).to_contain_text(CHOICES[2])
        expect(teacher.locator(".passed")).to_contain_text("Ada")
        assert rows(teacher) == ["18 7", "8 0", "4 22"]
        expect(teacher.locator("dt").first).to_have_text("19 people saw")
        assert "[object" not in teacher.locator("main").inner_text()
        picture(wall, "wall-measured", WALL)
        picture(wall, "phone-wall", PHONE)
        picture(teacher, "teacher", LAPTOP)
        picture(teacher, "phone-teacher", PHONE)
        assert wall.locator("main").inner_text().count("Ada") == 0

        # It ends for everybody, and nothing stays.
        ended = subprocess.run(
            [sys.executable, "-m", "labhelpers.cli", "board", "--end"],
            env=host.environment,
            capture_output=True,
            text=True,
            timeout=BEGIN_SECONDS,
        )
        assert ended.stdout.startswith("The session ends"), ended
        expect(teacher.locator("h1")).to_have_text("The session has ended.")
        assert not (Path(host.environment["PODLAB_STATE"]) / ".board").exists()
        senders[0].send({**WHERE, "number": 5, "title": "Later"})
        assert poll(lambda: senders[0].ended, timeout_seconds=10)
    finally:
        teacher.close()
        wall.close()


def test_ctrl_c_keeps_the_session(host: Host):
    host.process.send_signal(signal.SIGINT)
    said, _ = host.process.communicate(timeout=BEGIN_SECONDS)
    assert "continues the session" in said and host.process.returncode == 0
    room = host.room
    host.start(port="")
    assert host.room == room and "The session goes on" in host.said
