"""For all tests: nothing may be left behind."""

from tests.leaks import pytest_sessionfinish, pytest_sessionstart, pytest_terminal_summary  # noqa: F401
