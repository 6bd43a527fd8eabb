"""A room of two on this machine: a real JupyterHub, two participants, a cluster for each."""

import concurrent.futures
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests

from labhelpers import paths
from labhelpers.cluster import docker
from labhelpers.paths import ClusterFiles
from tests import SEATS
from tests.hub_client import Participant, code_cells
from tests.instances import enough_for
from tests.ports import free_port

MISSING = [
    name
    for name in ("jupyterhub", "configurable-http-proxy", "useradd")
    if shutil.which(name) is None
]
CHECKOUT = paths.repository()
NOTEBOOKS = CHECKOUT / "notebooks"
CLOSED = [str(each) for each in (CHECKOUT, *CHECKOUT.parents) if not each.stat().st_mode & 0o001]
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.rota(group="hub"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0,
        reason="only root on Linux can give each participant a Unix user",
    ),
    pytest.mark.skipif(bool(MISSING), reason=f"not there: {', '.join(MISSING)}"),
    pytest.mark.skipif(bool(CLOSED), reason=f"participants can't read {', '.join(CLOSED)}"),
]
ROOM, PASSWORD = "the-room", "own-password-of-{}"
NAMES = [seat.removeprefix("podlab-") for seat in SEATS]
END_SECONDS = 180


class Hub:
    """A hub that runs, and what it has logged.

    Args:
        folder: keeps the hub's data.
        settings: more of the hub's environment.
    """

    def __init__(self, folder: Path, **settings: str):
        self.folder, self.log = folder, folder / "hub.log"
        port, inner, proxy = free_port(), free_port(), free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.environment = {**os.environ, "PODLAB_HUB_FOLDER": str(folder)}
        self.environment |= {"PODLAB_HUB_ROOM": ROOM, "PODLAB_HUB_PORT": str(port)}
        self.environment |= settings
        # Jupyter's and pytest's own settings belong to this process.
        self.environment.pop("PODLAB_MINE", None)
        config = paths.repository() / "workshop/jupyterhub_config.py"
        command = ["jupyterhub", "--config", config, f"--JupyterHub.hub_port={inner}"]
        command += [f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{proxy}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, cwd=folder, stdout=log, stderr=log
            )

    def wait_until_up(self) -> None:
        for _ in range(600):
            assert self.process.poll() is None, self.log.read_text()
            try:
                if requests.get(f"{self.address}/hub/login", timeout=5).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.1)
        pytest.fail(f"no hub after a minute:\n{self.log.read_text()}")

    def said(self) -> list[str]:
        """The hub's lines for the teacher."""
        return re.findall(r"podlab: (.*)", self.log.read_text())

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(END_SECONDS)


@pytest.fixture(scope="module")
def hub():
    folder = Path(tempfile.mkdtemp(prefix="podlab-hub-", dir="/var/tmp"))
    folder.chmod(0o755)  # participants read what's in its folder `shared`
    hub = Hub(folder)
    try:
        hub.wait_until_up()
        with enough_for(len(SEATS)):
            yield hub
    finally:
        try:
            hub.end()
        finally:
            hub.process.kill()
            python = Path(shutil.which("jupyterhub")).resolve().with_name("python")
            subprocess.run([python, "-m", "labhelpers.hub", "end"], env=hub.environment, check=True)
            shutil.rmtree(folder, ignore_errors=True)
            for seat in SEATS:
                shutil.rmtree(ClusterFiles(seat).state, ignore_errors=True)


@pytest.fixture(scope="module")
def room(hub):
    """Two participants, whose servers and clusters come up at the same time."""
    both = [Participant(hub.address, name) for name in NAMES]
    for each in both:
        assert each.login(ROOM, PASSWORD.format(each.name)) == ""
        each.start()
    for each in both:
        lines = each.wait_until_ready()
        assert lines[-1].startswith("Server ready"), lines
        assert any(f"podlab-{each.name}" in line for line in lines), lines
    return both


def test_two_with_one_name_and_a_name_with_markup(hub, room):
    assert "Somebody has the name" in Participant(hub.address, NAMES[0]).login(ROOM, "not-theirs")
    said = Participant(hub.address, "<b>Ada</b>").login(ROOM, "not-theirs")
    assert "be part of a cluster" in said and "<b>" not in said


def test_lab_00_runs_in_both_at_the_same_time(room):
    notebook = NOTEBOOKS / "00_start_here.ipynb"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        texts = list(pool.map(lambda each: each.run(notebook), room))
    for cells in texts:
        assert "nothing is left: no namespace, no processes, no threads" in cells[-1], cells[-1]
        assert any("it's Pending, on no node" in cell for cell in cells)


def test_labs_that_need_a_node_to_themselves_run_at_the_same_time(room):
    """One of them stops its kubelet, the other fills its node."""
    labs = [NOTEBOOKS / "08_termination.ipynb", NOTEBOOKS / "03_scheduling.ipynb"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        texts = list(pool.map(lambda each, lab: each.run(lab), room, labs))
    for cells, lab in zip(texts, labs, strict=True):
        assert len(cells) == len(code_cells(lab)), cells[-1]
        assert "nothing is left: no namespace, no processes, no threads" in cells[-1], cells[-1]


LOOK = """
import os, pathlib, socket
home, port = {home!r}, {port}
def tried(what, do):
    try:
        print(what, "DONE", do())
    except Exception as error:
        print(what, type(error).__name__)
state = f"{{home}}/.local/state/podlab/{cluster}"
tried("kubeconfig", lambda: pathlib.Path(state, "kubeconfig").read_text())
tried("home", lambda: os.listdir(home))
tried("write", lambda: pathlib.Path(home, "x").write_text("x"))
tried("root's kubeconfig", lambda: pathlib.Path({roots!r}).read_text())
tried("hub", lambda: os.listdir({private!r}))
tried("kill", lambda: os.kill({pid}, 15))
tried("environment", lambda: pathlib.Path("/proc/{pid}/environ").read_bytes())
tried("engine", lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"))
tried("kubectl", lambda: open({kubectl!r}, "a"))
from ipykernel.connect import get_connection_info
tried("own transport", lambda: get_connection_info(unpack=True)["transport"])
"""


def test_nobody_reads_or_hurts_anybody_else(hub, room):
    ada, other = room
    theirs = pwd.getpwnam(f"podlab-{other.name}")
    pids = subprocess.run(["pgrep", "-u", theirs.pw_name], capture_output=True, text=True).stdout
    code = LOOK.format(
        home=theirs.pw_dir,
        port=0,
        cluster=f"podlab-{other.name}",
        roots=str(ClusterFiles(f"podlab-{other.name}").kubeconfig),
        private=str(hub.folder / "private"),
        pid=int(pids.split()[0]),
        kubectl=str(hub.folder / "shared/bin/kubectl"),
    )
    seen = ada.execute([code])[0].splitlines()
    assert seen[-1] == "own transport DONE ipc", seen
    assert [line.split()[-1] for line in seen[:-1]] == ["PermissionError"] * 9, seen


def test_nobody_enters_anothers_server(room):
    ada, other = room
    assert ada.ask("GET", f"/user/{ada.name}/api/contents").status_code == 200
    assert ada.ask("GET", f"/user/{other.name}/api/contents").status_code == 403
    assert ada.ask("DELETE", f"/hub/api/users/{other.name}/server").status_code == 404
    assert other.ask("GET", f"/user/{other.name}/api/contents").status_code == 200


def test_anothers_api_server_knows_nobody(room):
    ada, other = room
    port = docker.run("port", f"podlab-{other.name}-control-plane", "6443").split()[-1]
    url = f"https://{port}/api/v1/namespaces/kube-system/secrets"
    code = (
        "import requests, yaml, base64, os, pathlib, tempfile\n"
        "from labhelpers import paths\n"
        "user = yaml.safe_load(paths.kubeconfig().read_text())['users'][0]['user']\n"
        "files = []\n"
        "for key in ('client-certificate-data', 'client-key-data'):\n"
        "    files.append(tempfile.mkstemp()[1])\n"
        "    pathlib.Path(files[-1]).write_bytes(base64.b64decode(user[key]))\n"
        f"print(requests.get({url!r}, verify=False).status_code)\n"
        f"print(requests.get({url!r}, verify=False, cert=tuple(files)).status_code)\n"
        "[os.unlink(file) for file in files]"
    )
    text = ada.execute([code])[0]
    assert re.findall(r"^\d+$", text, re.MULTILINE) == ["403", "401"], text


def test_a_cluster_that_dies_is_one_line_and_the_other_goes_on(hub, room, eventually):
    ada, other = room
    docker.run("kill", f"podlab-{other.name}-control-plane")
    died = f"{other.name}: The cluster podlab-{other.name} has died."
    eventually(lambda: any(line.startswith(died) for line in hub.said()))
    assert sum(line.startswith(died) for line in hub.said()) == 1
    assert "Ready" in ada.execute(["!kubectl get nodes"])[0]


def test_a_server_that_stops_takes_its_cluster_and_starts_again_with_its_files(
    hub, room, eventually
):
    other = room[1]
    other.execute(["open('kept.txt', 'w').write('kept')"])
    assert other.stop() in (202, 204)
    container = f"podlab-{other.name}-control-plane"
    eventually(lambda: not docker.run("ps", "-aq", "--filter", f"name={container}"))
    eventually(lambda: not other.ask("GET", f"/hub/api/users/{other.name}").json()["servers"])
    other.start()
    assert other.wait_until_ready()[-1].startswith("Server ready")
    seen = other.execute(["print(open('kept.txt').read())", "!kubectl get nodes"])
    assert seen[0].strip() == "kept" and "Ready" in seen[1]


def test_the_hubs_end_leaves_nothing_that_runs(hub, room):
    hub.end()
    assert hub.process.returncode == 0, hub.log.read_text()[-2000:]
    for seat in SEATS:
        assert not docker.run("ps", "-aq", "--filter", f"name={seat}-control-plane")
        done = subprocess.run(["pgrep", "-u", seat], capture_output=True, text=True)
        assert not done.stdout
        assert Path(f"/home/{seat}/podlab/notebooks").is_dir()


def test_another_hub_knows_them_again_and_ends_who_is_idle(hub, room, eventually):
    """With the first hub's folder, and half a minute instead of an hour."""
    again = Hub(hub.folder, PODLAB_HUB_IDLE="30")
    try:
        again.wait_until_up()
        ada = Participant(again.address, NAMES[0])
        assert ada.login(ROOM, PASSWORD.format(ada.name)) == ""
        ada.start()
        assert ada.wait_until_ready()[-1].startswith("Server ready")
        container = f"podlab-{ada.name}-control-plane"
        assert docker.run("ps", "-q", "--filter", f"name={container}")
        eventually(
            lambda: not docker.run("ps", "-aq", "--filter", f"name={container}"), seconds=180
        )
        # The server is listed until everything of it has gone.
        eventually(lambda: not ada.ask("GET", f"/hub/api/users/{ada.name}").json()["servers"])
        assert "Culling" in again.log.read_text()
    finally:
        again.end()
