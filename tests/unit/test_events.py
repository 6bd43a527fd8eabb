"""labhelpers.kube.events without a cluster."""

import pytest

from labhelpers.errors import TimedOut
from labhelpers.kube.events import wait_for_event


class Api:
    """Gives the event at the third question."""

    def __init__(self, comes=True):
        self.asked, self.comes = [], comes

    def list(self, kind, *, field_selector):
        self.asked.append((kind, field_selector))
        there = self.comes and len(self.asked) > 2
        return {"items": [{"message": "first"}, {"message": "second"}] if there else []}


def test_the_first_event_is_waited_for():
    api = Api()
    assert wait_for_event(api, "tiny", "FailedMount")["message"] == "first"
    assert set(api.asked) == {("Event", "involvedObject.name=tiny,reason=FailedMount")}


def test_none_is_an_error():
    with pytest.raises(TimedOut, match="tiny has no event FailedMount"):
        wait_for_event(Api(comes=False), "tiny", "FailedMount", timeout_seconds=0.1)
