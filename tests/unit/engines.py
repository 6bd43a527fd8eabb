"""What several tests of an engine of podlab's share."""

import sys

import pytest

from labhelpers.cluster import engine, engine_record

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def recorded(process, **changes) -> engine_record.Record:
    """The record of an engine whose dockerd is this process."""
    fields = {
        "pid": process.pid,
        "started_ticks": engine_record.started_ticks(process.pid),
        "boot_id": engine_record.boot_id(),
        "data_root": str(engine.DATA_ROOT),
    }
    return engine_record.Record(**fields | changes)
