"""How other machines in the room reach this one."""

import socket

import psutil

__all__ = ["addresses"]

# Names of interfaces that lead to containers and virtual machines, not to the room.
INNER = ("docker", "br-", "veth", "virbr", "cni", "podman", "kind")


def addresses() -> list[str]:
    """This machine's IPv4 addresses in the networks that it's in, that of the route to other
    networks first; none if it's in no network.

    Example::

        addresses()  # ["192.168.1.5", "10.8.0.2"]
    """
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        each.address
        for name, there in psutil.net_if_addrs().items()
        if name in up and not name.startswith(INNER)
        for each in there
        if each.family == socket.AF_INET and not each.address.startswith("127.")
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses a route
            first = probe.getsockname()[0]
        except OSError:
            first = ""
    return sorted(found, key=lambda address: address != first)
