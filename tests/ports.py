"""A port for a server of a test."""

import socket


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment.

    >>> 1023 < free_port() < 65536
    True
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
