"""Every guard is seen to bite: what it must stop is shown to it. A guard that never failed proves
nothing."""

import asyncio
import copy
import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_core.utils import run_sync
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labhelpers import paths, stored
from labhelpers.errors import LabError
from labhelpers.kube import manifests
from tests import leaks, rules

PATH = Path("01_pause.ipynb")
CARD = "# 01 · A title\n\n**Time:** 20 minutes.\n\n**Needs:** the node."
FINDING = "app: ended by signal 9, restarted once · address: same"
CLAIMS = {
    "labs": {"01": {"minutes": 20}},
    "claims": [{"id": "B3", "lab": "01", "proof": "claim:B3"}, {"id": "B4", "lab": "01"}],
}


def healthy() -> Any:
    """A notebook that breaks no rule."""

    def code(name: str, source: str, count: int, *tags: str, **data: str) -> Any:
        outputs = (
            [
                new_output(
                    "execute_result",
                    {mime.replace("_", "/"): text for mime, text in data.items()},
                    execution_count=count,
                )
            ]
            if data
            else []
        )
        return new_code_cell(
            source,
            id=name,
            execution_count=count,
            metadata={"tags": list(tags)} if tags else {},
            outputs=outputs,
        )

    cells = [
        new_markdown_cell(CARD, id="card"),
        code(
            "start",
            'from labhelpers import start\n\nlab = start("01-pause")',
            1,
            text_plain="01-pause is ready",
        ),
        code(
            "ask",
            'lab.predict("address", "The address …", choices=["stays", "changes"])',
            2,
            text_plain="The address … stays or changes",
        ),
        code(
            "chart",
            'life.chart("The app died. What moved?")',
            3,
            "measure",
            "claim:B3",
            text_plain=FINDING,
            image_png="iVBORw0=",
        ),
        code(
            "reveal",
            'lab.reveal("address", life.address)',
            4,
            "reveal",
            text_plain="measured: stays",
        ),
        code("facts", "lab.facts()", 5, text_plain="B3"),
        code("finish", "lab.finish()", 6, text_plain="nothing of the lab is left"),
        new_markdown_cell("Previous: 01 · Next: 03", id="links"),
    ]
    return nbformat.from_dict(stored.canonical(new_notebook(cells=cells)))


def cell(notebook: Any, name: str) -> Any:
    return next(one for one in notebook.cells if one.id == name)


def change(name: str, **fields: Any) -> Callable[[Any], None]:
    return lambda notebook: cell(notebook, name).update(copy.deepcopy(fields))


def show(name: str, text: str) -> Callable[[Any], None]:
    return lambda notebook: cell(notebook, name).outputs[0].data.update({"text/plain": text})


def tag(name: str, *tags: str) -> Callable[[Any], None]:
    return lambda notebook: cell(notebook, name).metadata.update(tags=list(tags))


def strip_counts(notebook: Any) -> None:
    for one in notebook.cells:
        if one.cell_type == "code":
            one.update(execution_count=None, outputs=[])


# The rule that must bite, what is done to the healthy notebook, and words of the complaint.
BROKEN = [
    (rules.cells_ran_in_order, strip_counts, "no cell has run"),
    (rules.cells_ran_in_order, change("facts", execution_count=9), "9, 6"),
    (rules.tags_are_known, tag("chart", "raises-exception"), "raises-exception"),
    (rules.tags_are_known, tag("chart", "nbval-ignore-output"), "nbval-ignore-output"),
    (rules.tags_are_known, tag("chart", "skip-execution"), "skip-execution"),
    (
        rules.everything_is_compared,
        change("facts", source="# NBVAL_IGNORE_OUTPUT\nlab.facts()"),
        "marker",
    ),
    (rules.everything_is_compared, change("facts", source="lab.facts();"), "semicolon"),
    (
        rules.everything_is_compared,
        change("facts", source="clear_output()\nlab.facts()"),
        "clear_output",
    ),
    (
        rules.no_error_is_stored,
        change("facts", outputs=[new_output("error", ename="KeyError", evalue="x", traceback=[])]),
        "KeyError",
    ),
    (
        rules.no_error_is_stored,
        change("facts", outputs=[new_output("stream", name="stderr", text="a warning")]),
        "a warning",
    ),
    (
        rules.nothing_volatile_is_stored,
        show("facts", "Started at 05:51:07"),
        "a time of day: 05:51:07",
    ),
    (
        rules.nothing_volatile_is_stored,
        show("facts", "uid 0f5b6c1e-9d1c-4f0e-8a55-1b2c3d4e5f60"),
        "a uid",
    ),
    (
        rules.nothing_volatile_is_stored,
        show("facts", "address 10.244.0.17"),
        "an address: 10.244.0.17",
    ),
    (rules.nothing_volatile_is_stored, show("facts", "node 172.18.0.2"), "an address: 172.18.0.2"),
    (
        rules.nothing_volatile_is_stored,
        show("facts", "containerd://0123456789abcdef"),
        "a container id",
    ),
    (rules.nothing_volatile_is_stored, show("facts", "net:[4026532281]"), "inode"),
    (
        rules.nothing_volatile_is_stored,
        show("facts", "<labhelpers.pods.Pod object at 0x7f1fbc2d>"),
        "0x7f1fbc2d",
    ),
    (
        rules.nothing_volatile_is_stored,
        show("facts", "one-app   1/1   Running   0   12s"),
        "an age: 12s",
    ),
    (
        rules.nothing_volatile_is_stored,
        show("facts", "read from /home/somebody/x.yaml"),
        "a path of one machine",
    ),
    (
        rules.findings_are_computed,
        change("chart", source=f'print("{FINDING}")'),
        "app: ended by signal 9",
    ),
    (
        rules.findings_are_computed,
        change("chart", source='chart(life, finding="app: ended by signal 9, restarted once")'),
        "app: ended by signal 9",
    ),
    (
        rules.findings_are_computed,
        change("reveal", source='"measured: stays"  # not lab.reveal("address", …)'),
        "measured: stays",
    ),
    (
        rules.cells_are_short,
        change("chart", source="\n".join(f"a = {n}" for n in range(21))),
        "21 lines",
    ),
    (
        rules.cells_are_short,
        lambda notebook: [one.update(source="a = 1\n" * 5) for one in notebook.cells],
        "median",
    ),
    (rules.opens_with_its_card, change("links", source="# Another title"), "2 titles"),
    (
        rules.begins_with_the_set_up,
        change("start", source='from labhelpers import start\nlab = start("03-scheduling")'),
        "first code cell",
    ),
    (
        rules.ends_in_facts_clean_up_and_links,
        change("finish", source="lab.facts()"),
        "lab.finish()",
    ),
    (rules.ends_in_facts_clean_up_and_links, change("facts", source="1"), "lab.facts()"),
    (rules.ends_in_facts_clean_up_and_links, change("links", source="Next: 03"), "previous"),
    (
        rules.ends_in_facts_clean_up_and_links,
        change("links", source="Previous: [01](01_gone.ipynb) · Next: 03"),
        "01_gone.ipynb",
    ),
    (rules.answers_are_folded, tag("chart", "claim:B3"), "no tag measure"),
    (rules.answers_are_folded, tag("reveal"), "no tag reveal"),
    (
        rules.answers_are_folded,
        change("links", source="\nSo.\n\n## Next", metadata={"jupyter": {"source_hidden": True}}),
        "folded with a heading in it",
    ),
    (
        rules.answers_are_folded,
        change("reveal", source='lab.reveal("address", life.address)\n%kubectl get pods'),
        "not in its last line",
    ),
    (
        rules.answers_are_folded,
        change("reveal", source="life.address"),
        "never revealed: ['address']",
    ),
    (
        rules.answers_are_kept,
        change("chart", source='with lab.refused("Invalid"):\n    lab.apply("pod.yaml")'),
        "before the reveal that the API server rejects it",
    ),
    (
        rules.answers_are_kept,
        show("ask", "The address …\n( ) address\n( ) changes"),
        "has the name of one of its choices: address",
    ),
    (rules.is_canonical, change("reveal", metadata={"tags": ["reveal"]}), "[reveal]"),
    (
        rules.is_canonical,
        lambda notebook: notebook.metadata.update(widgets={}),
        "metadata of the notebook",
    ),
    (
        rules.is_canonical,
        lambda notebook: (
            cell(notebook, "ask")
            .outputs[0]
            .data.update({"application/vnd.jupyter.widget-view+json": {}})
        ),
        "[ask]",
    ),
    (
        rules.is_canonical,
        lambda notebook: cell(notebook, "ask").metadata.update(execution={}),
        "[ask]",
    ),
    (
        rules.is_small,
        lambda notebook: (
            cell(notebook, "chart").outputs[0].data.update({"image/png": "A" * rules.SIZE_BYTES})
        ),
        "bytes",
    ),
]


@pytest.mark.parametrize(
    ("rule", "damage", "words"),
    BROKEN,
    ids=[f"{rule.__name__}: {words}" for rule, _, words in BROKEN],
)
def test_a_house_rule_bites(rule, damage, words):
    notebook = healthy()
    assert list(rule(notebook, PATH)) == []
    damage(notebook)
    assert words in "\n".join(rule(notebook, PATH))


def test_every_house_rule_has_been_seen_to_bite():
    assert {rule for rule, _, _ in BROKEN} == set(rules.RULES)
    assert {
        name
        for name, value in vars(rules).items()
        if isinstance(value, Callable) and _is_rule(value)
    } == {rule.__name__ for rule in rules.RULES}


def _is_rule(value: Any) -> bool:
    return getattr(value, "__module__", "") == rules.__name__ and list(
        getattr(value, "__annotations__", {})
    ) == [
        "notebook",
        "path",
        "return",
    ]


UNPROVED = [
    ("a removed proof", tag("chart", "measure"), "B3: no cell of lab 01 has the tag claim:B3"),
    (
        "a proof that shows nothing",
        change("chart", outputs=[]),
        "no cell with the tag claim:B3 has run and shows something",
    ),
    (
        "a proof that never ran",
        change("chart", execution_count=None),
        "no cell with the tag claim:B3 has run",
    ),
    ("a proof of what is not claimed", tag("chart", "claim:B3", "claim:B4"), "the tag claim:B4"),
    ("a proof of another lab's claim", tag("facts", "claim:A1"), "the tag claim:A1"),
    (
        "a lab that takes the node without need",
        change(
            "start",
            source='from labhelpers import start\n\nlab = start("01-pause", exclusive=True)',
        ),
        "lab 01 begins with exclusive=True, and claims.yaml says otherwise",
    ),
    (
        "a card of other minutes",
        change("card", source=CARD.replace("20", "90")),
        "does not say 20 minutes",
    ),
]


def test_a_line_of_the_shell_within_a_block_hides_no_literal():
    assert rules._literals(
        "with lab.refused('No'):\n    !kubectl get pods\n    said = 'all is well'"
    ) == {"all is well"}


@pytest.mark.parametrize(
    ("damage", "words"), [case[1:] for case in UNPROVED], ids=[case[0] for case in UNPROVED]
)
def test_the_claims_bite(damage, words):
    notebook = healthy()
    assert list(rules.unproved(CLAIMS, {"01": notebook})) == []
    damage(notebook)
    assert words in "\n".join(rules.unproved(CLAIMS, {"01": notebook}))
    assert any("B3" in complaint for complaint in rules.unproved(CLAIMS, {})), (
        "a lab that went proves nothing"
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("objects", "namespace lab-02-pause"),
        ("objects", "priorityclass high"),
        ("node_labels", "label disk=ssd on podlab-test-control-plane"),
        ("processes", "process 4711: kubectl port-forward"),
        ("threads", "thread recording (4712)"),
    ],
)
def test_a_leak_is_named(kind, words):
    before = leaks.Look(objects=frozenset(), node_labels=frozenset())
    assert leaks.left_behind(before, before) == []
    assert leaks.left_behind(before, dataclasses.replace(before, **{kind: frozenset({words})})) == [
        words
    ]


def test_a_node_label_that_went_and_a_cluster_that_went_are_named():
    before = leaks.Look(objects=frozenset(), node_labels=frozenset({"label a=b on n"}))
    assert leaks.left_behind(before, dataclasses.replace(before, node_labels=frozenset())) == [
        "gone: label a=b on n"
    ]
    assert leaks.left_behind(before, leaks.Look()) == ["a cluster that does not answer any more"]
    assert leaks.left_behind(leaks.Look(), before) == [], (
        "a cluster that came up meanwhile is no leak"
    )


def test_a_thread_and_a_process_are_seen_while_they_live(monkeypatch):
    monkeypatch.setenv(
        "PODLAB_CLUSTER", f"podlab-look-{os.getpid()}"
    )  # its own: what works for it is found on the whole machine
    before, end = leaks.look(), threading.Event()
    thread = threading.Thread(target=end.wait, name="a leak", daemon=True)
    thread.start()
    command = [sys.executable, "-c", "print(flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, start_new_session=True, env=os.environ.copy()
    ) as process:
        # Popen comes back when the child has begun to become another program, a moment before it
        # shows its new environment.
        process.stdout.readline()
        left = leaks.left_behind(before, leaks.look())
        process.communicate(b"\n")
    end.set()
    thread.join()
    assert [words.split(" (")[0].split(":")[0] for words in left] == [
        f"process {process.pid}",
        "thread a leak",
    ], left
    assert leaks.settled(before, 10) == []


def test_the_tests_own_cluster_is_looked_at_and_a_readers_is_not(monkeypatch, tmp_path):
    """With a kubectl that tells what a cluster would."""
    objects = [
        {"kind": "Namespace", "metadata": {"name": "dev"}},
        {"kind": "PriorityClass", "metadata": {"name": "high"}},
        {"kind": "Node", "metadata": {"name": "n", "labels": {"a": "b"}}},
    ]
    for variable in ("PODLAB_CACHE", "PODLAB_STATE"):
        monkeypatch.setenv(variable, str(tmp_path))
    paths.tools().mkdir()
    (paths.tools() / "kubectl").write_text(f"#!/bin/sh\necho '{json.dumps({'items': objects})}'\n")
    (paths.tools() / "kubectl").chmod(0o755)
    for cluster, seen in [
        ("podlab", (None, None)),
        (
            f"podlab-eye-{os.getpid()}",
            ({"namespace dev", "priorityclass high"}, {"label a=b on n"}),
        ),
    ]:
        monkeypatch.setenv("PODLAB_CLUSTER", cluster)
        paths.kubeconfig().parent.mkdir()
        paths.kubeconfig().touch()
        assert (leaks.look().objects, leaks.look().node_labels) == seen


@pytest.mark.parametrize("word", ["no", "n", "on", "yes", "off", "y"])
def test_a_bare_boolean_in_a_manifest_is_named(word):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  country: {}\n"
    assert manifests.Manifest.parse(text.replace("{}", f'"{word}"'), "a.yaml").documents[0][
        "data"
    ] == {"country": word}
    with pytest.raises(LabError, match=rf"line 5.*\b{word}\b"):
        manifests.Manifest.parse(text.replace("{}", word), "a.yaml")


def test_a_glob_that_finds_nothing_is_an_error(request):
    """Without the setting, a parametrized test over no files is skipped, and all is green."""
    assert request.config.getini("empty_parameter_set_mark") == "fail_at_collect"


def test_the_thread_that_jupyter_keeps_for_a_process_is_no_leak(monkeypatch):
    monkeypatch.setenv("PODLAB_CLUSTER", f"podlab-look-{os.getpid()}")

    async def answer() -> str:
        return threading.current_thread().name

    async def inside_a_loop() -> str:
        return run_sync(answer)()

    before = leaks.look()
    name = asyncio.run(inside_a_loop())
    assert name in {thread.name for thread in threading.enumerate()}, "it stays"
    assert leaks.left_behind(before, leaks.look()) == []
