"""inotify instances for several clusters at once: Linux gives a user 128, which are four clusters'.
Beside a fifth, kube-proxy ends with "too many open files"."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labhelpers.cluster import room

__all__ = ["enough_for"]

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")


@contextmanager
def enough_for(people: int) -> Iterator[None]:
    """Enough of what `podlab doctor --room` asks for; the tests' own cluster is there as well."""
    wanted, before = room.OWN_INSTANCES + (people + 1) * room.INSTANCES, INSTANCES.read_text()
    if int(before) >= wanted:
        yield
        return
    try:
        INSTANCES.write_text(str(wanted))
    except OSError as error:
        pytest.skip(f"{people} clusters take {wanted} inotify instances: {error.strerror}")
    try:
        yield
    finally:
        INSTANCES.write_text(before)
