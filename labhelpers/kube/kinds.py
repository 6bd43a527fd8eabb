"""Knows which kinds the cluster has, and the path of each object in its API.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from labhelpers.errors import LabError
from labhelpers.files import write_atomically

__all__ = ["AGGREGATED", "Kinds", "check_name", "selector"]

# RFC 1123, as kubectl checks it:
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# Kinds whose names may contain ":" and capitals, such as system:node-proxier or node-csr-Xy.
FREE_KINDS = (
    "CertificateSigningRequest ClusterRole ClusterRoleBinding ClusterTrustBundle IPAddress Role"
    " RoleBinding"
).split()
# Requests about another object. They have a kind, but no path of their own.
SENT_BY = {
    "Eviction": "`kubectl drain`",
    "Scale": "`kubectl scale`",
    "TokenRequest": "`kubectl create token`",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Kinds:
    """The kinds of one cluster: from memory, from a file, or from the server.

    Args:
        discover: reads ``/api`` or ``/apis`` in the format ``AGGREGATED``.
        file: returns the path of this cluster's file.
    """

    def __init__(self, discover: Callable[[str], dict], file: Callable[[], Path]):
        self._ask, self._file = discover, file
        self.known: dict[str, Sequence] = {}

    def path(self, kind: str, name: str | None, namespace: str) -> str:
        """The path of an object, or of all objects of its kind if ``name`` is None. An empty
        namespace means all of them.

        Every path is built here, and only from checked names: the path of the Pod "" would be that
        of all Pods, and a DELETE would delete them all.

        Raises:
            LabError: Kubernetes doesn't allow the name or the namespace.
        """
        if name is not None:
            check_name(kind, name)
        prefix, plural, namespaced, *_ = self._resource(kind)
        place = ""
        if namespaced and (namespace or name is not None):
            check_name("Namespace", namespace)
            place = f"/namespaces/{quote(namespace, safe='')}"
        return f"{prefix}{place}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def plural(self, kind: str) -> str:
        """The name of a known kind in a path, such as "pods"."""
        return self.known[kind][1] if kind in self.known else "pods"

    def is_namespaced(self, kind: str) -> bool:
        """Whether objects of this kind live in a namespace."""
        return self._resource(kind)[2]

    def verbs(self, kind: str) -> Sequence[str]:
        """What the API server does with objects of this kind, such as "create" and "patch"; empty
        if it doesn't say."""
        return self._resource(kind)[3:]

    def cluster_scoped(self) -> list[str]:
        """The cluster-scoped kinds that can be listed and deleted, except Namespace and Node:
        "scheduling.k8s.io/v1/PriorityClass". The server is asked each time, because a
        CustomResourceDefinition adds kinds."""
        found: dict[str, str] = {}
        for api_version, resource in self._resources():
            kind, verbs = resource["responseKind"]["kind"], resource.get("verbs") or ()
            if (
                resource["scope"] == "Cluster"
                and {"list", "delete"} <= set(verbs)
                and kind not in ("Namespace", "Node")
            ):
                group = api_version.rpartition("/")[0]
                # The preferred version is the first.
                found.setdefault(f"{group}/{resource['resource']}", f"{api_version}/{kind}")
        return list(found.values())

    def _resource(self, kind: str) -> Sequence:
        """The path prefix, the plural name, whether it's namespaced; then its verbs."""
        if not self.known:
            with contextlib.suppress(OSError, ValueError):
                self.known.update(json.loads(self._file().read_text()))
        if kind not in self.known:
            self.known.update(self._discover())
            # Without the file, the next process just asks again.
            with contextlib.suppress(OSError):
                write_atomically(self._file(), json.dumps(self.known))
        if kind not in self.known:
            raise LabError(
                f"The cluster has no kind {kind or repr(kind)}.",
                f"no {kind or repr(kind)} in its API",
                self._instead(kind.rpartition("/")[2]),
            )
        return self.known[kind]

    def _instead(self, name: str) -> str:
        """What to do about a kind that isn't there."""
        if name in SENT_BY:
            return f"Leave it out. It's a request about another object: {SENT_BY[name]} sends it."
        for kind, (prefix, *_) in self.known.items():
            if kind.casefold() == name.casefold():
                api_version = re.sub("^/apis?/", "", prefix)
                return f"Write apiVersion: {api_version} and kind: {kind}."
        return "Check its name and spelling: `kubectl api-resources` lists all kinds."

    def _discover(self) -> dict[str, Sequence]:
        kinds: dict[str, Sequence] = {}
        for api_version, resource in self._resources():
            kind = resource["responseKind"]["kind"]
            path = "/apis" if "/" in api_version else "/api"
            named = resource["resource"], resource["scope"] == "Namespaced"
            known = [f"{path}/{api_version}", *named, *resource.get("verbs", [])]
            kinds.setdefault(kind, known)
            kinds[f"{api_version}/{kind}"] = known
        return kinds

    def _resources(self) -> Iterator[tuple[str, dict]]:
        """Every resource with its apiVersion; the core API first, the preferred version before the
        others."""
        for path in ("/api", "/apis"):
            for group in self._ask(path)["items"]:
                name = group["metadata"].get("name")
                for version in group["versions"]:
                    api_version = f"{name}/{version['version']}" if name else version["version"]
                    for resource in version.get("resources", []):
                        yield api_version, resource


def check_name(kind: str, name: str) -> None:
    """Refuses what Kubernetes doesn't allow as an object's name, without asking the server.

    Raises:
        LabError: the name isn't valid.
    """
    if not isinstance(name, str):
        raise _not_a_name(kind, name, f"a {type(name).__name__}")
    if not name:
        raise _not_a_name(kind, name, "it is empty")
    if name in (".", ".."):
        raise _not_a_name(kind, name, "it would lead to another path")
    if found := [letter for letter in "/%" if letter in name]:
        raise _not_a_name(kind, name, f"it contains {found[0]}")
    if kind.rpartition("/")[2] in FREE_KINDS:
        return
    if len(name) > 253 or not SUBDOMAIN.fullmatch(name):
        raise _not_a_name(kind, name, "it isn't a DNS name of at most 253 characters")


def selector(kind: str, name: str) -> str:
    """The field selector of one object. An empty name would never select anything, and a comma
    would begin a second selector.

    Raises:
        LabError: the name isn't valid.

    >>> selector("Pod", "one-app")
    'metadata.name=one-app'
    """
    check_name(kind, name)
    # As fields.EscapeValue in apimachinery's pkg/fields/selector.go.
    escaped = re.sub(r"[\\,=]", lambda found: f"\\{found[0]}", name)
    return f"metadata.name={escaped}"


def _not_a_name(kind: str, name: str, why: str) -> LabError:
    return LabError(
        f"{name!r} isn't a valid name for a {kind.rpartition('/')[2]}, so nothing was sent.",
        why,
        "Use lowercase letters, digits, '-' and '.', with a letter or digit at both ends.",
    )
