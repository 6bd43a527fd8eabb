"""Connects to the labs' own cluster, and refuses every other."""

from pathlib import Path

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import load_kube_config

from labhelpers import paths
from labhelpers.errors import LabError, NotOurCluster, Refused, Unreachable
from labhelpers.kube.client import MARK, NODE_NAMESPACE, Connection

__all__ = ["UNREADABLE", "connect"]

# What the client raises on a file that is no kubeconfig.
UNREADABLE = (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError)


def connect(kubeconfig: Path | str | None = None, namespace: str = "default") -> Connection:
    """Connects to the labs' cluster, and to no other.

    A cluster is the labs' own if its namespace ``podlab-node`` has the label ``podlab=cluster``,
    which ``podlab up`` puts there.

    Args:
        kubeconfig: the file to use; default: that of the cluster that this process works with.
            Never ``~/.kube/config``.
        namespace: where names are looked up unless a call says otherwise.

    Raises:
        NotOurCluster: the file is ``~/.kube/config``, or the cluster doesn't have the label.
        Unreachable: nothing answers.
        LabError: there is no such file, or it isn't a kubeconfig.

    ::

        connection = connect(namespace="lab-02-pause")
        connection.get("Pod", "one-app")["status"]["phase"]
    """
    path = Path(kubeconfig or paths.kubeconfig()).expanduser()
    if path.resolve() == (Path.home() / ".kube" / "config").resolve():
        raise NotOurCluster(
            "The labs don't use your own kubeconfig.",
            str(path),
            "Run `podlab up`: the labs' cluster has a file of its own.",
        )
    if not path.is_file():
        raise LabError("There is no cluster yet.", f"no kubeconfig at {path}", "Run `podlab up`.")
    connection = Connection(_configuration(path), path, namespace)
    found, seen = {}, f"no namespace {NODE_NAMESPACE} carries the label {MARK}=cluster"
    try:
        listed = connection.raw("/api/v1/namespaces")
        if isinstance(listed, dict):
            found = {item["metadata"]["name"]: item["metadata"] for item in listed.get("items", [])}
    except Refused as error:
        seen = error.seen
    except Unreachable as error:
        if "CERTIFICATE_VERIFY_FAILED" not in error.seen:
            raise
        seen = "the certificate is another cluster's"
    if found.get(NODE_NAMESPACE, {}).get("labels", {}).get(MARK) != "cluster":
        connection.close()
        raise NotOurCluster(
            "podlab didn't create this cluster, so it won't touch it.",
            f"{path} points to {connection.host}: {seen}",
            "Run `podlab up` to create one. If that was interrupted, run `podlab down` first.",
        )
    connection.cluster_uid = found["kube-system"]["uid"]
    return connection


def _configuration(path: Path) -> Configuration:
    configuration = Configuration()
    # The cluster is on this machine, so the environment's proxies don't apply.
    configuration.proxy = None
    try:
        load_kube_config(
            config_file=str(path), client_configuration=configuration, persist_config=False
        )
    except UNREADABLE as error:
        raise LabError(
            "The cluster's kubeconfig can't be read.",
            f"{path}: {error}",
            "Run `podlab down`, then `podlab up`: that writes a new one.",
        ) from error
    # urllib3's own retries write warnings into the cell. `waiting` retries on purpose.
    configuration.retries = urllib3.Retry(0, redirect=0)
    return configuration
