"""What a command has imported at its end: a command starts as fast as what it imports, and no test measures time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEVER = {
    *("asyncio", "concurrent.futures", "ctypes", "dataclasses", "email", "logging", "platform", "selectors", "socket"),
    *("subprocess", "tempfile", "textwrap", "traceback", "urllib"),
    *("bz2", "lzma", "zlib"),
    *("fire.completion", "fire.console.console_attr", "fire.docstrings", "fire.formatting", "fire.helptext"),
    *("blessed", "GPUtil", "jinja2", "simple_slurm", "yaml"),
}
"""What the commands here do without."""
OURS_MAX = {"submit": 84, "status": 79, "tasks": 78, "info": 94, "cancel": 89}
"""How many modules of leaseq each imports here, in a repository: one costs a fifth of a millisecond."""
LEFT = """
import atexit, sys
def told():
    from importlib.util import _LazyModule
    loaded = [name for name, module in sys.modules.items() if type(module) is not _LazyModule]
    print("LOADED", *loaded, file=sys.stderr)
atexit.register(told)
from leaseq.cli.main import main
sys.exit(main())
"""


def imported(home: Path, *words: str) -> set[str]:
    """The modules that have been executed when that command has succeeded."""
    env = {**os.environ, "LEASEQ_HOME": str(home / "home"), "LEASEQ_NODE_DIR": str(home / "node")}
    done = subprocess.run([sys.executable, "-c", LEFT, *words], env=env, capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize(
    "words",
    [
        ["submit", "--no-start", "--", "true"],
        ["submit", "--no-start", "--name", "a", "--time", "1h", "true"],
        ["status"],
        ["tasks"],
        ["info", "last"],
        ["cancel", "last"],
    ],
    ids=" ".join,
)
def test_a_command_imports_what_it_uses(tmp_path: Path, words: list[str]) -> None:
    imported(tmp_path, "submit", "--no-start", "--", "true")
    found = imported(tmp_path, *words)
    assert "fire.core" in found
    assert found & NEVER == set()
    assert len([name for name in found if name.split(".")[0] == "leaseq"]) <= OURS_MAX[words[0]]


def test_the_version_is_told_without_fire(tmp_path: Path) -> None:
    found = imported(tmp_path, "--version")
    assert not any(name.split(".")[0] == "fire" for name in found)
    assert len([name for name in found if name.split(".")[0] == "leaseq"]) < 8


def test_what_a_binding_has_put_off_is_there_where_it_is_touched() -> None:
    code = """
from leaseq.cli.binding import bound
assert bound(("a", "b"), {"name": ["c"], "env": ["D=1", "E"]}) == (("a", "b"), {"name": ["c"], "env": ["D=1", "E"]})
import asyncio, bz2, inspect, shutil, zlib
import fire
assert bz2.decompress(bz2.compress(b"x")) == b"x" and zlib.crc32(b"x")
assert inspect.getsource(bound).startswith("def bound") and shutil.get_archive_formats()
async def answer(): return 7
assert asyncio.run(answer()) == 7
def add(a, b=1): "Adds."; return int(a) + int(b)
assert fire.Fire(add, command=["1", "--b=2"]) == 3
try:
    fire.Fire(add, command=["1", "--c=2"])
except SystemExit as error:
    assert error.code == 2
try:
    fire.Fire(add, command=["--", "--help"])
except SystemExit as error:
    assert error.code == 0
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PAGER": "cat"}
    )
    assert done.returncode == 0, done.stderr
    assert "Adds." in done.stdout + done.stderr


def test_a_program_that_imports_leaseq_imports_nothing_of_it_before_it_asks(tmp_path: Path) -> None:
    code = "import sys, leaseq; print(*[name for name in sys.modules if name.startswith('leaseq')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["leaseq"]
    code = "import sys, leaseq; leaseq.Executor; print(*sys.modules)"
    found = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert "leaseq.api.executor" in found
    assert {"fire", "jinja2", "blessed", "yaml", "GPUtil", "simple_slurm", "cloudpickle", "leaseq.cli"} & found == set()


def test_what_leaseq_gives_is_the_same_for_python_and_for_type_checkers() -> None:
    import ast

    import leaseq

    stub = ast.parse(Path(leaseq.__file__).with_suffix(".pyi").read_text())
    imported = {each.names[0].asname: each.module for each in stub.body if isinstance(each, ast.ImportFrom)}
    assert imported == {name: module for module, names in leaseq.API.items() for name in names}
    for name in leaseq.__all__:
        assert getattr(leaseq, name) is not None and name in dir(leaseq)
        # Else it would be the module once anything has imported that.
        assert not any((Path(leaseq.__file__).parent / f"{name}{end}").exists() for end in ("", ".py"))
    with pytest.raises(AttributeError):
        getattr(leaseq, "nothing_of_this_name")  # noqa: B009
