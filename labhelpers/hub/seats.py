"""A participant's seat: a Unix user, a cluster, and what joins them. Runs as root."""

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from labhelpers import paths
from labhelpers.cluster import lifecycle
from labhelpers.errors import LabError
from labhelpers.files import made_atomically
from labhelpers.hub.people import Person
from labhelpers.node.record import RECORD
from labhelpers.paths import ClusterFiles
from labhelpers.patience import patient

__all__ = [
    "Seats",
    "end_processes",
    "is_ours",
    "make_user",
    "one_line",
    "people",
    "refuse_private_python",
    "remove",
    "three_lines",
]

MARK = "podlab hub"  # the comment of a Unix user that a hub has made
KUBECTL = "kubectl"
COMMAND_SECONDS = 60
USUAL_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


def three_lines(output: str, happened: str, do: str) -> LabError:
    """The error of a command that failed, from what it wrote to stderr.

    >>> print(three_lines("Full.\\nSeen: 0 bytes\\nDo:   Delete.", "Failed.", "Try again."))
    Full.
    Seen: 0 bytes
    Do:   Delete.
    >>> print(three_lines("Killed", "Failed.", "Try again."))
    Failed.
    Seen: Killed
    Do:   Try again.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if len(lines) > 2 and lines[-2].startswith("Seen:") and lines[-1].startswith("Do:"):
        seen, to_do = (line.partition(":")[2] for line in lines[-2:])
        return LabError(lines[-3], seen, to_do)
    return LabError(happened, lines[-1] if lines else "no message", do)


def one_line(error: LabError) -> str:
    """An error for the hub's log, where each participant has one line."""
    return f"{error.happened} Seen: {error.seen}. Do: {error.do}"


class Seats:
    """All seats of a room.

    Args:
        folder: the hub's own. What participants share is in its ``shared``: they can read it.
    """

    def __init__(self, folder: Path):
        self.shared = folder / "shared"
        self._users = asyncio.Lock()  # useradd refuses while another one runs

    def environment(self, person: Person) -> dict[str, str]:
        """What a participant's kernels and terminals need of podlab."""
        tools = [str(self.shared / "bin"), str(Path(sys.executable).parent)]
        return {
            "HOME": str(person.home),
            "USER": person.unix_user,
            "LOGNAME": person.unix_user,
            "SHELL": "/bin/bash",
            "PATH": os.pathsep.join([*tools, *USUAL_PATH]),  # root's has folders of root's
            "PODLAB_CLUSTER": person.cluster,
            "PODLAB_CACHE": str(self.shared),
            "PODLAB_HOME": str(person.home / "podlab"),
            # Short, because a socket's path is.
            "JUPYTER_RUNTIME_DIR": str(person.home / ".run"),
            "KUBECONFIG": str(_state(person) / "labs" / "terminal.kubeconfig"),
        }

    async def take(self, person: Person, say: Callable[[str], None]) -> list[str]:
        """Makes whatever is missing of a seat.

        Args:
            person: whose it is.
            say: called with each line of progress.

        Returns the arguments of the participant's Jupyter server.

        Raises:
            LabError: a step failed. The steps before it are kept, and the next call goes on there.
        """
        say("your user")
        async with self._users:
            await asyncio.to_thread(make_user, person)
        await self._up(person, say)
        say("your labs")
        await asyncio.to_thread(self._share_kubectl)
        return await self._desk(person)

    async def leave(self, person: Person) -> None:
        """Ends everything of a participant that runs: processes and cluster. Their files stay.

        Raises:
            LabError: something can't be ended.
        """
        if not is_ours(person):
            return
        await asyncio.to_thread(end_processes, person)
        await asyncio.to_thread(_take_over_record, person)
        code, _, errors = await _run([*_PODLAB, "down"], _for_root(person))
        if code:
            do = f"Run `podlab down --cluster {person.cluster}`."
            raise three_lines(errors, f"The cluster {person.cluster} isn't deleted.", do)

    async def trouble(self, person: Person) -> str:
        """What's wrong with a participant's cluster, in one line; "" if nothing is."""
        now = await asyncio.to_thread(lifecycle.status, person.cluster)
        if now.state == "running":
            return ""
        do = "In their JupyterLab: File > Hub Control Panel, Stop My Server, Start My Server."
        seen = now.detail or f"it's {now.state}"
        return one_line(LabError(f"The cluster {person.cluster} has died.", seen, do))

    async def _up(self, person: Person, say: Callable[[str], None]) -> None:
        code, _, errors = await _run([*_PODLAB, "up"], _for_root(person), say=say)
        if code:
            do = "Stop your server and start it again; tell the teacher."
            raise three_lines(errors, f"The cluster {person.cluster} didn't come up.", do)

    async def _desk(self, person: Person) -> list[str]:
        config = await asyncio.to_thread(ClusterFiles(person.cluster).kubeconfig.read_text)
        command = [sys.executable, "-m", "labhelpers.hub.desk"]
        environment = {**_python_environment(), **self.environment(person)}
        code, out, errors = await _run(command, environment, stdin=config, person=person)
        if code:
            raise three_lines(errors, "Your labs can't be written.", "Tell the teacher.")
        return json.loads(out.splitlines()[-1])

    def _share_kubectl(self) -> None:
        source, target = paths.tools() / KUBECTL, self.shared / "bin" / KUBECTL
        if target.is_file() and target.stat().st_mtime >= source.stat().st_mtime:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.shared, target.parent):
            folder.chmod(0o755)
        with made_atomically(target) as new:
            shutil.copyfile(source, new)
            new.chmod(0o555)


_PODLAB = (sys.executable, "-m", "labhelpers.cli")


def _state(person: Person) -> Path:
    return person.home / ".local/state/podlab" / person.cluster


def _for_root(person: Person) -> dict[str, str]:
    return {**os.environ, "PODLAB_CLUSTER": person.cluster}


def _python_environment() -> dict[str, str]:
    """What a Python of this environment needs, and nothing that is root's."""
    kept = ("LANG", "LC_ALL", "PYTHONPATH", "PODLAB_PATIENCE", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def is_ours(person: Person) -> bool:
    """Whether a hub has made this participant's Unix user.

    >>> is_ours(Person("nobody-has-this"))
    False
    """
    try:
        return pwd.getpwnam(person.unix_user).pw_gecos == MARK
    except KeyError:
        return False


def people() -> list[Person]:
    """Everybody whose Unix user a hub has made."""
    names = [user.pw_name for user in pwd.getpwall() if user.pw_gecos == MARK]
    return [Person(name.removeprefix("podlab-")) for name in sorted(names)]


def refuse_private_python(python: str = sys.executable) -> None:
    """Raises if participants can't run what root runs: a Python or a checkout below /root, say.

    Args:
        python: the hub's own.
    """
    command = [python, "-c", "import jupyterhub, labhelpers.hub"]
    environment = {"PATH": os.pathsep.join(USUAL_PATH), **_python_environment()}
    seen = ""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            user="nobody",
            extra_groups=[],
            timeout=patient(COMMAND_SECONDS),
        )
        if done.returncode:
            seen = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        seen = str(error)
    if seen:
        raise LabError(
            "Participants can't run this Python.",
            f"{python}, as nobody: {seen}",
            "Make the checkout and its environment where everybody can read, such as /opt/podlab,"
            " with a Python that isn't below /root.",
        )


def make_user(person: Person) -> None:
    """Makes a participant's Unix user, with a home that only they can read. Together with it, the
    cluster's name becomes theirs, so neither may be somebody else's.

    Raises:
        LabError: one of them is, or the user can't be made.
    """
    if is_ours(person):
        return
    other = f"Choose another name than {person.name}."
    now = lifecycle.status(person.cluster)
    if now.state != "absent":
        raise LabError(f"The cluster {person.cluster} isn't this room's.", str(now), other)
    for there in (f"the user {person.unix_user}" if _exists(person) else "", str(person.home)):
        if there and (not there.startswith("/") or Path(there).exists()):
            raise LabError(f"The name {person.name} is taken here.", f"{there} exists", other)
    command = ["useradd", "--create-home", "--home-dir", str(person.home), "--user-group"]
    command += ["--shell", "/bin/bash", "--comment", MARK, "--key", "HOME_MODE=0700"]
    limit = patient(COMMAND_SECONDS)
    done = subprocess.run(
        [*command, person.unix_user], capture_output=True, text=True, timeout=limit
    )
    if done.returncode:
        happened = f"The user {person.unix_user} can't be made."
        raise three_lines(done.stderr, happened, "Make space on the disk, or choose another name.")


def remove(person: Person) -> None:
    """Removes a participant's Unix user with all their files, after :meth:`Seats.leave`."""
    if is_ours(person):
        end_processes(person)
        command = ["userdel", "--remove", person.unix_user]
        limit = patient(COMMAND_SECONDS)
        subprocess.run(command, capture_output=True, check=True, timeout=limit)


def _exists(person: Person) -> bool:
    try:
        return bool(pwd.getpwnam(person.unix_user))
    except KeyError:
        return False


def end_processes(person: Person, seconds: float = 5) -> None:
    """Ends what a participant has left running, such as a loop in a terminal."""
    uid = pwd.getpwnam(person.unix_user).pw_uid
    theirs = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if uid in process.uids():
                theirs.append(process)
    for process in theirs:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(theirs, seconds)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _take_over_record(person: Person) -> None:
    """Copies the record of what their labs changed on the node to where ``podlab down`` looks for
    it: huge pages outlive a cluster. A link in its place is left alone."""
    with contextlib.suppress(OSError):
        handle = os.open(_state(person) / RECORD, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                content = file.read(1 << 20)
                with made_atomically(ClusterFiles(person.cluster).state / RECORD) as new:
                    new.write_bytes(content)


async def _run(
    command: Sequence[str],
    environment: dict[str, str],
    *,
    say: Callable[[str], None] | None = None,
    stdin: str = "",
    person: Person | None = None,
) -> tuple[int, str, str]:
    """Runs a command, as a participant or as root. Returns (exit code, stdout, stderr)."""
    as_whom = {}
    if person:
        known = pwd.getpwnam(person.unix_user)
        as_whom = {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": []}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=person.home if person else "/",
        start_new_session=True,
        **as_whom,
    )
    lines: list[str] = []

    async def listen() -> None:
        async for raw in process.stdout:
            lines.append(raw.decode("utf-8", "replace").rstrip())
            if say:
                say(lines[-1])

    try:
        process.stdin.write(stdin.encode())
        process.stdin.close()
        _, errors = await asyncio.gather(listen(), process.stderr.read())
        return await process.wait(), "\n".join(lines), errors.decode("utf-8", "replace")
    except asyncio.CancelledError:  # the participant gave up, or the hub ends
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
