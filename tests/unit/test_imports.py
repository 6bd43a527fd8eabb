"""The order of labhelpers: a module imports only what stands before it, and says what it offers. Held without importing anything."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import labhelpers
from labhelpers import places

# From the bottom up; an import inside a function counts as well.
ORDER = [
    *(
        "errors",
        "places",
        "drafts",
        "locks",
        "objects",
        "archives",
        "stages",
        "environment",
        "notebooks",
        "arithmetic",
        "cgroups",
        "drawing",
        "charts",
        "api",
        "holders",
        "waiting",
        "manifests",
        "node",
        "changes",
        "recording",
        "samples",
    ),
    *("pods", "diagnosis", "predictions", "exercises", "widgets", "lab", "engine", "doctor", "cluster", "bundle", "cli"),
]
# Beside the order: a chart needs data and nothing else; what runs the cluster does not need a lab.
NEVER = {("charts", "api"), ("drawing", "api"), ("engine", "lab"), ("doctor", "lab"), ("cluster", "lab")}
FOLDER = places.repository() / "labhelpers"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def imported(source: str) -> set[str]:
    """The modules of labhelpers that a source imports, anywhere in it.

    >>> sorted(imported("from labhelpers import pods\\ndef f():\\n    import labhelpers.api as a"))
    ['api', 'pods']
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("labhelpers.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "labhelpers":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labhelpers."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.level:
            found |= {(node.module or alias.name).split(".")[0] for alias in node.names}
    return found


def used_names(source: str) -> set[tuple[str, str]]:
    """Of which module of labhelpers a source uses which name: imported from it, or written after its name and a dot.

    >>> sorted(used_names("from labhelpers import pods\\nfrom labhelpers.api import connect\\npods.Pod(connect)"))
    [('api', 'connect'), ('pods', 'Pod')]
    """
    tree, used = ast.parse(source), set()
    modules = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "labhelpers"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labhelpers."):
            used |= {(node.module.split(".")[1], alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            used.add((modules[node.value.id], node.attr))
    return used


def not_offered(source: str) -> list[str]:
    used = sorted(used_names(source))
    return [f"{module}.{name}" for module, name in used if name not in importlib.import_module(f"labhelpers.{module}").__all__]


def against_the_order(module: str, source: str) -> Iterator[str]:
    if module not in ORDER:
        yield f"{module} has no place in the order"
        return
    for name in sorted(imported(source)):
        if name not in ORDER or ORDER.index(name) >= ORDER.index(module):
            yield f"{module} imports {name}, which does not stand before it"
        elif (module, name) in NEVER:
            yield f"{module} imports {name}, which it never may"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    assert list(against_the_order(module, (FOLDER / f"{module}.py").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_offers_what_is_there(module):
    offered = importlib.import_module(f"labhelpers.{module}").__all__
    assert len(offered) == len(set(offered))
    assert [name for name in offered if name.startswith("_") or not hasattr(importlib.import_module(f"labhelpers.{module}"), name)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_uses_only_what_others_offer(module):
    assert not_offered((FOLDER / f"{module}.py").read_text(encoding="utf-8")) == []


def test_a_lab_imports_one_name():
    assert labhelpers.__all__ == ["start"]


def test_the_heavy_libraries_load_on_first_use():
    script = "import sys, labhelpers.lab; print(*({'pandas', 'matplotlib', 'ipywidgets', 'nbformat', 'nbclient'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout.split() == []
