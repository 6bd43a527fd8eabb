"""What happens beside a Pod, as rows: endpoints, events, conditions of other objects."""

import pytest

from labhelpers.measure.beside import beside, endpoint, events
from labhelpers.measure.changes import Version


def slice_of(service: str, *endpoints: tuple[str, dict], name: str = "") -> dict:
    listed = [
        {"targetRef": {"kind": "Pod", "name": pod}, "conditions": conditions}
        for pod, conditions in endpoints
    ]
    name = name or f"{service}-1"
    labels = {"kubernetes.io/service-name": service}
    metadata = {"name": name, "uid": name, "resourceVersion": "1", "labels": labels}
    return {"metadata": metadata, "endpoints": listed}


def lanes(rows: list[dict]) -> dict[str, list[tuple]]:
    found: dict[str, list[tuple]] = {}
    for row in rows:
        told = (row["state"], row["start"], row["end"], row["reason"])
        found.setdefault(row["lane"], []).append(told)
    return found


READY, UNREADY = {"ready": True}, {"ready": False}
LEAVING = {"ready": False, "serving": True, "terminating": True}


def test_an_endpoint_from_not_there_to_terminating():
    versions = [
        Version(0.0, "FOUND", slice_of("web")),
        Version(1.0, "MODIFIED", slice_of("web", ("one", UNREADY), ("two", READY))),
        Version(2.0, "MODIFIED", slice_of("web", ("one", READY), ("two", READY))),
        Version(3.0, "MODIFIED", slice_of("web", ("one", LEAVING), ("two", READY))),
        Version(4.0, "MODIFIED", slice_of("web", ("two", READY))),
    ]
    assert lanes(beside({"EndpointSlice": versions}, ["one"], 5.0)) == {
        "endpoint ready": [
            ("False", 1.0, 2.0, None),
            ("True", 2.0, 3.0, None),
            ("False", 3.0, 4.0, "terminating, serving"),
        ]
    }
    both = beside({"EndpointSlice": versions}, ["one", "two"], 5.0)
    assert set(lanes(both)) == {"one: endpoint ready", "two: endpoint ready"}


def test_a_pod_of_two_services_and_a_service_without_it():
    versions = [
        Version(0.0, "FOUND", slice_of("web", ("one", READY))),
        Version(0.0, "FOUND", slice_of("other", ("two", READY))),
    ]
    assert list(lanes(beside({"EndpointSlice": versions}, ["one"], 5.0))) == ["endpoint ready"]
    versions.append(Version(2.0, "ADDED", slice_of("more", ("one", READY))))
    found = lanes(beside({"EndpointSlice": versions}, ["one"], 5.0))
    assert found == {
        "web: endpoint ready": [("True", 0.0, 5.0, None)],
        "more: endpoint ready": [("True", 2.0, 5.0, None)],
    }


def test_an_endpoint_that_moves_to_another_slice_of_its_service():
    versions = [
        Version(0.0, "FOUND", slice_of("web", ("one", READY), name="a")),
        Version(1.0, "ADDED", slice_of("web", ("one", READY), name="b")),
        Version(2.0, "DELETED", slice_of("web", ("one", READY), name="a")),
    ]
    found = lanes(beside({"EndpointSlice": versions}, ["one"], 5.0))
    assert found == {"endpoint ready": [("True", 0.0, 5.0, None)]}


@pytest.mark.parametrize(
    ("conditions", "said"),
    [({}, "True"), ({"ready": None}, "True"), (READY, "True"), (UNREADY, "False")],
)
def test_an_endpoint_that_says_nothing_is_ready(conditions, said):
    assert endpoint([slice_of("web", ("one", conditions))], "one") == (said, "")
    assert endpoint([slice_of("web", ("two", conditions))], "one") is None


def an_event(about: str, reason: str, count: int = 1) -> dict:
    kind, _, name = about.partition("/")
    return {
        "metadata": {"name": f"{name}.{reason}", "resourceVersion": "1"},
        "involvedObject": {"kind": kind, "name": name},
        "type": "Warning",
        "reason": reason,
        "message": "words",
        "count": count,
    }


def test_events_since_the_beginning_one_row_a_repetition():
    versions = [
        Version(0.0, "FOUND", an_event("Pod/one", "Scheduled")),  # from before
        Version(1.0, "ADDED", an_event("Pod/one", "Unhealthy")),
        Version(1.5, "ADDED", an_event("Pod/stranger", "Unhealthy")),
        Version(2.0, "MODIFIED", an_event("Pod/one", "Unhealthy", 2)),
        Version(3.0, "ADDED", an_event("Job/pi", "Completed")),
        Version(4.0, "DELETED", an_event("Pod/one", "Unhealthy", 2)),  # its hour is over
    ]
    found = lanes(beside({"Event": versions}, ["one"], 5.0))
    assert found == {
        "events": [("Unhealthy", 1.0, 1.0, "Warning"), ("Unhealthy", 2.0, 2.0, "Warning")]
    }
    job = [Version(0.0, "FOUND", {"metadata": {"name": "pi", "resourceVersion": "1"}})]
    found = lanes(beside({"Event": versions, "Job": job}, ["one"], 5.0))
    assert [state for state, *_ in found["events"]] == ["Unhealthy", "Unhealthy", "Completed"]
    assert [(each["seconds"], each["object"], each["count"]) for each in events(versions)] == [
        (1.0, "Pod/one", 1),
        (1.5, "Pod/stranger", 1),
        (2.0, "Pod/one", 2),
        (3.0, "Job/pi", 1),
    ]


def job(*conditions: tuple[str, str]) -> dict:
    listed = [{"type": name, "status": status} for name, status in conditions]
    return {"metadata": {"name": "pi", "resourceVersion": "1"}, "status": {"conditions": listed}}


def test_conditions_of_another_object():
    versions = [
        Version(0.5, "ADDED", job()),
        Version(2.0, "MODIFIED", job(("Complete", "True"))),
        Version(3.0, "DELETED", job(("Complete", "True"))),
    ]
    found = lanes(beside({"Job": versions}, ["one"], 5.0))
    assert found == {"pi: Complete": [("True", 2.0, 3.0, None)]}
