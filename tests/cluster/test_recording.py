"""labhelpers.measure.recording on the cluster. The oracles are kubectl, what a container sees of
itself, and the API's own watch, read again."""

import json
import threading

import pytest

from labhelpers.kube.waiting import wait_until
from labhelpers.measure.recording import Recording
from labhelpers.node.node import Node

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def node(connection):
    return Node(connection)


@pytest.fixture
def lab(connection, node, lab_namespace, kubectl, eventually):
    """The Pod ``one`` in a namespace of its own: to be made, asked about through kubectl, and
    recorded."""

    class Lab:
        def recording(self, **how):
            names = () if "labels" in how else ("one",)
            return Recording(connection, node, lab_namespace, *names, **how)

        def create(self, body):
            body["metadata"]["namespace"] = lab_namespace
            connection.create(body)

        def get(self, *words):
            return json.loads(kubectl("get", *words, "-o", "json", namespace=lab_namespace))

        def make(self, **spec):
            app = {"name": "app", "image": "busybox:1.35.0", "command": ["sleep", "3600"]}
            body = {"terminationGracePeriodSeconds": 0, "containers": [app], **spec}
            metadata = {"name": "one", "namespace": lab_namespace}
            connection.create(
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}
            )
            self.wait_until(lambda status: "running" in status["state"])

        def now(self):
            return json.loads(kubectl("get", "pod", "one", "-o", "json", namespace=lab_namespace))

        def app(self):
            return self.now()["status"]["containerStatuses"][0]

        def processes(self):
            return node.processes(self.now()["metadata"]["uid"])

        def kill(self, process):
            node.kill(process)
            self.wait_until(
                lambda status: status["restartCount"] == 1 and "running" in status["state"]
            )

        def wait_until(self, goal):
            def reached(found):
                statuses = (found or {}).get("status", {}).get("containerStatuses", [])
                return statuses and goal(statuses[0])

            wait_until(
                connection,
                "Pod",
                "one",
                reached,
                what="as this test needs it",
                timeout_seconds=60,
                namespace=lab_namespace,
            )

        def told(self, version):
            """Every version of the Pod since, from the API's own record."""
            path = (
                f"/api/v1/namespaces/{lab_namespace}/pods"
                f"?watch=1&resourceVersion={version}&timeoutSeconds=1"
            )
            lines = kubectl("get", "--raw", path).splitlines()
            return [json.loads(line)["object"]["metadata"]["resourceVersion"] for line in lines]

        def list_version(self):
            return json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{lab_namespace}/pods"))[
                "metadata"
            ]["resourceVersion"]

        def delete(self):
            """Until the node has done it: without a grace the API forgets the Pod at once, and the
            kubelet ends it seconds later."""
            uid = self.now()["metadata"]["uid"]
            kubectl("delete", "pod", "one", "--wait", namespace=lab_namespace)
            eventually(lambda: node.processes(uid) == [])

    return Lab()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert not [each for each in set(threading.enumerate()) - before if each.is_alive()]


def test_a_whole_life_from_before_the_pod_exists(lab):
    """Birth, a crash, a restart, deletion: not one version is lost, and intervals follow one
    another."""
    version = lab.list_version()
    init = {"name": "first", "image": "busybox:1.35.0", "command": ["sleep", "1"]}
    with lab.recording() as life:
        lab.make(initContainers=[init])
        pause, app = lab.processes()
        lab.kill(lab.app()["containerID"])
        address = lab.now()["status"]["podIP"]
        lab.delete()
    assert [each.obj["metadata"]["resourceVersion"] for each in life.versions] == lab.told(version)
    frame = life.intervals
    for lane, rows in frame.groupby("lane"):
        assert (
            rows["start"].iloc[1:].to_numpy() >= rows["end"].iloc[:-1].to_numpy() - 1e-6
        ).all(), lane
        assert (rows["end"] >= rows["start"]).all(), lane
    rows = frame[frame["lane"] == "app"].to_dict("records")
    assert [row["state"] for row in rows] == [
        "waiting",
        "running",
        "terminated",
        "running",
        "terminated",
    ]
    between = life.moments["app running"].seconds - life.moments["pause running"].seconds
    assert between == pytest.approx((app.started_ticks - pause.started_ticks) / 100, abs=0.02)
    assert set(frame[frame["lane"] == "address"]["value"]) == {address}
    assert life.facts["containers"]["first"] == "ended with exit code 0"
    assert life.facts["containers"]["app"].endswith("restarted once, not running")
    assert (life.facts["pause"], life.facts["network"], life.address) == ("gone", "gone", "is gone")
    assert (
        life.moments["first running"] < life.moments["app running"] < life.moments["app running 2"]
    )


def test_nothing_happens(lab):
    lab.make()
    with lab.recording() as life:
        pass
    assert life.facts == {
        "containers": {"app": "same process"},
        "pause": "same process",
        "network": "same",
        "address": "same",
    }


def test_the_end_waits_until_the_status_has_caught_up(lab, node, monkeypatch):
    """The block ends at the kill, a second before the API knows of it; on a busy node many
    seconds."""
    monkeypatch.setattr("labhelpers.measure.recording.SETTLE_SECONDS", 60)
    lab.make()
    with lab.recording() as life:
        node.kill(lab.app()["containerID"])
    assert life.facts["containers"]["app"].startswith("ended by signal 9")


def test_endpoints_and_events_beside_a_pod(lab, kubectl, lab_namespace, eventually):
    """A Service's endpoint becomes ready and unready again, by a probe; kubectl is the oracle."""
    ports, select = [{"port": 80}], {"app": "one"}
    spec = {"selector": select, "ports": ports}
    lab.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    probe = {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1}
    app = {"name": "app", "image": "busybox:1.35.0", "command": ["sleep", "3600"]}
    app["readinessProbe"] = {**probe, "failureThreshold": 1}

    def endpoint_is(ready):
        def so():
            slices = lab.get("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
            found = [each for slice_ in slices for each in slice_["endpoints"] or []]
            return [each["conditions"]["ready"] for each in found] == [ready]

        return so

    with lab.recording(also=["EndpointSlice", "Event"]) as life:
        pod = {"terminationGracePeriodSeconds": 0, "containers": [app]}
        metadata = {"name": "one", "labels": select}
        lab.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
        lab.wait_until(lambda status: "running" in status["state"])
        eventually(endpoint_is(False))
        kubectl("exec", "one", "--", "touch", "/tmp/up", namespace=lab_namespace)
        eventually(endpoint_is(True))
        kubectl("exec", "one", "--", "rm", "/tmp/up", namespace=lab_namespace)
        eventually(endpoint_is(False))
    rows = life.intervals
    endpoint = rows[rows["lane"] == "endpoint ready"]
    assert list(endpoint["state"]) == ["False", "True", "False"]
    told = {each["reason"] for each in lab.get("events")["items"]}
    assert {"Scheduled", "Created", "Started", "Unhealthy"} <= set(life.events["reason"]) <= told
    assert life.moments["Ready True"].seconds <= life.moments["endpoint ready True"].seconds


def test_pods_by_label_on_one_axis(lab, eventually):
    """Two of three Pods, named by a label; each container's lane has its Pod's name."""
    for name, app in (("a", "web"), ("b", "web"), ("c", "db")):
        container = {"name": "app", "image": "busybox:1.35.0", "command": ["sleep", "3600"]}
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        metadata = {"name": name, "labels": {"app": app}}
        lab.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    eventually(
        lambda: {each["status"]["phase"] for each in lab.get("pods")["items"]} == {"Running"}
    )
    with lab.recording(labels="app=web") as life:
        pass
    assert life.facts["containers"] == {"a: app": "same process", "b: app": "same process"}
