"""`leaseq mcp`, as a client of the protocol's own SDK uses it over stdio."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import PROGRAMS, SECONDS, VENV
from tests.e2e.cli import Box
from tests.e2e.harness import ROOT

LOOKS = "info leases logs status tasks triage wait why"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    if not (VENV / "bin" / "python").exists():
        pytest.skip(f"no {VENV}: make test-clients makes it")
    made = Box(tmp_path)
    made.environment["PYTHONPATH"] = str(ROOT)
    yield made
    made.close()


def said(box: Box, what: str, *words: str, **env: str) -> list[str]:
    argv = [str(VENV / "bin" / "python"), str(PROGRAMS / "mcp_on_leaseq.py"), what, *words]
    variables = {**box.environment, **env}
    done = subprocess.run(argv, env=variables, cwd=box.work, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_an_agent_finds_and_mends_a_failed_run_in_few_calls(box: Box) -> None:
    assert int(said(box, "loop", "--allow-changes")[0]) <= 8


def test_each_tool_does_what_it_says_and_what_cannot_be_is_told(box: Box) -> None:
    assert said(box, "acts", "--allow-changes") == ["all"]


@pytest.mark.parametrize(("words", "env"), [((), {}), (("--allow-changes",), {"LEASEQ_READONLY": "1"})])
def test_without_leave_it_only_looks(box: Box, words: tuple[str, ...], env: dict[str, str]) -> None:
    box.submit("true", options=("--hold",))
    assert said(box, "only_looks", *words, **env) == [f"{LOOKS} {{True}}"]


@pytest.mark.timeout(2 * SECONDS)
def test_an_answer_stays_short_with_10_000_tasks(box: Box) -> None:
    assert said(box, "many") == ["True", "True"]


def test_the_block_for_clients_starts_it(box: Box) -> None:
    page = (ROOT / "docs" / "agents.md").read_text()
    (block,) = re.findall(r"^```json\n(.*?)^```", page, re.M | re.S)
    server = json.loads(block)["mcpServers"]["leaseq"]
    assert server["command"] == "leaseq" and set(server["env"]) <= {"LEASEQ_HOME", "LEASEQ_LEASE"}
    line = f"{VENV}/bin/python -m leaseq {shlex.join(server['args'])} </dev/null"
    done = subprocess.run(["bash", "-c", line], env=box.environment, cwd=box.work, capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
