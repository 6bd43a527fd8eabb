"""JupyterHub for a room on one big machine. docs/workshop.md has the steps:
jupyterhub --config workshop/jupyterhub_config.py

PODLAB_HUB_FOLDER (default /var/lib/podlab-hub) keeps the hub's data, PODLAB_HUB_ROOM and
PODLAB_HUB_TEACHER are the pass-phrases (made where they're missing), PODLAB_HUB_PORT is the port.
"""

import os
import sys
from pathlib import Path

from labhelpers import stored
from labhelpers.errors import LabError

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from podlab_hub import RoomAuthenticator, RoomSpawner, private_folder  # noqa: E402

from labhelpers.hub.people import TEACHER, Entrance  # noqa: E402
from labhelpers.hub.seats import Seats, refuse_private_python  # noqa: E402
from labhelpers.hub.turns import Turns  # noqa: E402

c = get_config()  # noqa: F821

try:
    refuse_private_python()
except LabError as error:
    sys.exit(str(error))
FOLDER = Path(os.environ.get("PODLAB_HUB_FOLDER", "/var/lib/podlab-hub"))
PRIVATE = private_folder(FOLDER / "private")
IDLE_SECONDS = int(os.environ.get("PODLAB_HUB_IDLE", "3600"))
BIN = Path(sys.executable).parent

entrance = Entrance(
    PRIVATE, os.environ.get("PODLAB_HUB_ROOM", ""), os.environ.get("PODLAB_HUB_TEACHER", "")
)
print(f"The room's pass-phrase: {entrance.room}\nThe teacher's: {entrance.teacher}", flush=True)
stored.install_save_hook()
stored.install_defaults()

c.JupyterHub.bind_url = f"http://:{os.environ.get('PODLAB_HUB_PORT', '8000')}"
c.JupyterHub.db_url = f"sqlite:///{PRIVATE / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(PRIVATE / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(PRIVATE / "proxy.pid")
c.JupyterHub.template_paths = [str(HERE / "templates")]

c.JupyterHub.authenticator_class = RoomAuthenticator
RoomAuthenticator.entrance = entrance
c.Authenticator.allow_all = True  # whoever the entrance has admitted
c.Authenticator.admin_users = {TEACHER}

c.JupyterHub.spawner_class = RoomSpawner
RoomSpawner.seats = Seats(FOLDER)
RoomSpawner.turns = Turns(int(os.environ.get("PODLAB_HUB_AT_ONCE", "3")))
c.Spawner.cmd = [str(BIN / "jupyterhub-singleuser")]
c.Spawner.start_timeout = 3600  # thirty who start at once take turns
c.Spawner.http_timeout = 120
c.Spawner.poll_interval = 15
c.JupyterHub.concurrent_spawn_limit = 0  # RoomSpawner lets them wait, instead of refusing them

c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE_SECONDS}"],
    }
]
