"""Which kinds the cluster has, and the path of each object in its API.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["AGGREGATED", "Kinds"]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Kinds:
    """The kinds of one cluster: from memory, from a file, or from the server.

    Args:
        discover: reads ``/api`` or ``/apis`` in the form ``AGGREGATED``.
        file: gives the path of this cluster's file.
    """

    def __init__(self, discover: Callable[[str], dict], file: Callable[[], Path]):
        self._ask, self._file = discover, file
        self.known: dict[str, Sequence] = {}

    def path(self, kind: str, name: str | None, namespace: str) -> str:
        """The path of an object; of all of its kind where ``name`` is None. An empty namespace
        means all of them."""
        prefix, plural, namespaced = self._resource(kind)
        place = f"/namespaces/{quote(namespace, safe='')}" if namespaced and namespace else ""
        return f"{prefix}{place}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def plural(self, kind: str) -> str:
        """The name in the path, such as "pods", of a kind that has been met."""
        return self.known[kind][1] if kind in self.known else "pods"

    def _resource(self, kind: str) -> Sequence:
        """Path prefix, plural name and whether it is namespaced."""
        if not self.known:
            with contextlib.suppress(OSError, ValueError):
                self.known.update(json.loads(self._file().read_text()))
        if kind not in self.known:
            self.known.update(self._discover())
            # Without a file the next process asks again, no more.
            with contextlib.suppress(OSError):
                write_atomically(self._file(), json.dumps(self.known))
        if kind not in self.known:
            raise LabError(
                f"The cluster has no kind {kind}.",
                f"no {kind} in its API",
                "Look at the names: `kubectl api-resources`.",
            )
        return self.known[kind]

    def _discover(self) -> dict[str, Sequence]:
        kinds: dict[str, Sequence] = {}
        for path in ("/api", "/apis"):
            for group in self._ask(path)["items"]:
                for version in group["versions"]:  # The preferred one is first.
                    name = group["metadata"].get("name")
                    api_version = f"{name}/{version['version']}" if name else version["version"]
                    for resource in version.get("resources", []):
                        kind = resource["responseKind"]["kind"]
                        known = [
                            f"{path}/{api_version}",
                            resource["resource"],
                            resource["scope"] == "Namespaced",
                        ]
                        kinds.setdefault(kind, known)
                        kinds[f"{api_version}/{kind}"] = known
        return kinds
