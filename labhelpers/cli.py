"""The ``podlab`` command: the cluster, the exercises and JupyterLab. The Makefile calls it."""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from labhelpers import author, card, contents, folder, paths, patience, stored, teaching
from labhelpers.cluster import (
    bundle,
    bundle_download,
    doctor,
    jupyterlab,
    lifecycle,
    progress,
    terminal,
)
from labhelpers.diagnosis import Reading, diagnose
from labhelpers.errors import LabError
from labhelpers.exercises import Exercise
from labhelpers.kube.any_cluster import AnyCluster
from labhelpers.record import Record

__all__ = ["main"]

WHY = """Say why a Pod doesn't work: the evidence with the kubectl line that shows it, the verdict,
what to do next, and the lab that explains it.

POD is the name of a Pod. If there's none, it's the name of a Deployment, StatefulSet, DaemonSet,
Job or ReplicaSet, the beginning of a Pod's name, or the name of a Service. KIND/NAME is exact:
deployment/web, service/web.

It uses your own kubeconfig and context, as kubectl does, and works on any cluster. It only reads:
every request is a GET. It never reads a Secret or a ConfigMap, makes no Pod, and changes nothing.
It does read the last lines of a crashed container's log. With --cluster it asks a cluster of the
labs.

Exit code: 0 if nothing is wrong, 1 if something is, or if there isn't enough evidence."""

PROGRESS = """Show what you've done so far, lab by lab, and what to do next. It needs no cluster.

The first answer to a prediction counts; it's late if the next cell ran before it. Minutes leave out
pauses of more than ten. It's all in one file, progress.json, and it never leaves this machine."""


# One machine carries fewer, and a network of Docker has some 65000 addresses.
LARGEST_ROOM = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit code: 0, 1 with three lines on stderr, 2 for a wrong call,
    130 after Ctrl-C, 141 if what reads the output has ended.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ):  # the cluster's name would stay
    ...     main(["status", "--cluster", "a-cluster-that-nobody-made"])  # doctest: +ELLIPSIS
    cluster a-cluster-that-nobody-made: absent...
    1
    """
    progress.print_anywhere()
    options = parser().parse_args(arguments)
    if options.cluster:
        os.environ["PODLAB_CLUSTER"] = options.cluster
    # TERM (a closed terminal, a CI that gives up) ends a step cleanly, as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        patience.factor()  # complain about a wrong PODLAB_PATIENCE before anything begins
        code = options.run(options)
        sys.stdout.flush()
        return code
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # What reads the output has seen enough: podlab plan 2h | head. Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if not error.filename:
            raise
        print(paths.cannot_use(error, "podlab can't use a file."), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted. Finished steps are kept: run the same command again to continue.",
            file=sys.stderr,
        )
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="podlab", description="The labs' cluster, exercises and JupyterLab."
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--cluster", default="", help="the cluster's name (default: PODLAB_CLUSTER, or podlab)"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run, text: str, parents=(shared,)) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=parents, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add(
        "up",
        run_up,
        "start the cluster; first install or build what's missing",
    )
    add("down", run_down, "delete the cluster").add_argument(
        "--purge",
        action="store_true",
        help="also delete the Docker engine that podlab started, the images and the caches",
    )
    add(
        "doctor",
        run_doctor,
        "check what a cluster needs from this machine; exit code 0 if `podlab up` will work",
    ).add_argument(
        "--room",
        type=a_room,
        default=0,
        metavar="N",
        help="also check whether it carries N people, each with a cluster and a JupyterLab",
    )
    add("status", run_status, "show the cluster's status; exit code 0 if it's running")
    check = add("check", run_check, "check your exercises of a lab on the cluster")
    check.add_argument("lab", help="the lab's name or number: 02-pause, 02")
    check.add_argument("key", nargs="?", help="one exercise, such as a (default: all)")
    reset = add("reset", run_reset, "restore a lab's starter files (yours are saved as *.bak)")
    reset.add_argument("lab", help="the lab's name or number")
    reset.add_argument("key", nargs="?", help="one exercise, such as a (default: all)")
    made = add("progress", run_progress, "show what you've done so far; needs no cluster")
    made.description = PROGRESS
    made.add_argument("--json", action="store_true", help="as JSON, for a program")
    add("open", run_open, "open a lab's notebook in JupyterLab (default: the first)").add_argument(
        "lab", nargs="?", default="00"
    )
    why = add("why", run_why, "say why a Pod doesn't work, on any cluster; it only reads", ())
    why.description = WHY
    why.formatter_class = argparse.RawDescriptionHelpFormatter
    why.add_argument("what", metavar="POD", help="a Pod, or KIND/NAME")
    why.add_argument("-n", "--namespace", default="", help="default: that of the context")
    why.add_argument("--context", default="", help="a context of the kubeconfig")
    why.add_argument("--kubeconfig", default="", help="default: KUBECONFIG, or ~/.kube/config")
    why.add_argument("--cluster", default="", help="a cluster of the labs, by its name")
    new = add("new", run_new, "create the files of a new lab from the template")
    new.add_argument("lab", help="the new lab's name, such as 07-life-cycle")
    board = add("board", run_board, "show the teacher what a room predicts and where it's stuck")
    board.add_argument("--address", default="", help="listen on this one only (default: all)")
    board.add_argument("--port", type=a_port, help="default: 8765, or that of the session")
    board.add_argument("--end", action="store_true", help="end the session, delete what it has")
    join = add("join", run_join, "share with the teacher's board, until the session ends")
    join.add_argument("url", help="what the wall shows: http://192.168.1.5:8765/K7QMTX")
    join.add_argument("--name", required=True, help="any name you like")
    add("leave", run_leave, "stop sharing with the teacher's board")
    init = add("init", run_init, "write a folder with all labs, to work in")
    init.add_argument("folder", type=Path, help="a new or an empty folder")
    add("update", run_update, "bring your folder's labs up to date; keeps what you wrote")
    planned = add("plan", run_plan, "plan a session: which sections of which labs fit", ())
    planned.add_argument("time", help="all that there is, with breaks: 90m, 2h, 1h30m")
    planned.add_argument("--labs", default="", help="choose from these, in order: 02,07")
    planned.set_defaults(cluster="")
    deck = add("slides", run_slides, "make slides from a lab's core: one HTML file", ())
    deck.add_argument("lab", help="the lab's number, such as 02")
    deck.add_argument("file", nargs="?", type=Path, help="default: NN-slides.html, here")
    deck.set_defaults(cluster="")
    parts = add(
        "bundle", None, "save, load or serve everything that a machine needs without a network"
    )
    parts.add_argument("action", choices=["save", "load", "serve"])
    parts.add_argument("file", metavar="FILE", help="to load: also http://… of one that's served")
    parts.add_argument(
        "--port", type=a_port_or_any, default=8000, help="to serve at (default: 8000)"
    )
    parts.set_defaults(run=run_bundle)
    return top


def run_up(options: argparse.Namespace) -> int:
    lifecycle.up()
    print(lifecycle.status())
    return 0


def run_down(options: argparse.Namespace) -> int:
    lifecycle.down()
    if options.purge:
        lifecycle.purge()
    return 0


def run_new(options: argparse.Namespace) -> int:
    written = author.new(options.lab)
    for path in written:
        print(path.relative_to(paths.repository()))
    number = options.lab[:2]
    print(f"Next: make try LAB={number}. Then write; docs/adding-a-lab.md has the steps.")
    return 0


def run_init(options: argparse.Namespace) -> int:
    print(folder.init(options.folder))
    return 0


def run_update(options: argparse.Namespace) -> int:
    print(folder.update(paths.notebooks().parent))
    return 0


def a_room(word: str) -> int:
    """A number of participants.

    >>> a_room("30")
    30
    """
    return _whole(word, LARGEST_ROOM)


def a_port(word: str) -> int:
    """A port that's the same after a restart, so not 0.

    >>> a_port("8000")
    8000
    """
    return _whole(word, 65535)


def a_port_or_any(word: str) -> int:
    """A port, or 0 for any that's free.

    >>> a_port_or_any("0")
    0
    """
    return _whole(word, 65535, least=0)


def _whole(word: str, most: int, least: int = 1) -> int:
    if not re.fullmatch("[0-9]{1,6}", word) or not least <= int(word) <= most:
        raise argparse.ArgumentTypeError(f"{word!r} isn't a number from {least} to {most}")
    return int(word)


def run_doctor(options: argparse.Namespace) -> int:
    text, works = doctor.report(people=options.room)
    print(text)
    return 0 if works else 1


def run_status(options: argparse.Namespace) -> int:
    now = lifecycle.status()
    print(now)
    return 0 if now.state == "running" else 1


def notebook_of(lab: str) -> Path:
    """Finds the notebook of a lab by its name or number.

    Raises:
        LabError: there is none, or more than one.
    """
    notebooks = paths.notebooks()
    stem = lab.replace("-", "_").removesuffix(".ipynb")
    found = sorted(
        path
        for path in notebooks.glob("[0-9][0-9]_*.ipynb")
        if path.stem == stem or path.stem.split("_")[0] == stem.zfill(2)
    )
    if len(found) != 1:
        names = ", ".join(
            path.stem.replace("_", "-") for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))
        )
        raise LabError(f"There is no lab {lab}.", f"the labs here: {names}", "Use one of these.")
    return found[0]


def exercises_of(options: argparse.Namespace) -> list[Exercise]:
    lab = notebook_of(options.lab).stem.replace("_", "-")
    keys = (
        [options.key]
        if options.key
        else sorted(p.stem for p in (paths.notebooks() / "exercises" / lab).glob("*.py"))
    )
    if not keys:
        raise LabError(
            f"The lab {lab} has no exercises.",
            f"nothing under notebooks/exercises/{lab}",
            "Choose a lab that has a folder in notebooks/exercises.",
        )
    return [Exercise(lab, key) for key in keys]


def needs_the_node(lab: str) -> bool:
    """Whether claims.yaml says that a lab needs the node to itself."""
    return contents.labs().get(lab.partition("-")[0], {}).get("needs") == "node-exclusive"


def run_check(options: argparse.Namespace) -> int:
    from labhelpers.lab import start

    chosen = exercises_of(options)
    lifecycle.check_up()
    lab = start(chosen[0].lab_name, exclusive=needs_the_node(chosen[0].lab_name))
    verdicts = []
    try:
        for exercise in chosen:
            verdicts.append(lab.check(exercise.key))
            print(f"{exercise.key}: {verdicts[-1]}")
    finally:
        lab.finish()
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def run_reset(options: argparse.Namespace) -> int:
    for exercise in exercises_of(options):
        print(f"{exercise.key}: {exercise.reset()}")
    return 0


def run_progress(options: argparse.Namespace) -> int:
    record = Record()
    labs = card.rows(record)
    print(json.dumps(card.as_json(labs), indent=1) if options.json else card.table(labs))
    if record.notice:
        print(record.notice, file=sys.stderr)
    return 0


def run_open(options: argparse.Namespace) -> int:
    notebook = notebook_of(options.lab)
    port = jupyterlab.wanted_port()
    # Whoever sets PORT wants another one.
    if not os.environ.get("PORT") and (address := jupyterlab.open_already(notebook)):
        print(f"JupyterLab is open already. {notebook.name} is in its list on the left, and here:")
        print(f"    {address}")
        if jupyterlab.wants_browser():
            webbrowser.open(address)
        return 0
    if not folder.is_current(notebook.parent.parent):
        print("These labs are of another podlab than this one: `podlab update` changes that.")
    terminal.write()
    stored.install_save_hook()
    stored.install_defaults()
    desktop = jupyterlab.wants_browser()
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--no-browser",
    ]
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command += [
        f"--ServerApp.root_dir={notebook.parent}",
        f"--LabApp.default_url=/lab/tree/{notebook.name}",
        f"--ServerApp.terminado_settings=shell_command={terminal.shell_command(os.environ)}",
    ]
    if desktop:
        command.remove("--no-browser")
    print(
        f"JupyterLab on {notebook.name}."
        f" {'It opens in your browser.' if desktop else 'Open the address that it prints.'} Ctrl-C"
        " ends it."
    )
    with subprocess.Popen(command, env=terminal.environment(os.environ)) as jupyter:
        try:
            code = jupyter.wait()
        except KeyboardInterrupt:
            # This leaves time to end the kernels, without JupyterLab's question: Ctrl-C was the
            # answer.
            jupyter.terminate()
            code = 0
    print(
        f"JupyterLab has ended. The cluster {paths.cluster_name()} is still running;"
        f" `{_podlab()} down` deletes it."
    )
    return code


def _podlab() -> str:
    """This command as it can be typed in the shell that it was called from: make lab's environment
    isn't on its path."""
    command = Path(sys.executable).with_name("podlab")
    if shutil.which("podlab") or not command.is_file():
        return "podlab"
    near = os.path.relpath(command)
    return str(command) if near.startswith("..") else near


def run_why(options: argparse.Namespace) -> int:
    kubeconfig = options.kubeconfig or (str(paths.kubeconfig()) if options.cluster else "")
    with AnyCluster(kubeconfig, options.context) as cluster:
        words = ["kubectl"]
        words += ["--kubeconfig", kubeconfig] if kubeconfig else []
        words += ["--context", options.context] if options.context else []
        words += ["-n", options.namespace] if options.namespace else []
        namespace = options.namespace or cluster.namespace
        found = diagnose(Reading(cluster.get, namespace, shlex.join(words)), options.what)
    print(found)
    return 1 if found else 0


def run_board(options: argparse.Namespace) -> int:
    from labhelpers.board import host

    return host.end() if options.end else host.run(options.address, options.port)


def run_join(options: argparse.Namespace) -> int:
    from labhelpers import lab_shares

    print(lab_shares.join(options.url, options.name))
    return 0


def run_leave(options: argparse.Namespace) -> int:
    from labhelpers import lab_shares

    print(lab_shares.leave())
    return 0


def run_plan(options: argparse.Namespace) -> int:
    print(teaching.plan(teaching.minutes_of(options.time), teaching.advice(options.labs)))
    return 0


def run_slides(options: argparse.Namespace) -> int:
    from labhelpers import slides

    [lab] = teaching.advice(notebook_of(options.lab).stem.partition("_")[0])
    target = options.file or Path(f"{lab.number}-slides.html")
    count = slides.write(lab, target)
    print(f"{target}: {count} slides. Open it in a browser; the arrow keys turn the pages.")
    return 0


def run_bundle(options: argparse.Namespace) -> int:
    if options.action == "serve":
        from labhelpers.cluster import bundle_server

        bundle_server.serve(Path(options.file), options.port)
    elif options.action == "save":
        print(bundle.save(Path(options.file)))
    else:
        print(bundle.load(bundle_download.here(options.file)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
