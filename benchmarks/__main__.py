"""``python -m benchmarks``: one table. Exit code 0 when everything was measured, whatever the
figures are."""

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
from pathlib import Path

from benchmarks import measures
from benchmarks.image import image
from benchmarks.labs import labs
from benchmarks.room import room
from benchmarks.sampling import sampling, verdict
from benchmarks.table import Result, markdown
from labhelpers.errors import LabError

# Each with its rounds; a room has as many participants. Two are measured only when
# named: they take the machine for half an hour, and for ten minutes.
ROUNDS = {
    "cluster": 3,
    "start": 5,
    "ready": 10,
    "delay": 30,
    "import": 10,
    "size": 1,
    "sampling": 5,
    "verdict": 5,
    "labs": 1,
    "image": 1,
    "room": 4,
}
NAMED = ("image", "room")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure what the project promises; one table."
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(ROUNDS),
        help=f"this alone; can be given again ({' and '.join(NAMED)}: only so)",
    )
    parser.add_argument("--rounds", type=int, help="instead of each one's own number of rounds")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every measured value to this file, too"
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="FILE", help="a file of `podlab bundle save`, for its size"
    )
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds is at least 1")
    if options.bundle and not options.bundle.is_file():
        parser.error(f"there is no file {options.bundle}")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

    results, failed = [], False
    for name in options.only or [name for name in ROUNDS if name not in NAMED]:
        try:
            # What goes on is told on stderr, so that the table can be written to a file.
            with contextlib.redirect_stdout(sys.stderr):
                results += measure(name, options.rounds or ROUNDS[name], options.bundle)
        except Exception as error:  # what has been measured before is not lost
            failed = True
            print(
                f"{name} was not"
                f" measured.\n{error if isinstance(error, LabError) else repr(error)}",
                file=sys.stderr,
            )
        except KeyboardInterrupt:
            print("\nInterrupted; what was made is deleted.", file=sys.stderr)
            return 130
    if results:
        print(f"{machine()}\n\n{markdown(results)}")
    if options.json:
        options.json.write_text(
            json.dumps(
                {"machine": machine(), "results": [result.as_dict() for result in results]},
                indent=1,
            )
            + "\n"
        )
    return 1 if failed else 0


def measure(name: str, rounds: int, bundle: Path | None) -> list[Result]:
    if name == "size":
        return measures.sizes(bundle)
    of_name = {
        "cluster": measures.usable,
        "start": measures.starts,
        "ready": measures.ready,
        "delay": measures.delay,
        "import": measures.imports,
        "sampling": sampling,
        "verdict": verdict,
        "labs": labs,
        "image": image,
        "room": room,
    }
    found = of_name[name](rounds)
    return found if isinstance(found, list) else [found]


def machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python"
        f" {platform.python_version()}{load}"
    )


if __name__ == "__main__":
    sys.exit(main())
