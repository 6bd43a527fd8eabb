"""Builds the site: ``python -m docs.site.build [FOLDER]``; without one, build/site. It needs no
network and no cluster, and runs no notebook. A warning of Sphinx fails it."""

import argparse
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docs.site.staging import ROOT, stage

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the site from what is stored.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory(prefix="podlab-site-") as scratch:
        sources, trees = Path(scratch) / "sources", Path(scratch) / "trees"
        stage(sources)
        words = ["-b", "html", "-c", HERE, "-d", trees, "-j", 2, "-q", "-W", "--keep-going"]
        code = sphinx([*map(str, words), str(sources), str(folder)])
    if not code:
        print(f"The site is in {folder}: open {folder / 'index.html'} in a browser.")
    return code


if __name__ == "__main__":
    sys.exit(main())
