"""Samples: how many a second, at what cost on the node; and how soon a kill by the kernel is
known."""

from pathlib import Path

from benchmarks.measures import running_cluster
from benchmarks.table import Result
from labhelpers.cluster import progress
from labhelpers.errors import LabError
from labhelpers.lab import Lab

__all__ = ["sampling", "verdict"]

HERE = Path(__file__).resolve().parent
RECORDING_SECONDS = 10


def sampling(rounds: int) -> list[Result]:
    """The time between two samples, the longest of them, and the loop's CPU time by the kernel's
    own account: of a spinner at its limit."""
    between, longest, cost, looks = [], [], [], []
    with running_cluster() as lab, progress.step("sampling") as step:
        lab.apply(HERE / "spinner.yaml").wait_until("Ready", timeout_seconds=60)
        for number in range(rounds):
            step.say(f"round {number + 1} of {rounds}")
            view = lab.slider(
                "?", "spinner", "app", ["200m"], sequence=["200m"], dwell_seconds=RECORDING_SECONDS
            )
            view.chart("?")
            taken = view.slider.samples
            between.append(1 / taken.rate_hertz)
            longest.append(taken.largest_gap_seconds)
            cost.append(100 * taken.cost_share)
            looks.append(100 * taken.life.cpu_seconds / taken.frame["time_seconds"].iloc[-1])
    return [
        Result(
            "time between two samples",
            "median",
            tuple(between),
            goal=1 / 50,
            note=f"recordings of {RECORDING_SECONDS} s each.",
        ),
        Result("longest time between two samples", "median", tuple(longest)),
        Result("cost of sampling, of one core", "median", tuple(cost), goal=2, unit="%"),
        Result("cost of the looks beside it, of one core", "median", tuple(looks), unit="%"),
    ]


def verdict(rounds: int) -> list[Result]:
    """From the kernel's line about the kill to the recorder's knowledge that the container ended by
    it, which the API tells it."""
    delays, lasts = [], []
    with running_cluster() as lab, progress.step("verdict after a kill") as step:
        for number in range(rounds):
            step.say(f"round {number + 1} of {rounds}")
            delay, last = one_kill(lab)
            delays.append(delay)
            lasts.append(100 * last)
    note = (
        "the kubelet has to hear of it from the runtime, and to tell the API, before anybody can"
        " know."
    )
    return [
        Result(
            "the recorder's verdict after the kernel's kill", "median", tuple(delays), note=note
        ),
        Result(
            "what the last sample before the kill lacks of the limit",
            "median",
            tuple(lasts),
            goal=5,
            unit="%",
        ),
    ]


def one_kill(lab: Lab) -> tuple[float, float]:
    """(seconds from the kernel's line to the first version with exit code 137, share of the limit
    that the last sample lacks)."""
    with lab.samples("hog", "app") as memory:
        pod = lab.apply(HERE / "hog.yaml")
        pod.wait_until("Failed", timeout_seconds=60)
    pod.delete(timeout_seconds=60)
    kill = memory.kills["time_seconds"].iloc[0]
    frame = memory.frame
    last = frame[frame["time_seconds"] <= kill].iloc[-1]
    for version in memory.life.versions:
        for status in version.pod["status"].get("containerStatuses", []):
            if (
                status["state"].get("terminated", {}).get("exitCode") == 137
            ):  # on a busy node the reason may be another: docs/decisions.md
                return version.seconds - kill, 1 - float(
                    last["memory_bytes"] / last["memory_limit_bytes"]
                )
    raise LabError(
        "The hog was not killed.",
        f"{len(memory.life.versions)} versions of the Pod",
        "Look at the node's kernel log.",
    )
