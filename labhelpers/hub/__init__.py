"""One big machine for a room: what JupyterHub asks for a participant. Nothing here imports
jupyterhub; ``workshop/podlab_hub.py`` connects the two."""
