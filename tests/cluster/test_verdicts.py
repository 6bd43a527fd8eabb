"""What the kubelet counts of its probes, against the requests that a container got."""

import pytest

from labhelpers.kube.waiting import wait_until
from labhelpers.measure.verdicts import Verdicts
from labhelpers.polling import poll

pytestmark = pytest.mark.cluster

# Each probe leaves a line in the container, then passes or fails.
PROBE = "echo asked >> /tmp/asked; test -e /tmp/well"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probed"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "app",
                "image": "busybox:1.35.0",
                "command": ["sh", "-c", "touch /tmp/well; exec sleep 3600"],
                "readinessProbe": {
                    "periodSeconds": 1,
                    "failureThreshold": 1,
                    "exec": {"command": ["sh", "-c", PROBE]},
                },
            }
        ],
    },
}


def test_each_probe_is_one_verdict(connection, lab_namespace):
    api = connection.within(lab_namespace)

    def run(script):
        return api.exec("probed", "app", ["sh", "-c", script]).stdout

    with Verdicts(api) as verdicts:
        api.create(POD)
        poll(lambda: verdicts.of("probed", "readiness", "passed"), timeout_seconds=60)
        run("rm /tmp/well")
        poll(lambda: verdicts.of("probed", "readiness", "failed")[1:], timeout_seconds=30)
        asked = len(run("cat /tmp/asked").split())
        counted = len(verdicts.rows)
    # One may be under way, or not have been read yet.
    assert abs(asked - counted) <= 1
    results = [each.result for each in verdicts.rows]
    assert results == sorted(results, reverse=True), "passed at first, then failed"
    assert verdicts.rows[0].seconds < verdicts.rows[-1].seconds
    api.delete("Pod", "probed", grace_seconds=0)
    wait_until(api, "Pod", "probed", lambda found: found is None, what="gone", timeout_seconds=30)
