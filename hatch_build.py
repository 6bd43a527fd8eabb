"""Puts into the wheel what podlab needs beside the package: the labs, kind/ and the pins."""

import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Pack(BuildHookInterface):
    """Asks labhelpers which files these are. An editable install uses those of the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from labhelpers.folder import packed_files

        for name in packed_files(self.root):
            build_data["force_include"][name] = f"labhelpers/packed/{name}"
