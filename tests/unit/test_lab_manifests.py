"""The labs' own manifests: each one short, pinned, and in the words that both busyboxes know."""

import re
import shlex

import pytest

from labhelpers import formulas, paths
from labhelpers.kube.manifests import Manifest

NOTEBOOKS = paths.repository() / "notebooks"
FOLDERS = ("manifests", "exercises", "solutions")
FILES = sorted(path for folder in FOLDERS for path in NOTEBOOKS.glob(f"{folder}/**/*.yaml"))
LINES = 25
LARGEST_PAGE_BYTES = 64 << 10  # a limit is cut to whole pages, which on some machines are as large
ON_PURPOSE = {("calm.yaml", "100M")}  # lab 13 shows the cut

# The applets, and their flags, that a manifest may use. The two doors bring two programs under one
# name, busybox 1.35.0: Debian's busybox-static and Docker Hub's. Only what both have stands here.
# Not there for a reason: nc -z and tcpsvd (Debian's has neither), nc -lk (-ll in one of them), wget
# -T (not in Debian's), date +%N (prints "%N" in one).
APPLETS = {
    "awk": "F v f",
    "cat": "",
    "chmod": "R",
    "chown": "R",
    "cp": "a r p f",
    "cut": "d f c",
    "date": "u",
    "dd": "",
    "df": "h k P",
    "env": "",
    "false": "",
    "find": "name type maxdepth exec",
    "free": "m",
    "grep": "q c v i o E F w A B m",
    "head": "n c",
    "hostname": "i",
    "httpd": "f p h",
    "id": "u g G n",
    "kill": "TERM KILL INT HUP USR1 0 9 15",
    "ln": "s f",
    "ls": "l a n i d L 1",
    "md5sum": "",
    "mkdir": "p m",
    "mount": "",
    "mv": "f",
    "nc": "l p w e",
    "nproc": "",
    "nslookup": "",
    "od": "A t c x v N",
    "pidof": "",
    "printf": "",
    "ps": "o",
    "readlink": "f",
    "rm": "r f",
    "sed": "n e i E",
    "seq": "",
    "sh": "c e x u",
    "sleep": "",
    "sort": "n r k u t",
    "stat": "c L",
    "sync": "",
    "tail": "n f F c",
    "tee": "a",
    "test": "",
    "timeout": "s k",
    "touch": "",
    "tr": "d s c",
    "true": "",
    "uname": "a r m n",
    "uniq": "c",
    "wc": "l c",
    "wget": "q O S",
    "whoami": "",
    "xargs": "n",
    "yes": "",
}
SHELL = {
    "[",
    "cd",
    "echo",
    "eval",
    "exec",
    "exit",
    "export",
    "local",
    "read",
    "return",
    "set",
    "shift",
    "trap",
    "ulimit",
    "unset",
    "wait",
    ":",
}
WORDS = {
    "if",
    "then",
    "elif",
    "else",
    "fi",
    "while",
    "until",
    "do",
    "done",
    "for",
    "in",
    "case",
    "esac",
    "{",
    "}",
    "!",
    "time",
}
OPERATORS = {";", "&", "&&", "|", "||", "(", ")", ";;", "\n", "$("}


def commands(script: str) -> list[list[str]]:
    """The simple commands of a script, each a list of words. Enough of a shell for manifests, not a
    shell."""
    script = re.sub(r"\$\(\(.*?\)\)", "0", script.replace("\\\n", " "))
    script = script.replace("$(", " $( ").replace("`", " ; ").replace("\n", " ; ")
    lexer = shlex.shlex(script, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    found, current, skip = [], [], False
    for word in lexer:
        if skip:
            skip = False
        elif set(word) <= set("<>&") and set(word) & set("<>"):
            skip = True
            if current and current[-1].isdigit():
                current.pop()
        elif word in OPERATORS or word == "$" or set(word) <= set(";&|()"):
            found.append(current)
            current = []
        elif not current and word in WORDS:
            if word in ("for", "case"):
                current = [":"]
        elif not current and re.match(r"\w+=", word):
            continue
        else:
            current.append(word)
    return [command for command in [*found, current] if command]


def unknown(words: list[str]) -> list[str]:
    """What of this command line is not in the table; looks into ``sh -c``, ``exec``, ``timeout``
    and ``trap``."""
    if not words:
        return []
    name, rest = words[0].removeprefix("/bin/"), words[1:]
    if name == "busybox":
        return unknown(rest)
    if name == "exec" and rest:
        return unknown(rest)
    if name == "trap" and rest:
        return [bad for command in commands(rest[0]) for bad in unknown(command)]
    if name == "timeout" and rest:
        seconds = next((index for index, word in enumerate(rest) if word[:1].isdigit()), len(rest))
        return unknown(rest[seconds + 1 :])
    if name in SHELL:
        return []
    if name not in APPLETS:
        return [f"applet {name}"]
    allowed = APPLETS[name].split()
    bad = []
    if name != "printf":
        for word in rest:
            flag = word.lstrip("-")
            if (
                not word.startswith("-")
                or not flag
                or flag in allowed
                or (flag[:1].isdigit() and name in ("head", "tail", "kill", "seq", "sleep"))
            ):
                continue
            if word.startswith("--"):
                bad.append(f"{name} {word}")
                continue
            bad += [
                f"{name} -{letter}"
                for letter in flag
                if letter not in allowed and not letter.isdigit()
            ]
    if name == "date" and any("%N" in word for word in rest):
        bad.append("date +%N")
    if name == "sh" and rest[:1] and "c" in rest[0] and len(rest) > 1:
        bad += [found for command in commands(rest[1]) for found in unknown(command)]
    return bad


def command_lines(value: object) -> list[list[str]]:
    """Every command in a container: its own, its hooks', its probes'."""
    if isinstance(value, dict):
        own = (
            [[str(word) for word in [*value.get("command", []), *value.get("args", [])]]]
            if value.get("command")
            else []
        )
        return own + [line for inner in value.values() for line in command_lines(inner)]
    if isinstance(value, list):
        return [line for inner in value for line in command_lines(inner)]
    return []


def containers(value: object) -> list[dict]:
    if isinstance(value, dict):
        own = [
            item
            for key in ("containers", "initContainers", "ephemeralContainers")
            for item in value.get(key) or []
            if isinstance(item, dict)
        ]
        return own + [item for inner in value.values() for item in containers(inner)]
    if isinstance(value, list):
        return [item for inner in value for item in containers(inner)]
    return []


def faults(text: str, name: str) -> list[str]:
    """All that is wrong with a lab's manifest."""
    manifest = Manifest.parse(text, name)
    length = len(text.splitlines())
    found = [f"{length} lines; under {LINES} are allowed"] if length >= LINES else []
    for container in containers(manifest.documents):
        image = container.get("image", "")
        if "@" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest")):
            found.append(f"image {image or 'missing'} is not pinned")
        for kind, amounts in (container.get("resources") or {}).items():
            memory = amounts.get("memory")
            if (
                memory is not None
                and formulas.quantity(memory) % LARGEST_PAGE_BYTES
                and (name, memory) not in ON_PURPOSE
            ):
                found.append(f"{kind}: memory {memory} is no multiple of 64 KiB")
        if "busybox" in image:
            found += [
                f"{bad}: not in both busyboxes' table"
                for line in command_lines(container)
                for bad in unknown(line)
            ]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_has_some(folder):
    assert [path for path in FILES if path.is_relative_to(NOTEBOOKS / folder)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(NOTEBOOKS)))
def test_a_labs_manifest_is_short_pinned_and_portable(path):
    assert faults(path.read_text(encoding="utf-8"), path.name) == []


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
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
        ('[sh, -c, "until nc -z db 2379; do sleep 1; done"]', ["nc -z"]),
        ('[sh, -c, "date +%s.%N"]', ["date +%N"]),
        ('[sh, -c, "nc -lk -p 80"]', ["nc -k"]),
        ('[sh, -c, "X=$(curl -s web) && echo $X"]', ["applet curl"]),
        ('[sh, -c, "exec tcpsvd 0 80 cat"]', ["applet tcpsvd"]),
        ('[bash, -c, "true"]', ["applet bash"]),
        ('[timeout, "5", wget, --spider, web]', ["wget --spider"]),
    ],
)
def test_the_table_bites(command, bad):
    assert faults(POD.replace("COMMAND", command), "a.yaml") == [
        f"{word}: not in both busyboxes' table" for word in bad
    ]


def test_a_hook_and_a_probe_are_read_too():
    hook = POD.replace(
        "COMMAND", '[sleep, "1"]\n      lifecycle: {preStop: {exec: {command: [curl, web]}}}'
    )
    assert faults(hook, "a.yaml") == ["applet curl: not in both busyboxes' table"]


@pytest.mark.parametrize("image", ["busybox", "busybox:latest", "localhost:1/busybox", "''"])
def test_an_image_without_a_pin_bites(image):
    assert "not pinned" in " ".join(
        faults(POD.replace("busybox:1.35.0", image).replace("COMMAND", "[sleep]"), "a.yaml")
    )


@pytest.mark.parametrize(
    ("memory", "bad"), [("64Mi", []), ("100M", ["limits: memory 100M is no multiple of 64 KiB"])]
)
def test_a_limit_that_is_no_whole_number_of_pages_bites(memory, bad):
    text = POD.replace("COMMAND", f"[sleep]\n      resources: {{limits: {{memory: {memory}}}}}")
    assert faults(text, "a.yaml") == bad


def test_a_long_manifest_bites():
    assert faults(POD.replace("COMMAND", "[sleep]") + "# more\n" * 17, "a.yaml") == [
        "25 lines; under 25 are allowed"
    ]
