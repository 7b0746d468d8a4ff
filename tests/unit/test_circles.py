"""No module imports, by whatever way, itself: not inside a room either, nor for types alone."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def imported(path: Path) -> set[str]:
    """The modules of leaseq that the file names in an import, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return {name for name in found if is_module(name)}


def is_module(name: str) -> bool:
    return name.startswith("leaseq.") and (ROOT / (name.replace(".", "/") + ".py")).exists()


def graph(room: str) -> dict[str, set[str]]:
    paths = [path for path in (ROOT / "leaseq" / room).rglob("*.py") if path.name != "__init__.py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): imported(path) for path in paths}


ROOMS = sorted(path.name for path in (ROOT / "leaseq").iterdir() if (path / "__init__.py").exists())


def circle(modules: dict[str, set[str]]) -> str:
    """The modules that import each other; empty if none does."""
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return ""


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_of_a_room_imports_itself(room: str) -> None:
    modules = graph(room)
    assert len(modules) > 2 and any(modules.values())
    assert circle(modules) == ""


def test_no_circle_is_made_of_several_rooms() -> None:
    assert circle(graph(".")) == ""


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"a"}}) and not circle({"a": {"b"}, "b": set()})
