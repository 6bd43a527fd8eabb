"""Records what the API says about the objects of ``tests/faults.py``, for the unit tests:
``python -m tests.record_faults NAMESPACE NAME …``. It only reads."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from labhelpers.diagnosis import Reading, judge
from labhelpers.errors import Refused
from labhelpers.kube.connect import connect

FOLDER = Path(__file__).parent / "unit" / "recorded" / "why"
# What no rule looks at, and what is long or a machine's own.
LEFT_OUT = set(
    "addresses allocatable allocatedResources capacity daemonEndpoints dnsPolicy"
    " enableServiceLinks hostIP hostIPs imageID images managedFields nodeInfo podCIDRs podIPs"
    " preemptionPolicy priority reportingComponent reportingInstance runtimeHandlers source"
    " terminationMessagePath tolerations user volumesInUse volumesAttached volumeMounts".split()
)
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


def trimmed(value: object) -> object:
    """An answer without the parts that nobody needs.

    >>> trimmed({"metadata": {"name": "web", "managedFields": []}})
    {'metadata': {'name': 'web'}}
    """
    if isinstance(value, list):
        return [trimmed(each) for each in value if not _is_token(each)]
    if isinstance(value, dict):
        return {
            key: trimmed(each) for key, each in value.items() if key not in (*LEFT_OUT, ANNOTATION)
        }
    return value


def _is_token(value: object) -> bool:
    return isinstance(value, dict) and str(value.get("name", "")).startswith("kube-api-access-")


def record(namespace: str, target: str, file: str) -> str:
    """Reads one object, and keeps each answer by its path."""
    connection = connect(namespace=namespace)
    now = datetime.now(UTC)
    answers: dict[str, object] = {}

    def get(path: str):
        try:
            answers[path] = connection.raw(path)
        except Refused as error:
            answers[path] = {"refused": error.code}
            raise
        return answers[path]

    found = judge(Reading(get, namespace, now=lambda: now).of(target))
    text = {
        "ask": target,
        "namespace": namespace,
        "now": now.isoformat(timespec="seconds"),
        "answers": trimmed(answers),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{file}.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")
    connection.close()
    return str(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("namespace")
    parser.add_argument("names", nargs="+", help="NAME, or NAME=TARGET")
    for each in (options := parser.parse_args()).names:
        name, _, asked = each.partition("=")
        print(f"=== {name}\n{record(options.namespace, asked or name, name)}\n")
    sys.exit(0)
