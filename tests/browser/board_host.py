"""A `podlab board` that runs, for tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["Host"]


class Host:
    """The `podlab board` that runs."""

    def __init__(self, state: Path):
        self.environment = {**os.environ, "PODLAB_STATE": str(state)}
        self.said, self.process = "", None

    def start(self, port: str = "0") -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-u",
                "-m",
                "labhelpers.cli",
                "board",
                "--address=127.0.0.1",
                *(["--port", port] if port else []),
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        assert "/teacher/" in self.said, self.said
        self.room = re.search(r'"(http://[^"]+)"', self.said)[1]
        self.teacher = re.search(r"http://\S+/teacher/\S+", self.said)[0]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
