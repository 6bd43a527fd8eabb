"""What the notebooks import. A lab needs one name: ``from labhelpers import start``."""

__all__ = ["start"]  # noqa: F822 (made on first use, below)


def __getattr__(name: str):
    # Loaded on first use, so that `import labhelpers` costs nothing to what needs only one module
    # (the podlab command).
    if name == "start":
        from labhelpers.lab import start

        return start
    raise AttributeError(f"module 'labhelpers' has no attribute {name!r}")
