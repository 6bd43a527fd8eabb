"""For all tests: nothing may be left behind."""

import signal

import pytest

from tests import leaks, nobody

# A background job of a shell ignores Ctrl-C and hands that down; the tests that send it need it
# heard, wherever they are run.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    nobody.reads(config)
    leaks.watch(config)
