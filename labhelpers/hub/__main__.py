"""``python -m labhelpers.hub end``: after the workshop, nothing of it is left on the machine."""

import argparse
import asyncio
import os
import shutil
import sys
from pathlib import Path

from labhelpers.errors import LabError
from labhelpers.hub import seats

FOLDER = "/var/lib/podlab-hub"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m labhelpers.hub")
    parser.add_argument("action", choices=["end"], help="delete all participants' files and users")
    parser.parse_args()
    folder, failed = Path(os.environ.get("PODLAB_HUB_FOLDER", FOLDER)), 0
    for person in seats.people():
        try:
            asyncio.run(seats.Seats(folder).leave(person))
            seats.remove(person)
            print(f"{person.name}: cluster, user and files are deleted")
        except LabError as error:
            print(f"{person.name}: {seats.one_line(error)}", file=sys.stderr)
            failed += 1
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
