"""The privileged Pod through which we see the node, as it's sent to the API server."""

from labhelpers.kube.client import MARK, NODE_NAMESPACE

__all__ = ["ENTER", "NAMESPACE", "NODE_POD", "POD"]

POD = "node"
# With the full path: a busybox that prefers its own applets would run its own sh, and then its own
# version of every program in the script.
ENTER = ("nsenter", "-t", "1", "-m", "--", "/bin/sh", "-c")

NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": NODE_NAMESPACE,
        "labels": {
            MARK: "cluster",
            **{
                f"pod-security.kubernetes.io/{mode}": "privileged"
                for mode in ("enforce", "audit", "warn")
            },
        },
    },
}

NODE_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": POD, "namespace": NODE_NAMESPACE, "labels": {MARK: "cluster"}},
    "spec": {
        "hostPID": True,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": (
            "system-node-critical"
        ),  # a lab that fills the node must not evict the Pod that watches it
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": POD,
                "image": "busybox:1.35.0",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "2147483647"],
                "securityContext": {"privileged": True},
                # Enough CPU to look in time while others fill the node: a late look misses what was
                # there.
                "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}},
            }
        ],
    },
}
