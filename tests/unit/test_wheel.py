"""The wheel, built and installed into an environment that has podlab's dependencies and nothing of
this checkout, without a network."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from labhelpers import folder, paths
from labhelpers.cluster import build

ROOT = paths.repository()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheel")
    build_it = ["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    pip(*build_it, "--wheel-dir", target, ROOT)
    [path] = target.glob("podlab-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs commands of the environment: ``installed("podlab", "status", cwd=…)``."""
    target = tmp_path_factory.mktemp("environment") / "with spaces"
    run([sys.executable, "-m", "venv", "--without-pip", target])
    pip("--python", target, "install", "--quiet", "--no-index", "--no-deps", wheel)
    [packages] = target.glob("lib/python*/site-packages")
    # A line of a .pth file doesn't run the .pth files of the folder that it names, so the editable
    # install of this checkout isn't seen.
    there = [path for path in sys.path if path.endswith("-packages")]
    (packages / "dependencies.pth").write_text("\n".join(there))
    # Nothing is found through this process's own variables.
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "PODLAB_HOME", "PODLAB_MINE", "UV")
    environment = {name: value for name, value in os.environ.items() if name not in ours}

    def command(name: str, *words, cwd: Path) -> subprocess.CompletedProcess:
        return run([target / "bin" / name, *words], cwd=cwd, env=environment, check=False)

    return command


def run(command, *, check=True, **more) -> subprocess.CompletedProcess:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **more)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def pip(*words) -> None:
    run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words])


def test_the_wheel_holds_the_labs_and_nothing_of_a_reader_or_an_author(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in ("kind/cluster.yaml", "pyproject.toml", "notebooks/02_pause.ipynb"):
        assert f"labhelpers/packed/{name}" in names
    assert "labhelpers/measure/samples.pl" in names
    wrong = ("/mine/", "/kept/", "__pycache__", "template", "TEMPLATE", ".ipynb_checkpoints")
    assert [name for name in names if any(word in name for word in (*wrong, "tests/"))] == []


def test_every_file_that_git_has_of_the_labs_is_packed():
    done = run(["git", "-C", ROOT, "ls-files", "kind", "notebooks"], check=False)
    if done.returncode:
        pytest.skip("this isn't a git checkout")
    names = {name for name in done.stdout.split() if "template" not in name.lower()}
    assert names <= set(folder.packed_files(ROOT))


def test_an_installed_podlab_has_the_same_recipe_of_the_node_image(installed, tmp_path):
    """So a bundle that was saved from a checkout fits. Modes count: entrypoint is a program."""
    script = "from labhelpers.cluster import build, image; print(build.inputs_digest())"
    assert installed("python", "-c", script, cwd=tmp_path).stdout.strip() == build.inputs_digest()


def test_a_folder_from_the_wheel_works_without_a_checkout(installed, tmp_path):
    done = installed("podlab", "init", "my labs", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "\n    podlab up\n" in done.stdout
    labs = tmp_path / "my labs"
    assert sorted(path.name for path in labs.iterdir()) == [".podlab", "README.md", "notebooks"]
    script = (
        "from labhelpers import contents, lab, paths, proofs\n"
        "from labhelpers.exercises import Exercise\n"
        "import json\n"
        "print(json.dumps([str(paths.notebooks()), contents.labs()['02']['title'],"
        " proofs.Proofs('02-pause').of('B3').__name__, str(Exercise('02-pause', 'a').path)]))"
    )
    done = installed("python", "-c", script, cwd=labs / "notebooks")
    notebooks = labs / "notebooks"
    assert json.loads(done.stdout) == [
        str(notebooks),
        "Who keeps the Pod together?",
        "b3",
        str(notebooks / "mine" / "02-pause" / "a.yaml"),
    ], done.stderr
    assert "Nothing was out of date." in installed("podlab", "update", cwd=notebooks).stdout
    reset = installed("podlab", "reset", "02", "a", cwd=labs)
    assert reset.stdout == "a: mine/02-pause/a.yaml is the starter\n", reset.stderr
    assert (notebooks / "mine" / "02-pause" / "a.yaml").is_file()


def test_outside_a_folder_the_cluster_can_be_asked_and_the_labs_are_missed(installed, tmp_path):
    status = installed("podlab", "status", "--cluster", "nobody-made-it", cwd=tmp_path)
    assert status.stdout.startswith("cluster nobody-made-it: absent"), status.stderr
    assert "files" in installed("podlab", "doctor", cwd=tmp_path).stdout
    script = (
        "from labhelpers import cli\n"
        "for words in (['open', '00'], ['check', '02'], ['update'], ['new', '30-mine']):\n"
        "    print(words, cli.main(words), flush=True)"
    )
    done = installed("python", "-c", script, cwd=tmp_path)
    assert [line[-1] for line in done.stdout.splitlines()] == ["1"] * 4
    assert done.stderr.count("There are no labs here.") == 3
    assert "Clone the repository" in done.stderr
