"""For all tests: nothing may be left behind."""

import signal

from tests.leaks import pytest_sessionfinish, pytest_sessionstart, pytest_terminal_summary, pytest_testnodedown  # noqa: F401

# A background job of a shell ignores Ctrl-C and hands that down; the tests that send it need it heard, wherever they are run.
signal.signal(signal.SIGINT, signal.default_int_handler)
