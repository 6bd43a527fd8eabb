"""One source of versions. What several files must name is compared here."""

import json
import re
import tomllib
from importlib import metadata

import pytest
import yaml

from labhelpers import places

ROOT = places.repository()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PYTHON = re.search(r"python=(\S+)", " ".join(entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)))[1]
MANIFESTS = sorted(path for part in ("manifests", "exercises", "solutions") for path in (ROOT / "notebooks").glob(f"{part}/**/*.yaml"))


def busybox() -> str:
    """The one image of the labs' apps, as the recipe of the node image names it."""
    return re.search(r'^BUSYBOX = "docker.io/library/(\S+)"', (ROOT / "kind/node_image/build.py").read_text(), re.MULTILINE)[1]


def test_conda_takes_all_versions_but_pythons_from_pyproject():
    assert [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)] == [f"python={PYTHON}", "pip"]
    assert [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)] == [{"pip": ["-e .[test]"]}]
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]


def test_every_file_names_the_same_python_and_the_project_supports_it():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())["image"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step["with"]["python-version"] for step in workflow["jobs"]["test"]["steps"] if "python-version" in step.get("with", {})]
    assert [*re.findall(r"python:([\d.]+)", container), *steps] == [PYTHON, PYTHON]
    lowest, above = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert int(lowest) <= int(PYTHON.split(".")[1]) < int(above)


def test_what_is_pinned_is_what_is_installed():
    pinned = dict(
        re.findall(r"^([\w-]+)==(\S+)$", "\n".join([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]), re.MULTILINE)
    )
    assert len(pinned) >= 10
    assert {name: metadata.version(name) for name in pinned} == pinned


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lab_names_no_image_but_the_clusters_own(path):
    images = re.findall(r"^\s*-?\s*image:\s*(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    # localhost:1 is where a pull is meant to fail; registry.k8s.io holds the control plane's own images, which are on every node.
    assert [image for image in images if image != busybox() and not image.startswith(("localhost:1/", "registry.k8s.io/"))] == []


def test_the_pod_that_sees_the_node_runs_the_labs_image():
    assert set(re.findall(r"\"(busybox:[\w.]+)\"", (ROOT / "labhelpers/node.py").read_text())) == {busybox()}


def test_the_node_image_has_the_kubernetes_of_kinds_default():
    """The two doors cannot be told apart: the pin of the Go module is the version that the client library speaks."""
    kubernetes = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.", (ROOT / "kind/node_image/modules/kubernetes/go.mod").read_text())
    client = next(line for line in PROJECT["dependencies"] if line.startswith("kubernetes=="))
    assert client.startswith(f"kubernetes=={kubernetes[2]}.")


def test_no_file_names_this_machine():
    """Paths of one machine have no place in what is committed."""
    words = re.compile(r"(?<![\w.$}~)])/(?:root|work)/\w")
    folders = ("labhelpers", "tests", "docs", "kind", "notebooks")
    suffixes = {".py", ".md", ".yaml", ".cfg", ".sh", ".ipynb"}
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes and "mine" not in path.parts]
    assert files
    assert [f"{path.relative_to(ROOT)}: {found[0]}" for path in files if (found := words.search(path.read_text(encoding="utf-8")))] == []
