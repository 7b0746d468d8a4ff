"""Whether the terminal takes a text into its clipboard (OSC 52), as far as it can be known."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from leaseq import programs

BYTES_MAX = 74_000
"""Terminals pass over what is longer: xterm takes 100,000 characters of base64."""
SECONDS_MAX = 2.0


def verdict(text: str, environment: Mapping[str, str]) -> tuple[bool, str]:
    """(whether it is to be sent, what a person has to know of that)"""
    if len(text.encode()) > BYTES_MAX:
        return False, "it is longer than what terminals take"
    kind = environment.get("TERM", "")
    if environment.get("TMUX"):
        taken = _of_tmux() in ("on", "")
        return taken, "" if taken else "tmux keeps it back: `tmux set -s set-clipboard on` lets it through"
    if kind == "linux":
        return False, "a text console has no clipboard"
    if kind.startswith(("screen", "tmux")):
        return True, "if what is around lets it through: tmux does after `tmux set -s set-clipboard on`"
    return True, ""


def _of_tmux() -> str:
    """What tmux does with a clipboard that programs in it set: on, external, off; empty if it does not say."""
    program = programs.found("tmux")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "show-options", "-sv", "set-clipboard"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
