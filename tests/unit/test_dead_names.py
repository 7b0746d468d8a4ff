"""Every public function, class, method and constant of leaseq has a user in leaseq or its benchmarks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "affinity": "submitit calls it",
    "get_state": "submitit calls it",
    **dict.fromkeys(
        ("abort_everything", "configure", "get_nested_backend", "retrieve_result_callback", "terminate"),
        "joblib calls it",
    ),
    "names_drawn_from": "the simulation draws the names of its tasks from its seed",
    "divided_into": "simulated histories divide small arrays into several chunks",
    "reducer_override": "pickle calls it",
}
"""Names that nothing of leaseq uses, each with why it is kept."""


def defined(tree: ast.Module) -> Iterator[str]:
    """The names at the top of a module, and the methods of its classes."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (each.name for each in node.body if isinstance(each, ast.FunctionDef))
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


def used(tree: ast.Module) -> Iterator[str]:
    """The names that are read, and the strings that may be one: `getattr`, a name of a function in a table."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def dead(sources: dict[str, str], others: str = "") -> dict[str, str]:
    """The public names that nobody uses, with the file that defines each. others: texts that may call by name."""
    trees = {path: ast.parse(text) for path, text in sources.items()}
    users = {name for tree in trees.values() for name in used(tree)} | set(re.findall(r"\w+", others))
    names = {name: path for path, tree in trees.items() if path.startswith("leaseq/") for name in defined(tree)}
    return {name: path for name, path in names.items() if not name.startswith("_") and name not in users}


def test_a_name_that_nobody_uses_is_found() -> None:
    text = "KNOWN = 1\nclass Thing:\n    def seen(self): return KNOWN\n    def unseen(self): ...\nThing().seen()\n"
    assert dead({"leaseq/it.py": text}) == {"unseen": "leaseq/it.py"}


def test_every_public_name_has_a_user_that_is_no_test() -> None:
    paths = [path for room in ("leaseq", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    templates = "".join(path.read_text() for path in (ROOT / "templates").rglob("*") if path.is_file())
    points = (ROOT / "pyproject.toml").read_text()
    found = dead({str(path.relative_to(ROOT)): path.read_text() for path in paths}, templates + points)
    assert found.keys() - ALLOWED == set(), found
    assert ALLOWED.keys() <= found.keys(), "the list of what is allowed names what is used"
