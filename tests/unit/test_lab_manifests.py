"""The labs' own manifests: each one short, pinned, and in the words that both busyboxes know."""

import re
from collections.abc import Iterator

import pytest

from labhelpers import formulas, paths
from labhelpers.cluster import build
from labhelpers.kube.manifests import Manifest

NOTEBOOKS = paths.repository() / "notebooks"
FOLDERS = ("manifests", "exercises", "solutions")
FILES = sorted(path for folder in FOLDERS for path in NOTEBOOKS.glob(f"{folder}/**/*.yaml"))
LINES = 50
# Lab 06 shows the fields of a Pod all at once.
WHOLE = ("full.yaml",)
# kubernetes.io writes mappings in block style, one field a line, so that diff shows one field.
FLOW = re.compile(r"^ *(- )*([\w./-]+: )?[\[{] *\{?[\w./-]+: ")
# A limit is cut to whole pages, which on some machines are as large.
LARGEST_PAGE_BYTES = 64 << 10
# Lab 13 shows what comes of the first two; exercise a of lab 14 is about the third.
ON_PURPOSE = {("calm.yaml", "100M"), ("tiny.yaml", "100m"), ("a.yaml", "64M")}
# A patient of lab 19 has a command that its image lacks.
MISSING_ON_PURPOSE = ("serve-shop",)
# At localhost:1 a pull is meant to fail; registry.k8s.io holds the control plane's own images,
# which are on every node.
OTHER_IMAGES = ("localhost:1/", "registry.k8s.io/")

# What a manifest may call. The two doors bring two programs under one name, busybox 1.35.0:
# Debian's busybox-static and Docker Hub's. Only what both have stands here.
APPLETS = set(
    "awk cat chmod chown cp cut date dd df env false find free grep head hostname httpd id kill ln"
    " ls md5sum mkdir mount mv nc nproc nslookup od pidof printf ps readlink rm sed seq sh sleep"
    " sort stat sync tail tee test timeout touch tr true uname uniq wc wget whoami xargs yes".split()  # noqa: E501
)
SHELL = set(
    "[ cd echo eval exec exit export local read return set shift trap ulimit unset wait :"
    " if then elif else fi while until do done for in case esac { } ! time busybox".split()
)
# What both have, and one of them otherwise or not at all.
DIFFERENT = {
    r"\bnc\b.* -\w*[zk]": "nc -z and -k",
    r"\bwget\b.* (-T|--(?!post-data))": "wget -T and its long options",
    r"\bdate\b.*%N": "date +%N",
}
# In these nothing is called, but for $(…) in double quotes; the last is a redirection.
SILENT = (
    r"""'[^']*'|"(?:(?!\$\()[^"])*"|(?<!\S)\#.*$|\$\(\(.*?\)\)|\d*[<>]+(?:&\d|\s*[^\s;&|()]+)"""
)
# What ends a command, or stands before one; then come the words that set a variable for it.
BETWEEN = r"[;&|()\n`{}!]|(?<!\S)(?:do|then|else|if|while|until|exec)\s"
CALLED = r"\s*(?:\w+=\S*\s+)*([^\s=$\"]+)(?!=)(?:\s|$)"


def unknown(words: list[str]) -> Iterator[str]:
    """What a command line calls that is not in the table. A shell's script is no more than words
    here: a string in quotes calls nothing."""
    line = " ".join(words)
    yield from (
        f"{name}: differs" for pattern, name in DIFFERENT.items() if re.search(pattern, line)
    )
    script = words[2] if words[0] in ("sh", "/bin/sh") and len(words) > 2 else words[0]
    plain = re.sub(SILENT, "0", script, flags=re.MULTILINE)
    found = [re.match(CALLED, piece) for piece in re.split(BETWEEN, plain)]
    called = {word.removeprefix("/bin/") for word in [words[0], *(f[1] for f in found if f)]}
    yield from (
        f"{name}: not in both"
        for name in sorted(called - APPLETS - SHELL - set(MISSING_ON_PURPOSE))
    )


def command_lines(value: object) -> Iterator[list[str]]:
    """Every command in a container: its own, its hooks', its probes'."""
    if isinstance(value, dict):
        if value.get("command"):
            yield [str(word) for word in [*value["command"], *value.get("args", [])]]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from command_lines(inner)


def containers(value: object) -> Iterator[dict]:
    if isinstance(value, dict):
        for key in ("containers", "initContainers", "ephemeralContainers"):
            yield from value.get(key) or []
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from containers(inner)


def faults(text: str, name: str) -> list[str]:
    """All that is wrong with a lab's manifest."""
    length = len(text.splitlines())
    # A pair of manifests is compared at a glance.
    found = (
        [f"{length} lines; under {LINES} are allowed"]
        if name not in WHOLE and length >= LINES
        else []
    )
    for container in containers(Manifest.parse(text, name).documents):
        image = container.get("image", "")
        if image != build.BUSYBOX.rpartition("/")[2] and not image.startswith(OTHER_IMAGES):
            found.append(f"image {image or 'missing'} is not the cluster's own")
        for kind, amounts in (container.get("resources") or {}).items():
            memory = amounts.get("memory", 0)
            if formulas.quantity(memory) % LARGEST_PAGE_BYTES and (name, memory) not in ON_PURPOSE:
                found.append(f"{kind}: memory {memory} is no multiple of 64 KiB")
        if not image.startswith("registry.k8s.io/"):  # these bring programs of their own
            called = [bad for line in command_lines(container) for bad in unknown(line)]
            found += [bad for bad in called if not is_mounted(bad, container)]
    return found


def is_mounted(path: str, container: dict) -> bool:
    """Whether a program lies in one of the container's volumes: the manifest brings it along."""
    mounts = container.get("volumeMounts") or []
    return any(path.startswith(f"{each['mountPath']}/") for each in mounts)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_has_some(folder):
    assert [path for path in FILES if path.is_relative_to(NOTEBOOKS / folder)]


def test_the_labs_manifests_are_short_pinned_and_portable():
    found = {path: faults(path.read_text(encoding="utf-8"), path.name) for path in FILES}
    assert {str(path.relative_to(NOTEBOOKS)): bad for path, bad in found.items() if bad} == {}


def braces(text: str) -> list[int]:
    """The lines with a mapping in braces."""
    return [number for number, line in enumerate(text.splitlines(), 1) if FLOW.match(line)]


def test_the_labs_manifests_are_in_block_style():
    found = {
        str(path.relative_to(NOTEBOOKS)): braces(path.read_text(encoding="utf-8")) for path in FILES
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: a
spec:
  containers:
    - name: app
      image: busybox:1.35.0
      command: COMMAND
"""


@pytest.mark.parametrize(
    ("command", "bad"),
    [
        ('[sleep, "1000"]', []),
        ('[httpd, -f, -p, "8080"]', []),
        ('[sh, -c, "sleep 2 & exit 0"]', []),
        ("[sh, -c, \"trap 'exit 0' TERM; while :; do sleep 1; done\"]", []),
        ('[sh, -c, "nc -w 1 db 2379 </dev/null 2>&1 && echo up >> /tmp/x"]', []),
        ('[sh, -c, "for i in $(seq 1 3); do echo $((i+1)) > /x; done"]', []),
        ('[sh, -c, "until nc -z db 2379; do sleep 1; done"]', ["nc -z and -k: differs"]),
        ('[sh, -c, "date +%s.%N"]', ["date +%N: differs"]),
        ('[sh, -c, "nc -lk -p 80"]', ["nc -z and -k: differs"]),
        ('[sh, -c, "X=$(curl -s web) && echo $X"]', ["curl: not in both"]),
        ("[sh, -c, 'echo \"$(curl -s web; true)\"']", ["curl: not in both"]),
        ('[sh, -c, "A=1 curl -s web"]', ["curl: not in both"]),
        ('[sh, -c, "exec tcpsvd 0 80 cat"]', ["tcpsvd: not in both"]),
        ('[sh, -c, "if true; then echo a # curl\\n jq .; fi"]', ["jq: not in both"]),
        ('[bash, -c, "true"]', ["bash: not in both"]),
        ("[wget, --spider, web]", ["wget -T and its long options: differs"]),
        (
            '[sleep, "1"]\n      lifecycle:\n        preStop:\n          exec:\n'
            "            command: [curl, web]",
            ["curl: not in both"],
        ),
    ],
)
def test_the_table_bites(command, bad):
    assert faults(POD.replace("COMMAND", command), "a.yaml") == bad


@pytest.mark.parametrize(("path", "bad"), [("/app", []), ("/other", ["/app/server: not in both"])])
def test_a_program_from_a_volume_may_be_called(path, bad):
    mounts = f"volumeMounts: [{{name: app, mountPath: {path}}}]"
    for command in ("[/app/server]", '[sh, -c, "/app/server & exec /app/server"]'):
        text = POD.replace("COMMAND", f"{command}\n      {mounts}")
        assert sorted(set(faults(text, "a.yaml"))) == bad


@pytest.mark.parametrize(
    ("image", "bad"),
    [
        ("busybox", True),
        ("busybox:latest", True),
        ("busybox:1.36.0", True),
        ("nginx:1.27", True),
        ("''", True),
        ("localhost:1/busybox:1.35.0", False),
    ],
)
def test_another_image_bites(image, bad):
    text = POD.replace("busybox:1.35.0", image).replace("COMMAND", "[sleep]")
    assert bool(faults(text, "a.yaml")) is bad


@pytest.mark.parametrize(
    ("memory", "bad"), [("64Mi", []), ("100M", ["limits: memory 100M is no multiple of 64 KiB"])]
)
def test_a_limit_that_is_no_whole_number_of_pages_bites(memory, bad):
    limits = f"resources:\n        limits:\n          memory: {memory}"
    text = POD.replace("COMMAND", f"[sleep]\n      {limits}")
    assert faults(text, "a.yaml") == bad


def test_a_long_manifest_bites():
    assert faults(POD.replace("COMMAND", "[sleep]") + "# more\n" * 41, "a.yaml") == [
        "50 lines; under 50 are allowed"
    ]


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("env: [{name: A, value: b}]", True),
        ("securityContext: {runAsUser: 1000}", True),
        ("- {name: other, mountPath: /other}", True),
        ("emptyDir: {}", False),
        ("args: ['{a: b}', \"{c: d}\"]", False),
        ("workingDir: /x # {a: b}", False),
    ],
)
def test_a_mapping_in_braces_bites(line, bad):
    assert bool(braces(f"      {line}")) is bad
