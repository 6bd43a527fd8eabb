"""The guard that keeps the labs on their own cluster, and off every other."""

from pathlib import Path

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import load_kube_config

from labhelpers import paths
from labhelpers.errors import LabError, NotOurCluster, Refused, Unreachable
from labhelpers.kube.client import MARK, NODE_NAMESPACE, Connection

__all__ = ["connect"]


def connect(kubeconfig: Path | str | None = None, namespace: str = "default") -> Connection:
    """Connect to the labs' cluster, and to no other.

    A cluster is the labs' own if its namespace ``podlab-node`` carries the label
    ``podlab=cluster``, which ``podlab up`` puts there.

    Args:
        kubeconfig: the file to use; without it the one of the cluster that this process works with.
            Never ``~/.kube/config``.
        namespace: where names are looked up unless a call says otherwise.

    Raises:
        NotOurCluster: the file is ``~/.kube/config``, or the cluster does not carry the mark.
        Unreachable: nothing answers.
        LabError: there is no such file, or it is not a kubeconfig.

    ::

        connection = connect(namespace="lab-02-pause")
        connection.get("Pod", "one-app")["status"]["phase"]
    """
    path = Path(kubeconfig or paths.kubeconfig()).expanduser()
    if path.resolve() == (Path.home() / ".kube" / "config").resolve():
        raise NotOurCluster(
            "The labs do not touch your own kubeconfig.",
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
            "This is not a cluster that the labs made, so nothing was done on it.",
            f"{path} leads to {connection.host}: {seen}",
            "Run `podlab up` to make one, or `podlab down` and `podlab up` if it was half made.",
        )
    connection.cluster_uid = found["kube-system"]["uid"]
    return connection


def _configuration(path: Path) -> Configuration:
    configuration = Configuration()
    # The cluster is on this machine, where no proxy of the environment leads.
    configuration.proxy = None
    try:
        load_kube_config(
            config_file=str(path), client_configuration=configuration, persist_config=False
        )
    except (
        ConfigException,
        yaml.YAMLError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise LabError(
            "The cluster's kubeconfig cannot be read.",
            f"{path}: {error}",
            "Run `podlab down` and `podlab up`.",
        ) from error
    # urllib3's own retries write warnings into the cell. Whoever waits retries knowingly, in
    # `waiting`.
    configuration.retries = urllib3.Retry(0, redirect=0)
    return configuration
