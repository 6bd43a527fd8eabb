"""The proofs of lab 14: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pytest

from labhelpers.errors import LabError
from labhelpers.outcomes import Refusal, Resize
from labhelpers.proofs import Proofs

PROOFS = Proofs("14-qos-resize-quotas")
TOOLS = PROOFS.module
MIB = 1 << 20


def prove(claim, *measured, lab=None):
    return PROOFS.of(claim)(lab, *measured).sentence


# --- I6 -------------------------------------------------------------------------------------------

CAPACITY_MIB = 6400
RESOURCES = {
    "nothing": {},
    "memory-only": {"limits": {"memory": "64Mi"}},
    "both": {"limits": {"cpu": "500m", "memory": "64Mi"}},
}
CLASSES = {"nothing": "BestEffort", "memory-only": "Burstable", "both": "Guaranteed"}
NUMBERS = {"nothing": (1000, 1333), "memory-only": (990, 1331), "both": (-997, 6)}


def node_with(numbers, floor=None):
    files = {}
    for pid, name in enumerate(RESOURCES):
        files[f"/proc/{pid}/oom_score_adj"] = f"{numbers[name][0]}\n"
        files[f"/proc/{pid}/oom_score"] = f"{numbers[name][1]}\n"
    node = SimpleNamespace(read=files.__getitem__, formula_inputs={"floor": floor})
    status = {"capacity": {"memory": f"{CAPACITY_MIB}Mi"}}
    connection = SimpleNamespace(list=lambda _: {"items": [{"status": status}]})
    return SimpleNamespace(node=node, connection=connection)


def pods(predicted=CLASSES):
    return [
        SimpleNamespace(
            name=name,
            raw={
                "spec": {"containers": [{"name": "app", "resources": resources}]},
                "status": {"qosClass": CLASSES[name]},
            },
            predicted=SimpleNamespace(qos_class=predicted[name]),
            container=lambda _, pid=pid: SimpleNamespace(
                process=SimpleNamespace(pid=pid), cgroup=SimpleNamespace(memory_bytes=MIB)
            ),
        )
        for pid, (name, resources) in enumerate(RESOURCES.items())
    ]


TRUE = (
    "classes as predicted; oom_score_adj as the formula and this node's floor say; "
    "highest oom_score first: BestEffort, Burstable, Guaranteed"
)


@pytest.mark.parametrize(
    ("numbers", "floor"), [(NUMBERS, None), ({**NUMBERS, "both": (1, 670)}, 1)]
)
def test_i6_with_and_without_a_floor(numbers, floor):
    lab = node_with(numbers, floor)
    assert prove("I6", *pods(), lab=lab) == TRUE
    assert TOOLS.who_goes_first(lab, *pods()) == "the Pod nothing"


@pytest.mark.parametrize(
    ("numbers", "predicted", "says"),
    [
        ({**NUMBERS, "both": (1, 670)}, CLASSES, "another oom_score_adj than predicted in both"),
        ({**NUMBERS, "both": (-997, 1400)}, CLASSES, "first: Guaranteed, BestEffort, Burstable"),
        (NUMBERS, {**CLASSES, "both": "Burstable"}, "both has another class than predicted"),
    ],
)
def test_i6_otherwise(numbers, predicted, says):
    assert says in prove("I6", *pods(predicted), lab=node_with(numbers))


def test_two_equal_scores_tell_nothing():
    with pytest.raises(LabError, match="the same oom_score"):
        TOOLS.who_goes_first(node_with({**NUMBERS, "both": (1, 1333)}), *pods())


# --- O6 -------------------------------------------------------------------------------------------


def shared(*ended, name="one-for-both"):
    states = {each: {"running": {}} for each in ("big", "small")}
    states |= {each: {"terminated": {}} for each in ended}
    statuses = [{"name": each, "state": state} for each, state in states.items()]
    return SimpleNamespace(
        name=name,
        raw={"status": {"containerStatuses": statuses}},
        container=lambda _: SimpleNamespace(id="id"),
    )


def log_of(oom_memcg="/pod1", task_memcg="/pod1/id"):
    line = f"oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg={oom_memcg},task_memcg={task_memcg}"
    return SimpleNamespace(node=SimpleNamespace(kernel_log=lambda _: [line, "Killed process 7"]))


def test_o6():
    own = shared("big", name="each-its-own")
    assert prove("O6", own, shared("big"), lab=log_of()) == (
        "with a limit each, big was killed; with one for both, big had its memory until small "
        "asked, and big was killed; the limit that was hit is the Pod's"
    )


@pytest.mark.parametrize(
    ("own", "both", "log", "says"),
    [
        (shared(), shared("big"), log_of(), "with a limit each, nobody was killed"),
        (shared("big"), shared("small"), log_of(), "small asked, and small was killed"),
        (shared("big"), shared("big"), log_of("/pod1/id"), "hit is the container's"),
    ],
)
def test_o6_otherwise(own, both, log, says):
    assert says in prove("O6", own, both, lab=log)


@pytest.mark.parametrize(
    ("ended", "choice"),
    [
        (("big",), "big"),
        (("small",), "small"),
        ((), "neither: the program gets an error"),
    ],
)
def test_who_was_killed(ended, choice):
    assert TOOLS.who_was_killed(None, shared(*ended)) == choice


# --- O24 and I7 -----------------------------------------------------------------------------------

STEPS = {
    "spec": [64, 96, 32, 64],
    "status": [64, 96, 64],
    "cgroup on the node": [64, 96, 64],
    "Downward API file": [64, 96, 32, 64],
    "environment variable": [64],
}


def who_says(*, restarts=0, after="p", error=True, **others):
    seen = TOOLS.WhoSays(None)
    names = {"file": "Downward API file", "env": "environment variable"}
    steps = STEPS | {names.get(name, "cgroup on the node"): each for name, each in others.items()}
    for place, values in steps.items():
        seen.seen += [(float(number), place, mib) for number, mib in enumerate(values)]
    seen.marks = [(1.0, "patch: 96Mi")] + ([(2.0, TOOLS.ERROR)] if error else [])
    seen.ended, seen.restarts = 9.0, restarts
    seen.process_before, seen.process_after = "p", after
    return seen


def test_o24():
    assert prove("O24", who_says()) == (
        "spec and Downward API file: 64, 96, 32, 64 MiB; status and cgroup on the node: "
        "64, 96, 64 MiB; environment variable: 64 MiB all the time"
    )
    assert "environment variable: 64, 96 MiB" in prove("O24", who_says(env=[64, 96]))
    assert "Downward API file and environment variable: 64 MiB all" in prove(
        "O24", who_says(file=[64])
    )


@pytest.mark.parametrize(
    ("seen", "shows", "becomes"),
    [
        (who_says(), "the file only", "it runs on with its old limit"),
        (who_says(env=[64, 96]), "both", "it runs on with its old limit"),
        (who_says(file=[64], env=[64, 96]), "the environment variable only", None),
        (who_says(file=[64]), "neither, until it restarts", None),
        (who_says(restarts=1), "the file only", "it's OOM-killed"),
        (who_says(after="q"), "the file only", "it's OOM-killed"),
        (who_says(cgroup=[64, 96, 32]), "the file only", "it runs on, slower"),
    ],
)
def test_what_the_predictions_about_a_resize_measure(seen, shows, becomes):
    assert TOOLS.what_shows_the_new_value(None, seen) == shows
    assert TOOLS.what_a_cut_does(None, seen) == (becomes or "it runs on with its old limit")


def quicker(quota=60_000, restarts=0):
    cgroup = SimpleNamespace(cpu_quota_us=quota)
    resources = {"limits": {"cpu": "600m"}}
    return SimpleNamespace(
        raw={"spec": {"containers": [{"name": "app", "resources": resources}]}},
        container=lambda _: SimpleNamespace(cgroup=cgroup, restarts=restarts),
        predicted={"app": SimpleNamespace(cpu_quota_us=60_000)},
    )


def rejected(reason):
    refusal = Refusal(reason)
    refusal.message = 'pods "grow" is forbidden: too much, requested: 1'
    return refusal


OUTCOMES = {
    "more CPU than is free": Resize("deferred", "", 1.0),
    "more than the node": rejected("Forbidden"),
}


def test_i7():
    assert prove("I7", who_says(), quicker(), OUTCOMES) == (
        "more memory: the cgroup changed; a CPU limit of 600m: the cgroup changed; less than in "
        "use: an error, and the cgroup stayed; the process stayed the same; more CPU than is free: "
        "deferred; more than the node: rejected, Forbidden"
    )


@pytest.mark.parametrize(
    ("seen", "pod", "outcomes", "says"),
    [
        (who_says(cgroup=[64]), quicker(), {}, "more memory: the cgroup did not change"),
        (who_says(), quicker(50_000), {}, "600m: the cgroup did not change"),
        (who_says(), quicker(restarts=1), {}, "600m: the cgroup did not change"),
        (who_says(error=False), quicker(), {}, "no error, and the cgroup stayed"),
        (who_says(cgroup=[64, 96, 32, 64]), quicker(), {}, "an error, and the cgroup changed"),
        (who_says(restarts=1), quicker(), {}, "the process did not stay the same"),
        (who_says(), quicker(), {"more": Resize("done", "", 1.0)}, "more: done"),
    ],
)
def test_i7_otherwise(seen, pod, outcomes, says):
    assert says in prove("I7", seen, pod, outcomes)


def test_just_too_much_is_more_than_is_free():
    assert TOOLS.just_too_much(SimpleNamespace(free=lambda _: 0.43)) == "450m"


# --- I8 -------------------------------------------------------------------------------------------


def plain(resources, qos="Burstable"):
    return SimpleNamespace(
        raw={"spec": {"containers": [{"resources": resources}]}, "status": {"qosClass": qos}}
    )


FILLED = {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}
OVER = SimpleNamespace(message='pods "one-more" is forbidden: exceeded quota: small')
RUNS = [SimpleNamespace(name="both", phase="Running")]


def test_i8():
    assert prove("I8", plain(FILLED), OVER, RUNS) == (
        "the LimitRange filled in request and limit, and plain is Burstable; one more Pod was "
        "rejected over the quota; all Pods from before run on"
    )


@pytest.mark.parametrize(
    ("pod", "refusal", "old", "says"),
    [
        (plain({}, "BestEffort"), OVER, RUNS, "filled in nothing, and plain is BestEffort"),
        (plain(FILLED), SimpleNamespace(message="no"), RUNS, "rejected for another reason"),
        (plain(FILLED), OVER, [SimpleNamespace(name="both", phase="Failed")], "not all Pods"),
    ],
)
def test_i8_otherwise(pod, refusal, old, says):
    assert says in prove("I8", pod, refusal, old)
