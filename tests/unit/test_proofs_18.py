"""The proofs of lab 18: each says one sentence where its claim is true, another where it isn't."""

from types import SimpleNamespace

import pytest

from labhelpers.proofs import Proofs

PROOFS = Proofs("18-downward-api")


def pod(app="two-names", proxy="two-names", restarts=1):
    said = {"app": app, "proxy": proxy}
    return SimpleNamespace(
        name="two-names",
        raw={"spec": {"nodeName": "a-node"}},
        exec=lambda container, _: SimpleNamespace(stdout=f"{said[container]}\n"),
        container=lambda _: SimpleNamespace(restarts=restarts),
    )


def life(address="stays"):
    return SimpleNamespace(address=address, chart=lambda *_: "a picture")


@pytest.mark.parametrize(
    ("pod", "life", "sentence"),
    [
        (
            pod(),
            life(),
            "app and proxy call themselves two-names; app was restarted once, and the address "
            "stays",
        ),
        (pod(proxy="other"), life(), "proxy has another name; app was restarted once"),
        (pod(restarts=0), life(), "app was not restarted"),
        (pod(), life("changes"), "and the address changes"),
    ],
)
def test_x1(pod, life, sentence):
    assert sentence in PROOFS.of("M1")(None, pod, life).sentence


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("two-names", "the Pod's name"),
        ("app", "its container's name"),
        ("a-node", "the node's name"),
        ("db", "db"),
    ],
)
def test_whose_name(said, choice):
    assert PROOFS.module.whose_name(None, pod(app=said), "app") == choice
