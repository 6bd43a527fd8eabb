"""Lines for the official client name functions that it has."""

import inspect
import re

import pytest
from kubernetes import client

from labhelpers.kube import official

PARTS = [("read", "Pod", "log"), ("patch", "Pod", "resize")]
ALL = [(verb, kind, "") for kinds in official.KINDS.values() for kind in kinds for verb in
       ("read", "delete", "list")]  # fmt: skip


@pytest.mark.parametrize(("verb", "kind", "part"), ALL + PARTS)
def test_the_official_client_has_this_function_and_takes_these_arguments(verb, kind, part):
    line = (
        official.watch(kind, "one", "lab")
        if verb == "list"
        else official.call(
            verb, kind, "one", "lab", *(["{}"] if verb == "patch" else []), part=part
        )
    )
    api, function = re.search(r"client\.(\w+)\(\)\.(\w+)", line).groups()
    parameters = inspect.signature(getattr(getattr(client, api), function)).parameters
    wanted = [] if verb == "list" else ["name"]
    if "namespaced" in function:
        wanted.append("namespace")
    assert [each for each in parameters if each in ("name", "namespace")] == wanted
    assert ("'lab'" in line) == ("namespaced" in function)


def test_a_kind_of_somebody_elses_has_no_line():
    assert official.call("read", "Certificate", "one", "lab") == ""
    assert official.watch("Certificate", "one", "lab") == ""
