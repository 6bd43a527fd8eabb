"""The form for false claims has what GitHub documents: docs.github.com, Syntax for issue forms."""

import pytest
import yaml

from labhelpers import paths

FORM = paths.repository() / ".github" / "ISSUE_TEMPLATE" / "false-claim.yml"
ATTRIBUTES = {
    "markdown": {"value"},
    "input": {"label", "description", "placeholder", "value"},
    "textarea": {"label", "description", "placeholder", "value", "render"},
    "dropdown": {"label", "description", "multiple", "options", "default"},
}
ASKED = {"lab", "claim", "said", "status", "kubernetes", "cgroup"}


def faults(form: dict) -> list[str]:
    """What GitHub wouldn't take."""
    found = [f"no {key}" for key in ("name", "description", "body") if not form.get(key)]
    fields = form.get("body", [])
    found += [f"type {each['type']}" for each in fields if each["type"] not in ATTRIBUTES]
    for each in [each for each in fields if each["type"] in ATTRIBUTES]:
        extra = set(each["attributes"]) - ATTRIBUTES[each["type"]]
        needed = "value" if each["type"] == "markdown" else "label"
        found += [f"attribute {name}" for name in sorted(extra)]
        found += [] if each["attributes"].get(needed) else [f"no {needed}"]
        if each["type"] == "dropdown" and not each["attributes"].get("options"):
            found.append("no options")
    ids = [each["id"] for each in fields if "id" in each]
    return found + (["an id twice"] if len(ids) != len(set(ids)) else [])


def test_github_takes_it_and_it_asks_for_what_is_needed():
    form = yaml.safe_load(FORM.read_text(encoding="utf-8"))
    assert faults(form) == []
    required = {
        each.get("id") for each in form["body"] if each.get("validations", {}).get("required")
    }
    assert required >= ASKED


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ({"type": "number", "attributes": {"label": "a"}}, "type number"),
        ({"type": "input", "attributes": {"label": "a", "options": [1]}}, "attribute options"),
        ({"type": "textarea", "attributes": {"description": "a"}}, "no label"),
        ({"type": "dropdown", "attributes": {"label": "a"}}, "no options"),
    ],
)
def test_a_mistake_is_found(field: dict, fault: str):
    assert faults({"name": "a", "description": "b", "body": [field]}) == [fault]
