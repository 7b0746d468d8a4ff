"""The page for scripts says what commands print: each that has --json is run, and its keys are those of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from leaseq.cli.table import FAMILIES, command
from leaseq.models import Lease
from tests.e2e.cli import Box
from tests.e2e.harness import wait_until

PAGE = (Path(__file__).parents[2] / "docs/exit-codes-and-json.md").read_text()
ROWS = re.findall(r"^\| (`[a-z][^|]*) \| (`[^|]*) \|.*\|$", PAGE, re.MULTILINE)
KEYS = {name: set(re.findall("`(.*?)`", keys)) for names, keys in ROWS for name in re.findall("`(.*?)`", names)}
LINES = {  # HELD: a new task that does not start
    "submit": "submit --json -- true",
    "redo": "redo last --json",
    "retry": "retry --failed --json",
    "status": "status --json",
    "tasks": "tasks --json",
    "info": "info last --json",
    "logs": "logs last --json",
    "wait": "wait last --json",
    "recover": "recover --json",
    "recover --all": "recover --all --json",
    "hold": "hold HELD --json",
    "release": "release HELD --json",
    "move": "move --to local:elsewhere HELD --json",
    "cancel": "cancel HELD --json",
    "lease ls": "lease ls --json",
    "lease info": "lease info --json",
    "add --dry-run": "add --dry-run --json",
    "lease use": "lease use local --json",
    "lease hold-queue": "lease hold-queue local --off --json",
    "lease release": "lease release local --yes --json",
    "daemon start": "daemon start --json",
    "daemon restart": "daemon restart --json",
    "daemon stop": "daemon stop --json",
    "daemon status": "daemon status --json",
    "clean": "clean --json",
    "doctor": "doctor --json",
    "config show": "config show --json",
}
NEEDS_SLURM = {"add", "lease adopt"}
"""tests/contract/test_site.py and test_end.py run them."""
NOT_ZERO = {"daemon status": 3, "doctor": 1}
"""Commands whose exit code is part of their answer."""


@pytest.fixture(scope="module")
def used() -> Iterator[Box]:
    """A home with a task that has ended."""
    with TemporaryDirectory(prefix="lq-", ignore_cleanup_errors=True) as path:
        box = Box(Path(path))
        box.run("wait", box.submit("true"), code=0)
        other = box.home / "runs" / "local:elsewhere"
        (other / "held" / "_any").mkdir(mode=0o700, parents=True)
        (other / "lease.json").write_bytes(Lease(id="local:elsewhere", kind="local", created=1.0).to_json())
        yield box
        box.close()


@pytest.mark.parametrize("name", LINES)
def test_a_document_has_the_keys_that_the_page_names(used: Box, name: str) -> None:
    words = LINES[name].split()
    if "HELD" in words:
        words[words.index("HELD")] = used.submit("true", options=("--hold",))
    said = used.run(*words, code=None if name in NOT_ZERO else 0)
    assert said.code in (0, NOT_ZERO.get(name, 0))
    assert said.json["schema"] == 1
    assert said.json.keys() - {"schema"} == KEYS[name]


def test_every_command_with_json_is_on_the_page_and_is_run_here() -> None:
    with_json = {name for name in FAMILIES if any(option.name == "json" for option in command(name).options)}
    assert with_json == {name for name in KEYS if not name.partition(" --")[1]}
    assert set(LINES) | NEEDS_SLURM == set(KEYS)


def test_the_runner_of_this_host_is_alive_or_the_exit_code_is_3(used: Box) -> None:
    used.run("daemon", "start", code=0)
    # Its keeper comes a moment after the runner itself.
    alive = wait_until(
        lambda: (said := used.run("daemon", "status", "--json", code=0).json)["keeper_pid"] and said, "a keeper"
    )
    assert alive["running"] is True and alive["pid"] > 1 and alive["keeper_pid"] > 1
    used.run("daemon", "stop", code=0)
    gone = used.run("daemon", "status", "--json", code=3).json
    assert gone["running"] is False and gone["pid"] is None
    assert used.run("daemon", "status", code=3).out == "no runner is alive here\n"
