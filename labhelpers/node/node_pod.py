"""The privileged Pod through which the node is seen, as it is sent to the API server."""

from labhelpers.kube.client import MARK, NODE_NAMESPACE

__all__ = ["ENTER", "NAMESPACE", "NODE_POD", "POD"]

POD = "node"
# With its path: a busybox that prefers its own applets would take a bare "sh" for itself, and then
# every program that the script names.
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
        ),  # a lab that fills the node must not push out the eyes that watch it
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": POD,
                "image": "busybox:1.35.0",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "2147483647"],
                "securityContext": {"privileged": True},
                # So much CPU that it still sees when others fill the node: what cannot look in time
                # misses what was there.
                "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}},
            }
        ],
    },
}
