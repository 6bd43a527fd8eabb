"""The cluster through what happens to it: interrupted in the making, stopped, its engine killed
under it. Oracle: docker and kubectl."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from labhelpers import paths
from labhelpers.cluster import build, engine, engine_record, go_programs, image, lifecycle, uplink
from labhelpers.cluster import docker as docker_client
from labhelpers.errors import NotOurCluster
from tests import HALF

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def docker(*words):
    return subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=60
    ).stdout.strip()


def others():
    """Running containers that are no cluster of these tests."""
    return set(docker("ps", "--format", "{{.Names}}").splitlines()) - {
        f"{name}-control-plane" for name in (paths.cluster_name(), HALF)
    }


@pytest.fixture
def half():
    yield HALF
    lifecycle.down(HALF)
    assert docker("ps", "--all", "--quiet", "--filter", f"name={HALF}") == ""


def test_the_running_cluster_is_left_as_it_is(connection, kubectl):
    uid = kubectl("get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}")
    lifecycle.up()
    assert kubectl("get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}") == uid


def test_the_door_cannot_be_told_from_the_cluster(kubectl):
    version = kubectl("version", "--output=json")
    assert (
        f'"gitVersion": "{go_programs.KUBERNETES.version}"' in version.split('"serverVersion"')[1]
    )
    images = kubectl("get", "nodes", "--output=jsonpath={.items[*].status.images[*].names}")
    for name in (build.BUSYBOX, build.BUSYBOX_UNPULLABLE):
        assert name in images


def test_kinds_own_node_image_is_the_one_that_is_pinned():
    assert image.pins()["node_image"].encode() in (paths.tools() / "kind").read_bytes()


def test_the_readers_own_kubeconfig_is_not_touched(tmp_path):
    """Every podlab command with HOME elsewhere: no .kube is made there."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PODLAB_STATE": str(paths.state().parent),
        "PODLAB_CACHE": str(paths.cache()),
    }
    for command in ("status", "up"):
        done = subprocess.run(
            [sys.executable, "-m", "labhelpers.cli", command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / ".kube").exists()


@pytest.mark.rota(group="engines")
def test_an_interrupted_up_is_mended_by_the_next(half):
    environment = {**os.environ, "PODLAB_CLUSTER": half}
    process = subprocess.Popen(
        [sys.executable, "-m", "labhelpers.cli", "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 120
        while (
            not docker("ps", "--quiet", "--filter", f"name={half}")
            and time.monotonic() < deadline
            and process.poll() is None
        ):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, words
    assert "Finished steps are kept" in words.decode()
    assert lifecycle.status(half).state == "half-made"
    lifecycle.up(half)
    assert lifecycle.status(half).state == "running"
    ready = [
        str(paths.tools() / "kubectl"),
        "--kubeconfig",
        str(paths.kubeconfig(half)),
        "get",
        "--raw=/readyz",
    ]
    assert subprocess.run(ready, capture_output=True, text=True, timeout=30).stdout == "ok"


def test_the_api_servers_audit_log_tells_of_a_request(kubectl, lab_namespace):
    patch = yaml.safe_load((paths.repository() / "kind" / "cluster.yaml").read_text())["nodes"][0][
        "kubeadmConfigPatches"
    ][0]
    log = next(
        each["value"]
        for each in yaml.safe_load(patch)["apiServer"]["extraArgs"]
        if each["name"] == "audit-log-path"
    )
    kubectl("run", "heard", f"--image={build.BUSYBOX}", "--dry-run=server", namespace=lab_namespace)
    kubectl(
        "get", "pods", namespace=lab_namespace
    )  # the policy has changes written down, and nothing else
    deadline, lines = time.monotonic() + 10, ""
    while not lines and time.monotonic() < deadline:
        lines = docker("exec", paths.ClusterFiles().container, "grep", lab_namespace, log)
    events = [json.loads(line) for line in lines.splitlines()]
    assert [(each["verb"], each["objectRef"]["resource"], each["level"]) for each in events] == [
        ("create", "pods", "Metadata")
    ]


def test_nothing_is_elected_where_there_is_one_of_each(kubectl):
    held = kubectl("get", "leases", "--output=name", namespace="kube-system")
    assert "kube-scheduler" not in held and "kube-controller-manager" not in held


def test_a_closed_uplink_is_a_rule_of_iptables():
    """Packets that it has stopped cannot be asked for: CoreDNS' one question on its way out goes to
    this machine's own resolver."""
    if os.environ.get("PODLAB_OFFLINE") != "1":
        pytest.skip("PODLAB_OFFLINE is not 1, so containers reach the network")
    if not engine.started_by_us():
        pytest.skip("the engine is not one that podlab started, so its uplink is not closed here")
    iptables = shutil.which("iptables", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if os.geteuid() != 0 or iptables is None:
        pytest.skip("only root can read the rules of iptables")
    routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    devices = {route[0] for route in routes if route[1] == route[7] == "00000000"}
    if not devices:
        pytest.skip("this machine has no way out that could be closed")
    for rule in [
        ["FORWARD", "-j", "DOCKER-USER"],
        *(["DOCKER-USER", "-o", device, "-j", "DROP"] for device in sorted(devices)),
    ]:
        done = subprocess.run(
            [iptables, "-w", "5", "-C", *rule], capture_output=True, text=True, timeout=15
        )
        assert done.returncode == 0, f"{rule}: {done.stderr}"
    uplink.packets_dropped()  # counts by that rule, and raises where it is not there


def test_a_container_of_that_name_that_podlab_did_not_make_stays(half):
    name = paths.ClusterFiles(half).container
    identity = docker("create", "--name", name, lifecycle.status().image)
    try:
        for command in (lifecycle.up, lifecycle.down):
            with pytest.raises(NotOurCluster, match=name):
                command(half)
        assert docker("inspect", "--format", "{{.Id}}", name) == identity
    finally:
        docker("rm", "--force", "--volumes", name)


@pytest.mark.rota(group="engines")
def test_a_stopped_cluster_is_started_with_its_state(connection, kubectl, lab_namespace):
    kubectl("create", "configmap", "before", namespace=lab_namespace)
    docker("stop", "--time", "5", paths.ClusterFiles().container)
    assert lifecycle.status().state == "stopped"
    lifecycle.up()
    assert lifecycle.status().state == "running"
    assert "before" in kubectl("get", "configmaps", namespace=lab_namespace)


@pytest.mark.alone
def test_an_engine_that_was_killed_comes_back_with_the_cluster_in_it(
    connection, kubectl, lab_namespace
):
    if not engine.started_by_us():
        pytest.skip("the engine is not one that podlab started, so it is not killed here")
    if others():
        pytest.skip("other containers run on this engine, so it is not killed here")
    kubectl("create", "configmap", "before", namespace=lab_namespace)
    record = engine_record.Record.read()
    # dockerd first: it would see the others die and put things in order.
    for pid in [record.pid, *(process.pid for process in engine_record.remains(record))]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it went with its parent
    assert not docker_client.ask().version
    lifecycle.up()
    assert lifecycle.status().state == "running"
    assert "before" in kubectl("get", "configmaps", namespace=lab_namespace)
