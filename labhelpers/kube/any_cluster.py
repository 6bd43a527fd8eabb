"""Reads from whatever cluster the reader's own kubeconfig names: ``podlab why``, and nothing else,
works on clusters that aren't the labs'.

Only a GET can be sent from here: the class has no method for anything else.
"""

import os
from pathlib import Path

import urllib3
from kubernetes.client import Configuration
from kubernetes.config.kube_config import KubeConfigMerger, load_kube_config

from labhelpers.errors import LabError, Refused, Unreachable
from labhelpers.kube.client import Connection
from labhelpers.kube.connect import UNREADABLE

__all__ = ["AnyCluster"]


class AnyCluster:
    """A cluster to read from.

    Args:
        kubeconfig: a path, or several as in KUBECONFIG; default: that variable, or
            ``~/.kube/config``.
        context: default: the current one.

    Attributes:
        namespace: that of the context, or "default".

    Raises:
        LabError: the kubeconfig can't be read, or has no such context.
    """

    def __init__(self, kubeconfig: str = "", context: str = ""):
        path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        self._path, self._context = path, context
        configuration = Configuration()
        try:
            merged = KubeConfigMerger(path).config
            there = merged.value if merged else {}
            contexts = {each["name"]: each.value for each in there.get("contexts", [])}
            chosen = context or there.get("current-context", "")
            if chosen not in contexts:
                raise LabError(
                    f"The kubeconfig has no context {chosen}." if chosen else "No context is set.",
                    f"{path} has {', '.join(contexts) or 'none'}",
                    "Use one that's there: --context NAME; or another file: --kubeconfig FILE.",
                )
            # persist_config: nothing is written, not even a fresh token.
            load_kube_config(
                config_file=path,
                context=chosen,
                client_configuration=configuration,
                persist_config=False,
            )
        except (*UNREADABLE, KeyError) as error:
            raise LabError(
                "The kubeconfig can't be used.",
                f"{path}: {error}",
                "Check it with `kubectl config view`; --kubeconfig names another file.",
            ) from error
        self.namespace: str = (contexts[chosen].get("context") or {}).get("namespace") or "default"
        configuration.retries = urllib3.Retry(0, redirect=0)
        self._connection = Connection(configuration, Path(path), self.namespace)

    def __enter__(self) -> "AnyCluster":
        return self

    def __exit__(self, *_) -> None:
        self._connection.close()

    def get(self, path: str) -> dict | str:
        """Reads a path: a dict if the answer is JSON, else text.

        Raises:
            Refused: the server said no.
            Unreachable: nothing answered.
        """
        try:
            return self._connection.raw(path)
        except Unreachable as error:
            raise Unreachable(error.happened, error.seen, self._check()) from error
        except Refused as error:
            if error.code != 401:
                raise
            raise LabError("The cluster doesn't know you.", error.seen, self._check()) from error

    def _check(self) -> str:
        more = f" --context {self._context}" if self._context else ""
        return f"Check that kubectl reaches it: kubectl{more} --kubeconfig {self._path} get pods"
