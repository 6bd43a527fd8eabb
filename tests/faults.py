"""Pods that go wrong on purpose, one fault each, and healthy ones: what ``podlab why`` is tried on.

``tests/record_faults.py`` records what the API says about them, and tests/cluster/test_diagnosis.py
injects the quick ones again.
"""

import copy
import os

__all__ = ["EXPECTED", "FAULTS", "HEALTHY", "QUICK", "TARGETS", "TIMES", "manifests"]

# How often faults are injected on a cluster, each time in another order.
TIMES = int(os.environ.get("PODLAB_TIMES", "1"))

IMAGE = "busybox:1.35.0"
ABSENT = "localhost:1/absent:1"  # no registry listens there
NOTHING_THERE = {"exec": {"command": ["cat", "/tmp/nothing-there"]}}
EATS_MEMORY = ["awk", 'BEGIN { text = "x"; while (1) { text = text text } }']
SOON = {"periodSeconds": 1, "failureThreshold": 2}


def container(name: str = "app", command=("sleep", "3600"), **fields) -> dict:
    return {"name": name, "image": IMAGE, "command": list(command), **fields}


def pod(*containers: dict, metadata: dict | None = None, **spec) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata or {},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": list(containers) or [container()],
            **spec,
        },
    }


def shell(line: str) -> list[str]:
    return ["sh", "-c", line]


def requests(**amounts: str) -> dict:
    return {"requests": amounts}


def env_from(source: str, name: str, key: str) -> list[dict]:
    return [{"name": "WORD", "valueFrom": {source: {"name": name, "key": key}}}]


def mounted(**volume) -> dict:
    return pod(
        container(volumeMounts=[{"name": "data", "mountPath": "/data"}]),
        volumes=[{"name": "data", **volume}],
    )


def config_map(name: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"color": "blue"},
    }


def claim(name: str, mode: str = "ReadWriteOnce", class_: str = "standard") -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": [mode],
            "storageClassName": class_,
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }


def of_claim(name: str) -> dict:
    return mounted(persistentVolumeClaim={"claimName": name})


def controller(kind: str, template: dict, *, metadata: dict | None = None, **spec) -> dict:
    """A Deployment or a Job of one Pod. Its Pods have the label app, with the object's name."""
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": metadata or {},
        "spec": {"template": {"spec": template["spec"]}, **spec},
    }


def service(**spec) -> dict:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec}


def affinity(kind: str, app: str) -> dict:
    term = {
        "labelSelector": {"matchLabels": {"app": app}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


WEB_PORT = [{"port": 80, "targetPort": 8080}]

# By name: the object that is asked about comes first, and gets that name.
HEALTHY: dict[str, list[dict]] = {
    "running": [pod()],
    "completed": [pod(container(command=["true"]), restartPolicy="Never")],
    "completed-job": [controller("Job", pod(container(command=["true"]), restartPolicy="Never"))],
    "with-sidecar": [
        pod(initContainers=[container("proxy", restartPolicy="Always")]),
    ],
    "starting": [
        pod(
            container(readinessProbe={**NOTHING_THERE, "initialDelaySeconds": 60}),
            initContainers=[container("first", ["sleep", "2"])],
        )
    ],
    "in-init": [pod(initContainers=[container("first", ["sleep", "30"])])],
    "ending": [pod(container(command=shell("sleep 3600")), terminationGracePeriodSeconds=60)],
    "one-ended": [
        pod(container(), container("worker", ["true"]), restartPolicy="Never"),
    ],
    "deployment": [controller("Deployment", pod(), replicas=1)],
    "service-with-pod": [
        service(ports=WEB_PORT, selector={"app": "running"}),
    ],
}

FAULTS: dict[str, list[dict]] = {
    # --- no node
    "no-cpu": [pod(container(resources=requests(cpu="64")))],
    "no-memory": [pod(container(resources=requests(memory="4Ti")))],
    "no-gpu": [
        pod(container(resources={"limits": {"example.com/gpu": "1"}})),
    ],
    "no-such-node-label": [pod(nodeSelector={"disk": "quantum"})],
    "no-affinity": [pod(affinity=affinity("podAffinity", "nobody"))],
    "anti-affinity": [
        pod(affinity=affinity("podAntiAffinity", "hermit"), metadata={"labels": {"app": "hermit"}}),
        pod(metadata={"labels": {"app": "hermit"}}),
    ],
    "port-taken": [
        pod(container(ports=[{"containerPort": 80, "hostPort": 30999}])),
        pod(container(ports=[{"containerPort": 80, "hostPort": 30999}])),
    ],
    "spread": [
        pod(
            topologySpreadConstraints=[
                {
                    "maxSkew": 1,
                    "topologyKey": "example.com/rack",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"app": "spread"}},
                }
            ],
        )
    ],
    "claim-missing": [of_claim("nowhere")],
    "claim-unbound": [
        of_claim("claim-unbound-data"),
        claim("claim-unbound-data", class_="by-hand"),
    ],
    "claim-of-one-pod": [
        of_claim("claim-of-one-pod-data"),
        of_claim("claim-of-one-pod-data"),
        claim("claim-of-one-pod-data", "ReadWriteOncePod"),
    ],
    "gated": [pod(schedulingGates=[{"name": "example.com/budget"}])],
    "other-scheduler": [pod(schedulerName="night-shift")],
    # --- a node that is there in name only, or says no
    "no-such-node": [pod(nodeName="node-that-left")],
    "wrong-node": [pod(nodeName="NODE", nodeSelector={"disk": "quantum"})],
    "out-of-cpu": [pod(container(resources=requests(cpu="64")), nodeName="NODE")],
    "forbidden-sysctl": [
        pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]})
    ],
    # --- images
    "image-absent": [pod({**container(), "image": ABSENT})],
    "image-never": [pod({**container(), "image": ABSENT, "imagePullPolicy": "Never"})],
    "image-misspelt": [pod({**container(), "image": "busybox:1.35.0:latest"})],
    # --- configuration
    "secret-missing": [pod(container(env=env_from("secretKeyRef", "nowhere", "word")))],
    "config-missing": [pod(container(env=env_from("configMapKeyRef", "nowhere", "word")))],
    "key-missing": [
        pod(container(env=env_from("configMapKeyRef", "key-missing-settings", "colour"))),
        config_map("key-missing-settings"),
    ],
    "root-forbidden": [pod(container(securityContext={"runAsNonRoot": True}))],
    "mount-secret": [mounted(secret={"secretName": "nowhere"})],
    "mount-config": [mounted(configMap={"name": "nowhere"})],
    "mount-key": [
        mounted(
            configMap={
                "name": "mount-key-settings",
                "items": [{"key": "colour", "path": "colour"}],
            }
        ),
        config_map("mount-key-settings"),
    ],
    "mount-host": [mounted(hostPath={"path": "/no/such/folder", "type": "Directory"})],
    # --- the start
    "bad-command": [pod(container(command=["no-such-program"]))],
    "bad-command-never": [pod(container(command=["no-such-program"]), restartPolicy="Never")],
    "bad-workdir": [pod(container(workingDir="/etc/hostname"))],
    "hook-fails": [
        pod(container(lifecycle={"postStart": {"exec": {"command": ["cat", "/nothing"]}}}))
    ],
    "init-fails": [
        pod(
            initContainers=[
                container("migrate", shell("echo no database; exit 3")),
            ]
        )
    ],
    "init-waits": [pod(initContainers=[container("wait-for-db")])],
    "init-image": [pod(initContainers=[{**container("migrate"), "image": ABSENT}])],
    "sidecar-unready": [
        pod(
            initContainers=[
                container(
                    "proxy",
                    restartPolicy="Always",
                    startupProbe={**NOTHING_THERE, "periodSeconds": 1, "failureThreshold": 600},
                )
            ]
        )
    ],
    "sidecar-crashes": [
        pod(
            initContainers=[
                container(
                    "proxy",
                    shell("echo no certificate; exit 4"),
                    restartPolicy="Always",
                    startupProbe=NOTHING_THERE,
                )
            ]
        )
    ],
    # --- the life
    "crash": [pod(container(command=shell("echo cannot open /data/db; exit 7")))],
    "crash-with-message": [
        pod(
            container(
                command=shell("echo lost the key > /dev/termination-log; exit 8"),
            )
        )
    ],
    "crash-last-words": [
        pod(
            container(
                command=shell("echo last words; exit 9"),
                terminationMessagePolicy="FallbackToLogsOnError",
            )
        )
    ],
    "crash-never": [pod(container(command=shell("exit 7")), restartPolicy="Never")],
    "ends-at-once": [pod(container(command=["true"]))],
    "oom": [
        pod(
            container(
                command=EATS_MEMORY,
                resources={"limits": {"memory": "16Mi"}},
            )
        )
    ],
    "oom-never": [
        pod(
            container(
                command=EATS_MEMORY,
                resources={"limits": {"memory": "16Mi"}},
            ),
            restartPolicy="Never",
        )
    ],
    "liveness": [pod(container(livenessProbe={**NOTHING_THERE, **SOON}))],
    "startup": [pod(container(startupProbe={**NOTHING_THERE, **SOON}))],
    "readiness": [pod(container(readinessProbe={**NOTHING_THERE, **SOON}))],
    "readiness-gate": [pod(readinessGates=[{"conditionType": "example.com/in-rotation"}])],
    # --- the end
    "deadline": [pod(activeDeadlineSeconds=3)],
    "evicted-volume": [
        pod(
            container(
                command=shell("dd if=/dev/zero of=/data/big bs=1M count=20; sleep 3600"),
                volumeMounts=[{"name": "data", "mountPath": "/data"}],
            ),
            volumes=[{"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}],
        )
    ],
    "evicted-by-api": [pod(terminationGracePeriodSeconds=60)],
    "preempted": [
        pod(
            container(ports=[{"containerPort": 80, "hostPort": 30998}]),
            terminationGracePeriodSeconds=60,
        )
    ],
    "sandbox-changed": [pod()],
    "restarted": [
        pod(
            container(
                command=shell("test -f /data/x || { touch /data/x; exit 5; }; sleep 3600"),
                volumeMounts=[{"name": "data", "mountPath": "/data"}],
            ),
            volumes=[{"name": "data", "emptyDir": {}}],
        )
    ],
    # With a RuntimeClass whose handler the runtime doesn't have.
    "no-handler": [pod(runtimeClassName="why-lab-no-handler")],
    "evicted-storage": [
        pod(
            container(
                command=shell("dd if=/dev/zero of=/big bs=1M count=20; sleep 3600"),
                resources={"limits": {"ephemeral-storage": "1Mi"}},
            )
        )
    ],
    "finalizer": [pod(metadata={"finalizers": ["example.com/backup"]})],
    # --- no Pod at all
    # In a namespace with a ResourceQuota small of one Pod.
    "quota": [
        controller("Deployment", pod(container(resources=requests(cpu="1m"))), replicas=2),
    ],
    # In a namespace with the label pod-security.kubernetes.io/enforce=restricted.
    "not-restricted": [controller("Deployment", pod(), replicas=1)],
    "no-account": [controller("Deployment", pod(serviceAccountName="nobody"), replicas=1)],
    "no-account-job": [
        controller("Job", pod(serviceAccountName="nobody", restartPolicy="Never")),
    ],
    "no-priority": [
        controller("Deployment", pod(priorityClassName="nowhere"), replicas=1),
    ],
    "no-replicas": [controller("Deployment", pod(), replicas=0)],
    "deployment-crash": [
        controller(
            "Deployment",
            pod(container(command=shell("echo cannot open /data/db; exit 7"))),
            replicas=1,
        )
    ],
    "failing-job": [
        controller(
            "Job",
            pod(container(command=shell("echo no input; exit 2")), restartPolicy="Never"),
            backoffLimit=0,
        )
    ],
    # --- Services
    "selects-nothing": [service(ports=WEB_PORT, selector={"app": "wbe"})],
    "selects-unready": [service(ports=WEB_PORT, selector={"app": "readiness"})],
    "wrong-port-name": [
        service(ports=[{"port": 80, "targetPort": "http"}], selector={"app": "running"}),
    ],
    "no-selector": [service(ports=WEB_PORT)],
}

# What to ask about, if it isn't the name alone.
TARGETS = {
    name: f"service/{name}"
    for name in {**HEALTHY, **FAULTS}
    if "service" in name or "select" in name
} | {"wrong-port-name": "svc/wrong-port-name"}

# For each fault: what the verdict says, and the lab that explains it.
EXPECTED = {
    "no-cpu": ("No node fits this Pod: not enough free cpu", "03"),
    "no-memory": ("No node fits this Pod: not enough free memory", "03"),
    "no-gpu": ("No node fits this Pod: no free example.com/gpu", "15"),
    "no-such-node-label": ("the node's labels don't match its nodeSelector", "03"),
    "no-affinity": ("no Pod that its podAffinity asks for", "03"),
    "anti-affinity": ("an anti-affinity rule keeps it away", "03"),
    "port-taken": ("its hostPort is already taken", "03"),
    "spread": ("doesn't have the label that topologySpreadConstraints names", "03"),
    "claim-missing": ("names a PersistentVolumeClaim nowhere, and there is none", "16"),
    "claim-unbound": ("names a StorageClass by-hand that doesn't exist", "16"),
    "claim-of-one-pod": ("the access mode is ReadWriteOncePod", "16"),
    "gated": ("the gate example.com/budget is closed", "03"),
    "other-scheduler": ("waits for a scheduler named night-shift", "03"),
    "no-such-node": ("There is no node node-that-left", "03"),
    "wrong-node": ("its own nodeSelector or affinity excludes", "03"),
    "out-of-cpu": ("the node doesn't have enough free cpu", "03"),
    "forbidden-sysctl": ("it sets a sysctl that isn't allowed", "17"),
    "image-absent": ("localhost:1/absent:1 of container app can't be used: the node can't", "06"),
    "image-never": ("it isn't on the node, and imagePullPolicy is Never", "06"),
    "image-misspelt": ("that isn't a valid image name", "06"),
    "secret-missing": ("container app needs the Secret nowhere, and there is none", "05"),
    "config-missing": ("container app needs the ConfigMap nowhere, and there is none", "05"),
    "key-missing": ("the key colour of the ConfigMap key-missing-settings", "05"),
    "root-forbidden": ("must not run as root (runAsNonRoot)", "17"),
    "mount-secret": ("The volume data needs a Secret nowhere", "05"),
    "mount-config": ("The volume data needs a ConfigMap nowhere", "05"),
    "mount-key": ("The volume data asks for a key colour", "05"),
    "mount-host": ("The volume data needs /no/such/folder on the node", "16"),
    "bad-command": ("container app can't start: its image has no program no-such-program", "05"),
    "bad-command-never": ("its image has no program no-such-program", "05"),
    "bad-workdir": ("its workingDir /etc/hostname isn't a directory", "05"),
    "hook-fails": ("The postStart hook of the container app fails", "07"),
    "init-fails": ("The init container migrate ended with an error: exit code 3", "09"),
    "init-waits": ("The init container wait-for-db is still running", "09"),
    "init-image": ("localhost:1/absent:1 of init container migrate can't be used", "06"),
    "sidecar-unready": ("The sidecar proxy is running, but hasn't passed its startup probe", "10"),
    "sidecar-crashes": ("The sidecar proxy ended with an error: exit code 4", "10"),
    "crash": ("The container app ended with an error: exit code 7", "07"),
    "crash-with-message": ("exit code 8", "07"),
    "crash-last-words": ("exit code 9", "07"),
    "crash-never": ("exit code 7. With restartPolicy Never, it stays ended", "07"),
    "ends-at-once": ("ended with exit code 0, and restartPolicy Always starts it again", "07"),
    "oom": ("container app was OOM-killed: it used more memory than its limit, 16Mi", "13"),
    "oom-never": ("container app was OOM-killed", "13"),
    "liveness": ("restarts the container app, because its liveness probe fails", "11"),
    "startup": ("restarts the container app, because its startup probe fails", "11"),
    "readiness": ("not Ready: its readiness probe fails", "11"),
    "readiness-gate": ("nobody has set the condition example.com/in-rotation", "11"),
    "deadline": ("longer than its activeDeadlineSeconds", "07"),
    "evicted-volume": ("its emptyDir data has grown past its sizeLimit", "16"),
    "evicted-by-api": ("Somebody evicted this Pod through the eviction API", "19"),
    "preempted": ("The scheduler preempted this Pod", "03"),
    "sandbox-changed": ("The Pod's sandbox ended", "02"),
    "restarted": ("exit code 5. It has been restarted and runs again", "07"),
    "no-handler": ("it has no runtime handler nowhere", "02"),
    "evicted-storage": ("more disk than its ephemeral-storage limit", "16"),
    "finalizer": ("the finalizer example.com/backup keeps the object", "19"),
    "quota": ("the namespace's ResourceQuota small is used up", "14"),
    "not-restricted": ("enforces the Pod Security level restricted", "17"),
    "no-account": ("refuses to create the Pods: there is no ServiceAccount nobody", "04"),
    "no-account-job": ("refuses to create the Pods: there is no ServiceAccount nobody", "04"),
    "no-priority": ("there is no PriorityClass nowhere", "04"),
    "no-replicas": ("The Deployment asks for 0 Pods", ""),
    "deployment-crash": ("The container app ended with an error: exit code 7", "07"),
    "failing-job": ("exit code 2", "07"),
    "selects-nothing": ("The Service selects nothing", "19"),
    "selects-unready": ("no Pod that is Ready. The container app is running, but not Ready", "11"),
    "wrong-port-name": ("sends to a port named http, and its Pods have no port", "06"),
    "no-selector": ("The Service has no selector", "19"),
}

# Those that show within seconds, need nothing of the node's own, and disturb nobody.
QUICK = (
    "no-cpu claim-missing claim-unbound gated other-scheduler wrong-node forbidden-sysctl"
    " image-never image-misspelt secret-missing key-missing root-forbidden mount-secret mount-key"
    " bad-command-never hook-fails init-fails crash crash-last-words ends-at-once"
    " liveness readiness readiness-gate deadline no-account no-replicas selects-nothing"
).split()


def manifests(name: str, node: str) -> list[dict]:
    """The objects of one fault, named, labelled and with the node's name in them."""
    bodies = copy.deepcopy({**HEALTHY, **FAULTS}[name])
    for number, body in enumerate(bodies):
        metadata = body["metadata"]
        metadata.setdefault("name", name if number == 0 else f"{name}-{number}")
        spec = body.get("spec", {})
        if spec.get("nodeName") == "NODE":
            spec["nodeName"] = node
        if body["kind"] == "Pod":
            metadata.setdefault("labels", {"app": name})
        elif "template" in spec:
            spec["template"]["metadata"] = {"labels": {"app": name}}
            if body["kind"] == "Deployment":
                spec["selector"] = {"matchLabels": {"app": name}}
    # What is asked about is created last: what it needs, or finds taken, is there by then.
    return bodies[::-1]
