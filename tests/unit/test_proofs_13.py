"""The proofs of lab 13: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pandas
import pytest

from labhelpers.proofs import Proofs

PROOFS = Proofs("13-memory-and-oom")
TOOLS = PROOFS.module
MIB = 1 << 20
APP, SIDE = "a" * 64, "b" * 64


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


# --- I2, I3 and the hog ---------------------------------------------------------------------------


def row(lane, state, start, end, *, ongoing=False, code=None, reason=None):
    return {
        "lane": lane, "state": state, "start": start, "end": end, "ongoing": ongoing,
        "exit_code": code, "reason": reason,
    }  # fmt: skip


def ended(start, end, code=137, reason="OOMKilled"):
    return row("app", "terminated", start, end, code=code, reason=reason)


LIVES = [
    row("app", "running", 1, 3), ended(3, 4), row("app", "running", 4, 6), ended(6, 8),
    row("neighbour", "running", 1, 8, ongoing=True),
]  # fmt: skip
PATH = f"/kubelet-pod1.slice/cri-containerd-{APP}.scope"


def line(task_memcg=PATH, oom_memcg=PATH):
    return (
        f"[ 9.0] oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg={oom_memcg},"
        f"task_memcg={task_memcg},task=awk,pid=7,uid=0"
    )


def statuses(lives):
    """What the API said in the end about the container app."""
    ends = [each for each in lives if each["lane"] == "app" and each["state"] == "terminated"]
    return [
        {
            "name": "app",
            state: {
                "terminated": {
                    "containerID": f"containerd://{number}",
                    "exitCode": each["exit_code"],
                    "reason": each["reason"],
                }
            },
        }
        for number, (each, state) in enumerate(zip(ends, ("lastState", "state"), strict=False))
    ]


MISSED = "checking if oom event occurred: no metrics received"


def node_says(log=""):
    return SimpleNamespace(node=SimpleNamespace(run=lambda _: log))


def samples(lives=LIVES, *, kills=(3.0, 6.0), used_mib=63, uids=("u",), report=None):
    frame = {"time_seconds": [2.9, 5.9], "memory_bytes": used_mib * MIB}
    versions = [
        SimpleNamespace(
            obj={
                "metadata": {"uid": uid},
                "spec": {},
                "status": {"containerStatuses": statuses(lives)},
            },
            container_ids={APP: "app", SIDE: "neighbour"},
        )
        for uid in uids
    ]
    return SimpleNamespace(
        kills=pandas.DataFrame({"time_seconds": kills}),
        frame=pandas.DataFrame(frame).assign(memory_limit_bytes=64 * MIB),
        kernel_lines=pandas.DataFrame({"text": [report or line(), "Killed process 7"]}),
        life=SimpleNamespace(intervals=pandas.DataFrame(lives), versions=versions),
    )


def test_i2():
    late = [*LIVES[:1], ended(3, 4, reason="Error"), *LIVES[2:]]
    for memory, log in ((samples(), ""), (samples(late), MISSED)):
        assert prove("I2", memory, lab=node_says(log)) == (
            "the kernel killed app twice, within 5 % of its limit; exit code 137; the reason in "
            "the API is OOMKilled where the runtime was in time; app was restarted"
        )


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (samples(kills=()), "the kernel killed app never, not within"),
        (samples(used_mib=40), "not within 5 % of its limit"),
        (samples([LIVES[0], ended(3, 8), LIVES[4]], kills=(3.0,)), "once, within"),
        (samples([LIVES[0], ended(3, 8), LIVES[4]], kills=(3.0,)), "app was not restarted"),
        (samples([LIVES[0], ended(3, 4, reason="Error"), *LIVES[2:3]]), "the API is another one"),
        (samples([LIVES[0], ended(3, 4, code=1), *LIVES[2:3]]), "exit code 1;"),
    ],
)
def test_i2_otherwise(memory, says):
    assert says in prove("I2", memory, lab=node_says())


@pytest.mark.parametrize(
    ("memory", "choice"),
    [
        (samples(), "the container app"),
        (samples([*LIVES, row("neighbour", "running", 8, 9)]), "both containers"),
        (samples(uids=("u", "v")), "the whole Pod, as a new one with a new UID"),
        (samples([LIVES[0], LIVES[4]]), "nothing"),
    ],
)
def test_what_is_restarted(memory, choice):
    assert TOOLS.what_is_restarted(None, memory) == choice


def test_i3():
    assert prove("I3", samples()) == (
        "task_memcg names the container app; the limit that was hit is the same cgroup's"
    )


def test_i3_otherwise():
    beside = PATH.replace("a" * 64, "c" * 64)
    assert "names no container of this Pod" in prove("I3", samples(report=line(beside, beside)))
    above = samples(report=line(PATH, "/kubelet-pod1.slice"))
    assert "the limit that was hit is that of another cgroup" in prove("I3", above)


# --- I1 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"app": 64 * MIB, "odd": 99_999_744},
            "64Mi arrives to the byte; 100M arrives less a part of a page",
        ),
        ({"app": 64 * MIB, "odd": 100_000_000}, "100M arrives to the byte"),
        ({"app": 64_000_000, "odd": 0}, "64Mi arrives as another number; 100M arrives as another"),
    ],
)
def test_i1(found, sentence):
    limits = {"app": "64Mi", "odd": "100M"}
    containers = [
        {"name": name, "resources": {"limits": {"memory": text}}} for name, text in limits.items()
    ]
    pod = SimpleNamespace(
        raw={"spec": {"containers": containers}},
        container=lambda name: SimpleNamespace(
            cgroup=SimpleNamespace(memory_limit_bytes=found[name])
        ),
    )
    lab = SimpleNamespace(node=SimpleNamespace(run=lambda _: "4096\n"))
    assert sentence in prove("I1", pod, lab=lab)


# --- I4 -------------------------------------------------------------------------------------------


def witness(*, together):
    cgroup = SimpleNamespace(oom_kills_all=together, version=2 if together else 1)
    return SimpleNamespace(cgroup=cgroup)


ONE = TOOLS.Fate(["tail"], lives=True, restarts=0, reason="")
ALL = TOOLS.Fate(["tail"], lives=False, restarts=1, reason="OOMKilled")
TRUE = (
    "hog's neighbour kept its process; in server a worker was killed, and PID 1 fared as this "
    "node's cgroup says"
)


@pytest.mark.parametrize(("fate", "together"), [(ONE, False), (ALL, True)])
def test_i4_is_one_sentence_on_both_versions(fate, together):
    assert prove("I4", samples(), fate, witness(together=together)) == TRUE


@pytest.mark.parametrize(
    ("memory", "fate", "together", "says"),
    [
        (samples(), ONE, True, "fared not as"),
        (samples(), ALL, False, "fared not as"),
        (samples(), TOOLS.Fate([], lives=True, restarts=0, reason=""), False, "no worker was"),
        (samples([*LIVES, row("neighbour", "running", 8, 9)]), ONE, False, "lost its process"),
    ],
)
def test_i4_otherwise(memory, fate, together, says):
    assert says in prove("I4", memory, fate, witness(together=together))


# --- I5 -------------------------------------------------------------------------------------------


def cgroup(anonymous=0, tmpfs=0, files=0, active=0):
    return SimpleNamespace(
        memory_anonymous_bytes=anonymous * MIB,
        memory_shared_bytes=tmpfs * MIB,
        memory_cache_bytes=(tmpfs + files) * MIB,
        memory_inactive_file_bytes=(files - active) * MIB,
        memory_working_set_bytes=(anonymous + tmpfs + active) * MIB,
        memory_limit_bytes=64 * MIB,
    )


def moments(**others):
    found = {
        "at rest": cgroup(),
        "200 MiB file written": cgroup(files=60),
        "program holds 40 MiB": cgroup(anonymous=41, files=20),
        "program has ended": cgroup(files=20),
        "40 MiB in /memory": cgroup(tmpfs=40, files=20),
        "program wants 40 MiB": cgroup(tmpfs=40),
        "file in /memory removed": cgroup(),
    }
    names = {"file": 1, "held": 2, "killed": 5, "removed": 6}
    order = list(found)
    found |= {order[names[name]]: each for name, each in others.items()}
    return SimpleNamespace(found=found)


def test_i5():
    assert prove("I5", moments(), "is OOM-killed") == (
        "page cache filled most of the limit; the working set stayed small; page cache gave way "
        "to a program; files in the memory-backed emptyDir did not give way; the next program was "
        "OOM-killed; rm freed the memory"
    )


@pytest.mark.parametrize(
    ("others", "asked", "says"),
    [
        ({"file": cgroup(files=10)}, "is OOM-killed", "page cache did not fill"),
        ({"file": cgroup(files=60, active=50)}, "is OOM-killed", "the working set grew as well"),
        ({"held": cgroup(files=60)}, "is OOM-killed", "page cache did not give way"),
        ({"killed": cgroup(tmpfs=10)}, "is OOM-killed", "emptyDir gave way"),
        ({}, "gets it", "the next program got its memory"),
        ({"removed": cgroup(tmpfs=40)}, "is OOM-killed", "rm did not free the memory"),
    ],
)
def test_i5_otherwise(others, asked, says):
    assert says in prove("I5", moments(**others), asked)


def test_what_the_predictions_of_i5_measure():
    of_file = [TOOLS.what_became_of(None, SimpleNamespace(returncode=code)) for code in (0, 137, 1)]
    assert of_file == ["finishes", "is OOM-killed", "fails with an error"]
    gets = TOOLS.what_a_program_gets
    assert gets(None, moments()) == "gets it, page cache gives way"
    assert gets(None, moments(held=cgroup(files=60))) == "is OOM-killed"
    beside = TOOLS.what_happens_beside_a_tmpfs
    assert beside(None, moments(), "is OOM-killed") == "is OOM-killed"
    assert beside(None, moments(), "gets it") == "gets it, the file doesn't count"
    gave = moments(killed=cgroup(anonymous=41, tmpfs=10))
    assert beside(None, gave, "gets it") == "gets it, the file gives way"


# --- O4 -------------------------------------------------------------------------------------------

NODE = "8\nMemTotal:  1048576 kB\n"
OWN = "1\nMemTotal:  65536 kB\n"


def sees(inside):
    own = SimpleNamespace(cpu_limit_cores=0.1, memory_limit_bytes=64 * MIB)
    pod = SimpleNamespace(
        exec=lambda *_: SimpleNamespace(stdout=inside),
        container=lambda _: SimpleNamespace(cgroup=own),
    )
    return SimpleNamespace(node=SimpleNamespace(run=lambda _: NODE)), pod, "odd"


@pytest.mark.parametrize(
    ("inside", "sentence", "choice"),
    [
        (
            NODE,
            "the container sees the node's CPUs and the node's memory, more than its limit",
            "the node's CPUs and memory",
        ),
        (
            OWN,
            "the container sees other CPUs and other memory, no more than allowed",
            "its own limits",
        ),
        (
            NODE.replace("1048576", "65536"),
            "the container sees the node's CPUs and other memory, no more than allowed",
            "the node's CPUs, its own limit",
        ),
    ],
)
def test_o4(inside, sentence, choice):
    lab, *measured = sees(inside)
    assert prove("O4", *measured, lab=lab) == sentence
    assert TOOLS.what_it_sees(lab, *measured) == choice
