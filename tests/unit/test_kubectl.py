"""labhelpers.kubectl with a kubectl that is played: what is shown, and what a failure becomes."""

import os

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from labhelpers import kubectl as module
from labhelpers.errors import LabError, Refused, TimedOut, Unreachable
from labhelpers.kubectl import kubectl, register
from labhelpers.outcomes import Refusal, as_printed

PRE = as_printed("").removesuffix("</pre>")


@pytest.fixture
def played(tmp_path, monkeypatch):
    """A kubectl that does what the script says, and what was shown."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    shown = []
    monkeypatch.setattr(module, "shown_only", shown.append)

    def play(script):
        (tmp_path / "kubectl").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "kubectl").chmod(0o755)
        return shown

    return play


def test_real_output_is_shown_and_words_reach_kubectl_unchanged(played):
    shown = played('for word; do echo "<$word>"; done')
    kubectl("get pods -o jsonpath='{.items[0].metadata.name}'")
    assert shown == [
        PRE
        + "&lt;get&gt;\n&lt;pods&gt;\n&lt;-o&gt;\n&lt;jsonpath={.items[0].metadata.name}&gt;</pre>"
    ]


def test_kubectls_own_noise_is_left_out_and_other_warnings_stay(played):
    shown = played("echo 'E1126 Unknown stream id 1, discarding message' >&2; echo Warning: x >&2")
    kubectl("exec a -- true")
    assert shown == [PRE + "Warning: x</pre>"]


@pytest.mark.parametrize(
    ("said", "reason", "message"),
    [
        ('Error from server (NotFound): pods "x" not found', "NotFound", 'pods "x" not found'),
        (
            'Error from server (Forbidden): error when creating "p.yaml": pods "p" is forbidden:'
            ' violates PodSecurity "restricted:latest": runAsNonRoot != true',
            "Forbidden",
            "runAsNonRoot != true",
        ),
        (
            'The Pod "p" is invalid: spec.containers[0].image: Required value',
            "Invalid",
            "Required value",
        ),
    ],
)
def test_a_refusal_is_shown_and_can_be_expected(played, said, reason, message):
    shown = played(f"echo '{said}' >&2; exit 1")
    with Refusal(reason, says=message):
        kubectl("apply -f p.yaml")
    assert len(shown) == 1
    with pytest.raises(Refused, match=f"refused: {reason}"):
        kubectl("apply -f p.yaml")


REFUSED = """
echo 'E1128 memcache.go:381] "Couldn'"'"'t get current server API group list"' >&2
echo 'The connection to the server 127.0.0.1:9 was refused - did you specify the right host?' >&2
exit 1"""


@pytest.mark.parametrize(
    ("line", "script", "error", "seen"),
    [
        ("fly", "echo 'unknown command fly' >&2; exit 1", LabError, "unknown command fly"),
        ("get pods", "exit 7", LabError, "no message"),
        ("get pods -w", "sleep 30", TimedOut, "kubectl get pods -w"),
        ("get pods", REFUSED, Unreachable, "kubectl: The connection to the server .* refused"),
        ("get pods | head", "", LabError, r"\| in: get pods"),
    ],
)
def test_any_other_failure_is_an_error_of_the_cell(played, line, script, error, seen):
    played(script)
    with pytest.raises(error, match=seen) as caught:
        kubectl(line, timeout_seconds=0.3)
    assert not isinstance(caught.value, Refused)


def test_the_magic_takes_python_variables(played, monkeypatch):
    shown = played("echo $@")
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    checked = []
    register(checked.append)
    shell.run_cell("name = 'one-app'\n%kubectl get pod {name}")
    assert shown == [PRE + "get pod one-app</pre>"]
    assert checked == ["%kubectl"]


def test_a_lab_that_was_lost_runs_no_kubectl(played, monkeypatch):
    shown = played("echo $@")
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    def lost(helper):
        raise LabError("Another kernel has taken the lab.", "seen", "do")

    register(lost)
    assert isinstance(shell.run_cell("%kubectl delete pods --all").error_in_exec, LabError)
    assert shown == []


def test_what_kubectl_printed_is_handed_to_a_proof_without_being_shown(played):
    shown = played("echo '<$*>'; echo 'Unknown stream id 1, discarding message' >&2; exit 3")
    done = module.run(["logs", "app"])
    assert (done.stdout, done.stderr, done.returncode) == ("<$*>\n", "", 3)
    assert shown == []
    with pytest.raises(LabError, match="exit code 3"):
        module.run(["logs", "app"], check=True)
    played("echo 'Error from server (NotFound): pods \"app\" not found' >&2; exit 1")
    with pytest.raises(Refused, match="kubectl logs app"):
        module.run(["logs", "app"], check=True)
    played("sleep 30")
    with pytest.raises(TimedOut, match="kubectl logs 'my app'"):
        module.run(["logs", "my app"], timeout_seconds=0.3)
