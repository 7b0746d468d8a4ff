"""What `doctor` finds, with programs on PATH that answer as a host's would."""

from __future__ import annotations

import os

import pytest

from tests.e2e.cli import Box


def findings(box: Box, **programs: str) -> dict[str, tuple[str, str]]:
    """(verdict, words) by what was looked at, with these scripts on PATH."""
    bin = box.path / "bin"
    bin.mkdir(exist_ok=True)
    for name, script in programs.items():
        (bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin / name).chmod(0o755)
    said = box.run("doctor", "--json", code=None, env={"PATH": f"{bin}:{os.environ['PATH']}"})
    return {each["what"]: (each["verdict"], each["words"]) for each in said.json["findings"]}


@pytest.mark.parametrize(
    ("script", "verdict"), [("echo 'b true'", "note"), ("echo 'b false'", "ok"), ("exit 1", None), ("echo odd", None)]
)
def test_a_host_that_ends_what_is_left_at_logout_is_named_and_unknown_is_not_said(
    box: Box, script: str, verdict: str | None
) -> None:
    found = findings(box, busctl=f'[ "$*" = "{QUESTION}" ] && {{ {script}; exit; }}; exit 9')
    assert found.get("logout", (None, ""))[0] == verdict


QUESTION = (
    "get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager KillUserProcesses"
)
