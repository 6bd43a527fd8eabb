import json
import signal
import threading
import time

import pytest

from labhelpers.errors import Impossible, TimedOut
from labhelpers.kube import client
from labhelpers.kube.manifests import Manifest
from labhelpers.kube.waiting import TICK_SECONDS, wait_until
from labhelpers.kube.watching import Watch
from labhelpers.kube.wire import interrupt
from tests.cluster.test_client import POD, is_ready

pytestmark = pytest.mark.cluster


@pytest.fixture
def here(connection, lab_namespace):
    return connection.within(lab_namespace)


def config_map(number: int) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mail"},
        "data": {"number": str(number)},
    }


def test_ready_is_what_kubectl_calls_ready(here, kubectl, lab_namespace):
    Manifest.parse(POD, "one.yaml").apply(here)
    pod = wait_until(here, "Pod", "one", is_ready, what="Ready", timeout_seconds=60)
    assert is_ready(json.loads(kubectl("get", "pod", "one", "-o", "json", namespace=lab_namespace)))
    assert pod["status"]["podIP"]
    here.delete("Pod", "one")
    assert (
        wait_until(here, "Pod", "one", lambda found: found is None, what="gone", timeout_seconds=30)
        is None
    )
    assert kubectl("get", "pods", "-o", "name", namespace=lab_namespace) == ""


def test_the_limit_brings_the_events(here):
    Manifest.parse(
        POD.replace("spec:\n", "spec:\n  nodeSelector: {such: none}\n"), "one.yaml"
    ).apply(here)
    wait_until(
        here,
        "Pod",
        "one",
        lambda found: found["status"].get("conditions"),
        what="judged",
        timeout_seconds=10,
    )
    with pytest.raises(TimedOut) as caught:
        wait_until(here, "Pod", "one", is_ready, what="Ready", timeout_seconds=1.5)
    assert "PodScheduled is False (Unschedulable)" in caught.value.seen
    assert "event FailedScheduling: 0/1 nodes are available" in caught.value.seen


def test_the_impossible_does_not_wait_for_the_limit(here):
    text = POD.replace('[sleep, "1000"]', '["false"]').replace(
        "spec:\n", "spec:\n  restartPolicy: Never\n"
    )
    Manifest.parse(text, "one.yaml").apply(here)

    def has_failed(found):
        return "it has failed" if found["status"].get("phase") == "Failed" else None

    began = time.monotonic()
    with pytest.raises(
        Impossible, match=r"it has failed\nSeen: phase Failed.*container app terminated"
    ):
        wait_until(
            here,
            "Pod",
            "one",
            lambda found: False,
            what="green",
            timeout_seconds=120,
            impossible=has_failed,
        )
    assert time.monotonic() - began < 60


def test_ctrl_c_ends_it_at_once_through_tls(here):
    here.apply(config_map(0))
    waiting, sent = threading.Event(), []

    def interrupt():
        assert waiting.wait(10)
        # The goal has been asked once; the wait goes into its watch now, or is in it.
        sent.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        wait_until(
            here, "ConfigMap", "mail", lambda found: waiting.set(), what="never", timeout_seconds=60
        )
    # See waiting: a signal that comes just before a read blocks waits for the tick.
    assert time.monotonic() - sent[0] < TICK_SECONDS + 0.5
    thread.join()


def test_a_connection_cut_on_the_way_loses_nothing(here, lab_namespace):
    here.apply(config_map(0))
    opened: list[Watch] = []

    class Cut(client.Connection):
        def watch(self, *args, **more):
            watch = super().watch(*args, **more)
            opened.append(watch)
            if len(opened) == 1:
                here.apply(config_map(1))
                interrupt(watch._socket())
            return watch

    cut = Cut(here._transport.configuration, here.kubeconfig, lab_namespace)
    cut.cluster_uid = here.cluster_uid
    wait_until(
        cut,
        "ConfigMap",
        "mail",
        lambda found: found["data"]["number"] == "1",
        what="written",
        timeout_seconds=10,
    )
    cut.close()
    assert opened
