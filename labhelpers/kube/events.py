"""Events of one object, waited for: they come a moment after what they're about."""

from labhelpers.errors import TimedOut
from labhelpers.kube.client import Connection
from labhelpers.patience import advice, patient
from labhelpers.polling import poll

__all__ = ["wait_for_event"]


def wait_for_event(
    connection: Connection, name: str, reason: str, *, timeout_seconds: float = 30
) -> dict:
    """Waits for the first event with a reason about an object of the connection's namespace.

    Args:
        name: the object's name.
        reason: such as "FailedMount".

    Returns:
        The Event, as the API has it.

    Raises:
        TimedOut: there was none.

    https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/

    Example::

        wait_for_event(lab.connection, "tiny", "FailedMount")["message"]
    """
    selector = f"involvedObject.name={name},reason={reason}"
    limit = patient(timeout_seconds)
    found = poll(
        lambda: connection.list("Event", field_selector=selector)["items"],
        timeout_seconds=limit,
        every_seconds=0.3,
    )
    if not found:
        raise TimedOut(
            f"{name} has no event {reason}.",
            f"none in {limit:g} s",
            advice(
                "Look at its events: kubectl get events --field-selector"
                f" involvedObject.name={name}."
            ),
        )
    return found[0]
