"""Rules about one container of a Pod. Each takes the container, and returns a finding or None."""

import re

from labhelpers import stuck
from labhelpers.diagnosis.seen import Box, last_seen, times
from labhelpers.diagnosis.verdicts import Evidence, Finding, event, logs, matching, status

__all__ = [
    "crashed",
    "done_but_restarted",
    "hook_failed",
    "image_missing",
    "misconfigured",
    "never_ready",
    "not_created",
    "not_past_startup",
    "oom_killed",
    "perhaps_oom_killed",
    "probe_killed",
    "sandbox_replaced",
    "still_initializing",
]

# The API keeps events for an hour. What ended before that, and runs again, isn't today's fault.
RECENT_SECONDS = 3600
# As long as this, an init container or a hook that's running is just working.
LONG_SECONDS = 60

# --- Not created yet: the state is waiting

# The runtime's words, from registries and from Go's net package.
PULLS = (
    (
        r"pull access denied|authorization failed|unauthorized|no basic auth|401|403 Forbidden",
        "the registry denies access: either there's no such image, or it needs credentials",
        "Check the name first. If the image is private, the Pod needs imagePullSecrets.",
    ),
    (
        r"429|[Tt]oo [Mm]any [Rr]equests|toomanyrequests",
        "the registry has had too many requests from this address",
        "Wait, or pull with credentials or from a mirror. imagePullPolicy IfNotPresent asks less.",
    ),
    (
        r"no match for platform|no matching manifest|exec format error",
        "the registry has it, but not for this node's CPU architecture",
        "Build it for that architecture too, or choose a node by its label kubernetes.io/arch.",
    ),
    (
        r"no such host|dial tcp|connection refused|i/o timeout|TLS handshake|x509|deadline exceeded"
        r"|EOF|Client\.Timeout",
        "the node can't reach its registry",
        "Check the registry's name at the beginning of the image, then the node's network and DNS.",
    ),
    (
        r"not found|manifest unknown|does not exist",
        "its registry doesn't have it",
        "Check the name and the tag.",
    ),
)


def image_missing(box: Box) -> Finding | None:
    """The node doesn't have the image and can't get it."""
    reason, message = box.waiting.get("reason", ""), box.waiting.get("message", "")
    if reason not in stuck.IMAGE_REASONS:
        return None
    image = box.spec["image"]
    evidence = [status(box.seen, f"{box.words} is waiting: {reason}: {message}", box.path)]
    lab = "06"
    if reason == "InvalidImageName":
        why, next_ = "that isn't a valid image name", "An image is REGISTRY/NAME:TAG, with one tag."
    elif reason == "ErrImageNeverPull":
        why = "it isn't on the node, and imagePullPolicy is Never"
        next_ = "Load the image onto the node, or use imagePullPolicy: IfNotPresent."
    else:
        told = message
        # Before Kubernetes 1.32, a back-off doesn't say why. The event before it does.
        found = box.event("Failed", says="^Failed to pull image")
        if found and "failed to" not in message:
            evidence.append(event(box.seen, found))
            told = found["message"]
        why, next_ = "its message says why", "The kubelet keeps trying, ever less often."
        for pattern, means, do in PULLS:
            if re.search(pattern, told):
                why, next_ = means, do
                break
    return Finding(
        tuple(evidence), f"The image {image} of {box.words} can't be used: {why}.", next_, lab
    )


# The kubelet's words, in pkg/kubelet/kubelet_pods.go and kuberuntime.
CONFIGURATIONS = (
    (
        r'(secret|configmap) "([^"]+)" not found',
        "{box} needs the {0} {1}, and there is none in the namespace.",
        "Create it, or correct the name. Or mark the reference as optional: true.",
        "05",
    ),
    (
        r"couldn't find key (\S+) in (ConfigMap|Secret) [^/\s]+/(\S+)",
        "{box} needs the key {0} of the {1} {2}, and the {1} doesn't have it.",
        "Compare the key with those that are there: `kubectl describe` lists them.",
        "05",
    ),
    (
        r"runAsNonRoot and image will run as root",
        "{box} must not run as root (runAsNonRoot), and its image runs as root.",
        "Set securityContext.runAsUser, or use an image with a user of its own.",
        "17",
    ),
    (
        r"runAsNonRoot and image has non-numeric user \((\S+?)\)",
        "{box} must not run as root (runAsNonRoot), and the kubelet can't tell who the image's user"
        " {0} is.",
        "Set securityContext.runAsUser to that user's number.",
        "17",
    ),
    (
        r"couldn't parse env file",
        "{box} takes a variable from a file (fileKeyRef), and the file can't be parsed.",
        "Quote the values in the file: NAME='value'.",
        "05",
    ),
)


def misconfigured(box: Box) -> Finding | None:
    """Something that the container's configuration names is missing or contradicts it."""
    if box.waiting.get("reason") not in stuck.CONFIGURATION_REASONS:
        return None
    message = box.waiting.get("message", "")
    evidence = [
        status(box.seen, f"{box.words} is waiting: {box.waiting['reason']}: {message}", box.path)
    ]
    # While the kubelet works on it, the status may not have the message yet.
    if not message and (found := box.event("Failed", says="^Error: ")):
        evidence.append(event(box.seen, found))
        message = found["message"]
    if found := matching(CONFIGURATIONS, message):
        groups, verdict, next_, lab = found
        words = verdict.format(*groups, box=f"The {box.words}")
        return Finding(tuple(evidence), words, next_, lab)
    return Finding(
        tuple(evidence),
        f"The {box.words} can't be configured.",
        "Its message says why.",
        "05",
    )


# The runtime's words.
STARTS = (
    (
        r'exec: \\?"([^"\\]+)\\?": executable file not found',
        "its image has no program {0}",
        "Check command and args. Each word is an item of its own: `sleep 60` is no program.",
    ),
    (
        r'exec: \\?"([^"\\]+)\\?": (?:stat [^:]+: )?no such file or directory',
        "its image has no program {0}, or not what the program needs to start",
        "Check the path, and a script's first line (#!).",
    ),
    (
        r'exec: \\?"([^"\\]+)\\?": permission denied',
        "{0} isn't executable for the container's user",
        "Make it executable in the image, or check runAsUser.",
    ),
    (
        r"exec format error",
        "its program is for another CPU architecture, or a script without a first line (#!)",
        "Build the image for the node's architecture, or add the script's first line.",
    ),
    (
        r"(?:mkdir|chdir to cwd \(\"?)\s*([^:\")]+).*not a directory",
        "its workingDir {0} isn't a directory",
        "Correct workingDir.",
    ),
)


def not_created(box: Box) -> Finding | None:
    """The runtime can't start the container's first process."""
    reason, message = box.waiting.get("reason", ""), box.waiting.get("message", "")
    ended = box.ended
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        says = f"{box.words} has never run: {ended['reason']}: {ended.get('message', '')}"
        message = ended.get("message", "")
    elif reason in ("RunContainerError", "CreateContainerError"):
        says = f"{box.words} is waiting: {reason}: {message}"
    else:
        return None
    if box.running:
        return None
    evidence = [status(box.seen, says, box.path)]
    # The last attempt may have failed for a passing reason of the node's. An earlier one says more.
    tried = [(message, None)]
    tried += [(each["message"], each) for each in box.events("Failed", says="^Error: ")]
    for told, seen_event in tried:
        for pattern, means, do in STARTS:
            if found := re.search(pattern, told):
                evidence += [event(box.seen, seen_event)] if seen_event else []
                why = means.format(*found.groups())
                return Finding(tuple(evidence), f"The {box.words} can't start: {why}.", do, "05")
    return Finding(
        tuple(evidence),
        f"The {box.words} can't start: the container runtime fails to create it.",
        "The message says why. If it's nothing in the spec, look at the node: the kubelet tries"
        " again only if restartPolicy allows it.",
    )


def hook_failed(box: Box) -> Finding | None:
    """A postStart hook that fails kills its container. The event doesn't say why."""
    found = box.event("FailedPostStartHook")
    if not found or (box.running and box.status.get("ready")) or not _explains(found, box):
        return None
    hook = (box.spec.get("lifecycle") or {}).get("postStart") or {}
    command = " ".join((hook.get("exec") or {}).get("command") or [])
    evidence = [event(box.seen, found)]
    if command:
        evidence.append(status(box.seen, f"its postStart hook is: {command}", ".spec..postStart"))
    return Finding(
        tuple(evidence),
        f"The postStart hook of the {box.words} fails, so the kubelet kills the container, again"
        " and again.",
        "Run the hook's command in a Pod without the hook: no log and no event says why it fails.",
        "07",
    )


# --- Ended


def oom_killed(box: Box) -> Finding | None:
    """The kernel ended the container at its memory limit."""
    if box.ended.get("reason") != "OOMKilled" or _is_long_ago(box):
        return None
    evidence = [_end(box)]
    if limit := _memory_limit(box):
        evidence.append(status(box.seen, f"its memory limit is {limit}"))
        why = f"it used more memory than its limit, {limit}"
    else:
        why = "it has no memory limit, so the node or the Pod's neighbours used up the memory"
    return Finding(
        tuple(evidence),
        f"The {box.words} was OOM-killed: {why}.{_again(box)}",
        "Find out what it needs (kubectl top, memory.peak), then raise the limit or use less.",
        "13",
    )


def perhaps_oom_killed(box: Box) -> Finding | None:
    """Somebody killed the container, and it has a memory limit. The runtime now and then misses an
    OOM kill, and then the reason is Error: seen with a container that ran for a tenth of a second.
    """
    limit = _memory_limit(box)
    if box.ended.get("exitCode") != 137 or not limit or _is_long_ago(box):
        return None
    return Finding(
        (_end(box), status(box.seen, f"its memory limit is {limit}")),
        f"The {box.words} was killed with SIGKILL, perhaps by the OOM killer: it has a memory limit"
        f" of {limit}, and the reason OOMKilled is missing now and then.{_again(box)}",
        "The node's kernel log knows: look for `oom-kill` in `dmesg`.",
        "13",
    )


PROBES = (
    ("Liveness", "livenessProbe", "failed liveness probe"),
    ("Startup", "startupProbe", "failed startup probe"),
)


def probe_killed(box: Box) -> Finding | None:
    """The kubelet ended the container, because a probe had failed too often."""
    for name, field, says in PROBES:
        found = box.event("Killing", says=says)
        if not found or not box.spec.get(field) or _is_long_ago(box):
            continue
        if not _explains(found, box):
            continue
        evidence = [event(box.seen, found)]
        if failed := box.event("Unhealthy", says=f"^{name} probe "):
            evidence.insert(0, event(box.seen, failed))
        if name == "Liveness":
            next_ = (
                "Run the probe by hand (kubectl exec). If the app is only slow to start, add a"
                " startupProbe. A liveness probe must not depend on others."
            )
        else:
            next_ = (
                "Run the probe by hand (kubectl exec), or give it more time: failureThreshold"
                " times periodSeconds."
            )
        return Finding(
            tuple(evidence),
            f"The kubelet restarts the {box.words}, because its {name.lower()} probe fails.",
            next_,
            "11",
        )
    return None


def sandbox_replaced(box: Box) -> Finding | None:
    """The Pod's sandbox ended, so all its containers were started again."""
    found = box.seen.last_event("SandboxChanged")
    if not found or not box.restarts or not box.running or _is_long_ago(box):
        return None
    return Finding(
        (event(box.seen, found), _end(box)),
        "The Pod's sandbox ended, so the kubelet made a new one and restarted every container. The"
        " app didn't crash.",
        "Find out who ended it: the node restarted, or somebody killed pause.",
        "02",
    )


EXITS = {
    126: "its shell found the command, but couldn't execute it",
    127: "its shell didn't find the command",
    134: "it aborted (SIGABRT)",
    137: "it was killed with SIGKILL, and the kubelet doesn't say by whom",
    139: "it crashed (SIGSEGV)",
    143: "it was asked to end (SIGTERM)",
}


def crashed(box: Box) -> Finding | None:
    """The container's own program ended with an error. STATUS says Error as well as
    CrashLoopBackOff, so the end counts, and not the word."""
    code = box.ended.get("exitCode", 0)
    # With these reasons, no program of the container's has ended by itself.
    is_not_its_own = box.ended.get("reason") in (
        "Unknown",
        "ContainerStatusUnknown",
        "StartError",
        "ContainerCannotRun",
    )
    if code == 0 or _is_long_ago(box) or (is_not_its_own and box.running):
        return None
    evidence = [_end(box)]
    if message := box.ended.get("message", "").strip():
        evidence.append(status(box.seen, f"its termination message: {message}"))
    said = logs(box)
    # With FallbackToLogsOnError, the message is the end of the log.
    if said and (not message or message not in box.seen.logs.get(box.name, "")):
        evidence += said
    why = f" ({EXITS[code]})" if code in EXITS else ""
    blocked = ""
    if box.is_init:
        blocked = " The containers after it wait."
    elif not box.is_restarted_always and box.seen.phase == "Failed":
        policy = box.seen.spec.get("restartPolicy", "Always")
        blocked = f" With restartPolicy {policy}, it stays ended."
    return Finding(
        tuple(evidence),
        f"The {box.words} ended with an error: exit code {code}{why}.{_again(box)}{blocked}",
        f"Read what it wrote: {_logs_line(box)}.",
        "09" if box.is_init and not box.is_sidecar else "10" if box.is_sidecar else "07",
    )


def done_but_restarted(box: Box) -> Finding | None:
    """The program did its work and ended, and restartPolicy Always starts it again."""
    if not box.ended or box.ended.get("exitCode") != 0 or not box.is_restarted_always:
        return None
    if _is_long_ago(box) or box.status.get("ready"):
        return None
    return Finding(
        (_end(box), status(box.seen, "restartPolicy is Always", ".spec.restartPolicy"), *logs(box)),
        f"The {box.words} has done its work and ended with exit code 0, and restartPolicy Always"
        " starts it again and again.",
        "Keep the program in the foreground, or use restartPolicy OnFailure, or a Job.",
        "07",
    )


# --- Running, but


def still_initializing(box: Box) -> Finding | None:
    """An init container has been running for long, and everything after it waits."""
    if not box.is_init or box.is_sidecar or not box.running:
        return None
    if box.running_seconds() < LONG_SECONDS:
        return None
    return Finding(
        (
            status(box.seen, f"{box.words} is running, and has been for over a minute"),
            status(box.seen, "Initialized is False"),
        ),
        f"The {box.words} is still running, and the containers after it start only when it has"
        " ended.",
        f"See what it waits for: {_logs_line(box)}.",
        "09",
    )


def not_past_startup(box: Box) -> Finding | None:
    """The container runs, but hasn't passed its startup probe, or its postStart hook hasn't
    ended."""
    if not box.running or box.status.get("started"):
        return None
    blocked = " The containers after it wait." if box.is_sidecar else ""
    lab = "10" if box.is_sidecar else "11"
    if box.running_seconds() < LONG_SECONDS:
        return None
    if found := box.event("Unhealthy", says="^Startup probe "):
        return Finding(
            (
                status(box.seen, f"{box.words} is running, and started is false", box.path),
                event(box.seen, found),
            ),
            f"The {box.words} is running, but hasn't passed its startup probe.{blocked}",
            f"Run the probe by hand (kubectl exec), and see what it does: {_logs_line(box)}.",
            lab,
        )
    has_hook = bool((box.spec.get("lifecycle") or {}).get("postStart"))
    if has_hook:
        return Finding(
            (status(box.seen, f"{box.words} is running, and started is false", box.path),),
            f"The postStart hook of the {box.words} is still running, so the container doesn't"
            f" count as started.{blocked}",
            "Run the hook's command by hand (kubectl exec).",
            "10" if box.is_sidecar else "07",
        )
    return None


def never_ready(box: Box) -> Finding | None:
    """The container runs, but its readiness probe fails."""
    if not box.running or box.status.get("ready") or not box.spec.get("readinessProbe"):
        return None
    found = box.event("Unhealthy", says="^Readiness probe ")
    # Until then, an app that needs a moment to start looks just the same.
    if not found or times(found) < box.spec["readinessProbe"].get("failureThreshold", 3):
        return None
    return Finding(
        (status(box.seen, f"{box.words} is running, and ready is false"), event(box.seen, found)),
        f"The {box.words} is running, but not Ready: its readiness probe fails. That restarts"
        " nothing, and no Service sends it requests.",
        "Run the probe by hand (kubectl exec): is the path, the port or the command wrong, or is"
        f" the app not done yet? {_logs_line(box)} shows what it does.",
        "11",
    )


def _explains(found: dict, box: Box) -> bool:
    """Whether a kill that an event tells of can be the container's last end, and not an earlier
    one's. The kubelet sends only some events of many, so for an end by a signal its time says
    nothing."""
    by_signal = box.ended.get("exitCode") in (137, 143)
    return not box.ended or by_signal or last_seen(found) >= (box.ended.get("startedAt") or "")


def _memory_limit(box: Box) -> str:
    """Its own limit, or that of the whole Pod; "" if there is none."""
    both = (box.spec, box.seen.spec)
    limits = [(each.get("resources") or {}).get("limits") or {} for each in both]
    return next((each["memory"] for each in limits if "memory" in each), "")


def _is_long_ago(box: Box) -> bool:
    """Whether its last end no longer matters: it runs again, and has done so for an hour."""
    return bool(box.running) and box.seconds_since_end() > RECENT_SECONDS


def _end(box: Box) -> Evidence:
    ended = box.ended
    reason = f", reason {ended['reason']}" if ended.get("reason") else ""
    return status(box.seen, f"{box.words} terminated: exit code {ended.get('exitCode')}{reason}")


def _again(box: Box) -> str:
    """What a verdict adds about a container that runs again: it will end again."""
    return " It has been restarted and runs again." if box.running else ""


def _logs_line(box: Box) -> str:
    previous = " --previous" if box.ended and box.running else ""
    return f"`{box.seen.kubectl} logs {box.seen.name} -c {box.name}{previous}`"
