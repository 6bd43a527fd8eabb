"""Lab 00: what the first cell of the first lab looks at."""

import shutil
from pathlib import Path

from labhelpers import paths
from labhelpers.kube import fields


def cluster(lab):
    """Whether the cluster has what the labs need, as a DataFrame: "yes", or what was found
    instead. What differs between two good clusters is not in it.

    Example::

        lab.cluster()
    """
    import kubernetes
    import pandas

    nodes = lab.connection.list("Node")["items"]
    ready = [node for node in nodes if fields.is_true(node, "Ready")]
    version, known = (
        lab.connection.raw("/version"),
        int(kubernetes.__version__.partition(".")[0]),
    )
    kubectl = shutil.which("kubectl") or "none"
    found = {
        "one node, and it is Ready": (
            len(nodes) == len(ready) == 1,
            f"{len(nodes)} nodes, {len(ready)} Ready",
        ),
        # As kubectl and the API server may lie one minor version apart, so may the client:
        # https://kubernetes.io/releases/version-skew-policy/
        "a Kubernetes that the labs know": (
            abs(int(version["minor"].rstrip("+")) - known) <= 1,
            version["gitVersion"],
        ),
        "the node can be seen from inside": (
            lab.node.cgroup_version in (1, 2),
            f"cgroups of version {lab.node.cgroup_version}",
        ),
        "kubectl is the labs' own": (Path(kubectl).parent == paths.tools(), kubectl),
    }
    return pandas.DataFrame(
        {"is it so?": ["yes" if so else f"no: {seen}" for so, seen in found.values()]},
        index=list(found),
    )
