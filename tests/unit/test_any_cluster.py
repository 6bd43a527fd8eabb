"""``podlab why`` on a cluster of the reader's own: which one is meant, and that it's only read."""

import json
from datetime import UTC, datetime

import pytest
import yaml

from labhelpers import cli
from labhelpers.errors import LabError, Unreachable
from labhelpers.kube.any_cluster import AnyCluster
from tests.unit.test_diagnosis import FOLDER


@pytest.fixture
def cluster(fake, tmp_path, monkeypatch):
    """A cluster with a Pod that crashes and one that's fine, and without the labs' own label."""
    fake.answers.clear()
    for name in ("crash", "running"):
        for path, answer in json.loads((FOLDER / f"{name}.json").read_text())["answers"].items():
            fake.answers[path.partition("?")[0]] = answer
            if path.endswith(f"/pods/{name}"):
                answer["metadata"]["creationTimestamp"] = datetime.now(UTC).isoformat()
    monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig(tmp_path)))
    monkeypatch.delenv("PODLAB_CLUSTER", raising=False)
    return fake


@pytest.fixture
def written(cluster, tmp_path):
    """Writes a kubeconfig with contexts of that server: name → namespace."""

    def write(current: str, **namespaces: str):
        path = tmp_path / "kubeconfig"
        body = yaml.safe_load(path.read_text())
        body["contexts"] = [
            {"name": name, "context": {"cluster": "c", "user": "u", "namespace": namespace}}
            for name, namespace in namespaces.items()
        ]
        body["current-context"] = current
        path.write_text(yaml.safe_dump(body))
        return str(path)

    return write


def test_a_fault_is_told_with_exit_code_1_and_nothing_but_get(cluster, capsys):
    assert cli.main(["why", "crash", "-n", "why-lab"]) == 1
    told = capsys.readouterr().out
    assert "ended with an error: exit code 7" in told
    assert "kubectl -n why-lab logs crash -c app" in told
    assert "Lab 07: Life cycle" in told
    assert {method for method, *_ in cluster.requests} == {"GET"}
    assert len(cluster.requests) <= 4


def test_a_healthy_pod_is_one_line_with_exit_code_0(cluster, capsys):
    assert cli.main(["why", "running", "-n", "why-lab"]) == 0
    assert capsys.readouterr().out == "Pod running: Running and Ready.\n"


def test_it_needs_no_cluster_of_the_labs_and_leaves_no_file(cluster, tmp_path, capsys):
    assert cli.main(["why", "crash", "-n", "why-lab"]) == 1
    asked = {path for _, path, *_ in cluster.requests}
    assert not [path for path in asked if "podlab-node" in path or path in ("/api", "/apis")]
    assert not (tmp_path / "state").exists()


def test_the_namespace_is_that_of_the_context(cluster, written, capsys):
    path = written("home", home="why-lab", other="elsewhere")
    assert cli.main(["why", "crash"]) == 1
    assert "kubectl logs crash -c app" in capsys.readouterr().out
    assert cli.main(["why", "crash", "--context", "other", "--kubeconfig", path]) == 1
    assert "There is no Pod crash in the namespace elsewhere." in capsys.readouterr().err


def test_its_lines_ask_the_same_cluster(cluster, written, capsys):
    path = written("", work="why-lab")
    cli.main(["why", "crash", "--context", "work", "--kubeconfig", path])
    assert f"kubectl --kubeconfig {path} --context work logs crash" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "can't be used|No context"),
        ("a: [", "can't be used"),
        ("contexts: 3", "can't be used"),
        ("current-context: x", "no context x"),
    ],
)
def test_a_kubeconfig_that_is_none_is_told(tmp_path, text, says):
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(LabError, match=says):
        AnyCluster(str(path))


def test_a_missing_kubeconfig_or_context_is_told(written):
    with pytest.raises(LabError, match="No context is set"):
        AnyCluster("/no/such/file")
    with pytest.raises(LabError, match=r"no context there(.|\n)*has home"):
        AnyCluster(written("home", home="x"), "there")


def test_a_cluster_that_does_not_answer_is_told_with_a_line_to_try(cluster, tmp_path):
    path = str(tmp_path / "kubeconfig")
    cluster.stop()
    with AnyCluster(path) as there, pytest.raises(Unreachable) as caught:
        there.get("/version")
    assert f"--kubeconfig {path} get pods" in str(caught.value)
    assert "podlab up" not in str(caught.value)


def test_a_cluster_that_wants_credentials_is_told(cluster, tmp_path):
    cluster.answers["/version"] = {"kind": "Status", "code": 401, "reason": "Unauthorized"}
    with (
        AnyCluster(str(tmp_path / "kubeconfig")) as there,
        pytest.raises(LabError, match="doesn't know you"),
    ):
        there.get("/version")


def test_there_is_no_way_to_write():
    public = {name for name in vars(AnyCluster) if not name.startswith("_")}
    assert public == {"get"}
