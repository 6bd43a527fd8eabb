"""Exercise b: a container that sees its neighbour's processes, and no others."""

from labhelpers.exercises import NotYet

QUESTION = """
In the Pod clinic the container doctor has to look after the process of the container patient, and does not see it.
Change the file so that it does, but so that it sees no process from outside of the Pod.
"""

HINTS = [
    (
        "Each container has a process namespace of its own. Look what the doctor sees: kubectl exec"
        " clinic -c doctor -- ps -o comm"
    ),
    (
        "One line under `spec` makes the process namespaces of a Pod's containers one. This lab has"
        " a manifest that has it."
    ),
    "The line is shareProcessNamespace: true. It stands beside `containers`, not in one of them.",
]


def check(lab, path):
    pod = lab.pod("clinic")
    raw = pod.raw
    names = [
        container["name"]
        for group in ("initContainers", "containers")
        for container in raw["spec"].get(group, [])
    ]
    if missing := [name for name in ("patient", "doctor") if name not in names]:
        raise NotYet(f"the Pod clinic has no container {missing[0]}")
    pod.wait_until("Ready", timeout_seconds=60)
    patient, doctor = (pod.container(name).namespaces["pid"] for name in ("patient", "doctor"))
    if doctor == lab.node.node_namespaces()["pid"]:
        raise NotYet(
            "the doctor sees every process of the node, and may end each of them: that is more than"
            " was asked for"
        )
    if doctor != patient:
        seen = ", ".join(pod.exec("doctor", ["ps", "-o", "comm"]).stdout.split()[1:])
        raise NotYet(f"the doctor sees only its own processes: {seen}")
    return "the doctor sees the patient's process, and what else runs in the Pod, and nothing more."
