"""Exercise b of lab 17: a mask of capabilities, as PID 1 has it."""

from labhelpers.exercises import NotYet, expected_pod

QUESTION = """
A vendor's manual says: "The process runs as root with CapEff 00000000000000c1, and with nothing
more." The starter has all 14 of containerd's default capabilities.

Which capabilities are these bits? Write them into the Pod vendor. PID 1 has to be root with exactly
this mask, and the namespace enforces baseline.
"""

HINTS = [
    "c1 in binary is 1100 0001. Count the bits from the right, beginning with 0.",
    "The lab names the bits 0 to 7, below the table with CapEff. man 7 capabilities says what each "
    "of them allows. In a manifest they have no CAP_ in front.",
    "Drop all of them first, then add what's needed: a manifest may have both drop and add.",
]

DEBRIEF = [
    "c1 is 1100 0001 in binary: bits 0, 6 and 7. These are CHOWN, SETGID and SETUID: drop ALL, "
    "then add the three.",
    "Root is a set of capabilities, one bit each. CapEff in /proc/1/status shows which of them "
    "a process really has.",
    '"It needs root" often means two or three capabilities. privileged: true gives it all of '
    "them, and the node's devices.",
]

WANTED = 0xC1
LABEL = "pod-security.kubernetes.io/enforce"


def check(lab, path):
    body = {"metadata": {"labels": {LABEL: "baseline"}}}
    lab.connection.patch("Namespace", lab.namespace, body)
    pod = expected_pod(lab, "vendor")
    pod.wait_until("Ready", timeout_seconds=60)
    status = pod.exec("app", ["cat", "/proc/1/status"]).stdout
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    mask, uid = int(fields["CapEff"], 16), int(fields["Uid"].split()[0])
    if uid != 0:
        raise NotYet(f"PID 1 is uid {uid}", "The vendor wants root.")
    more, less = (mask & ~WANTED).bit_count(), (WANTED & ~mask).bit_count()
    if more or less:
        raise NotYet(
            f"PID 1 has CapEff {mask:016x}: {more} bits too many and {less} missing",
        )
    lab.connection.delete("Pod", "vendor", grace_seconds=1)
    pod.wait_until("gone", timeout_seconds=30)
    lab.apply(path)  # the label is certainly there now: the Pod has to pass
    return f"PID 1 is root with CapEff {mask:016x}, and baseline admits the Pod"
