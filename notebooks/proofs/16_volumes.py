"""Lab 16: a container's host name."""

from labhelpers.outcomes import Shown, listed


def hostname(pod, container: str) -> str:
    """What `hostname` prints in a container."""
    return pod.exec(container, ["hostname"]).stdout.strip()


def whose_name(lab, pod, container: str) -> str:
    """Whose name the host name of a container is, as one of the choices of "name"."""
    names = {
        pod.name: "the Pod's name",
        container: "its container's name",
        pod.raw["spec"]["nodeName"]: "the node's name",
    }
    said = hostname(pod, container)
    return names.get(said, said)


def says(lab, pod, container: str) -> str:
    """What a container calls itself, as one of the choices of "other"."""
    said = hostname(pod, container)
    return f"{pod.name} as well" if said == pod.name else said


def k1(lab, pod, life) -> Shown:
    """A container calls itself by the Pod's name, and a restart changes neither that nor the
    address."""
    names = {name: hostname(pod, name) for name in ("app", "proxy")}
    other = [name for name, said in names.items() if said != pod.name]
    words = f"{listed(other)} has another name" if other else "app and proxy call themselves"
    words += "" if other else f" {pod.name}"
    restarts = pod.container("app").restarts
    times = {0: "was not restarted", 1: "was restarted once"}
    words += f"; app {times.get(restarts, 'was restarted more than once')}"
    words += f", and the address {life.address}"
    return Shown(life.chart("The app died. What moved?", ["app", "proxy", "address"]), words)
