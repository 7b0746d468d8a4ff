"""Where this very installation is, so that a node can start the same one."""

from __future__ import annotations

import os
from collections.abc import Sequence


def main_file() -> str:
    """The file that starts it on any host that sees it: `python -E FILE ...`."""
    return f"{os.path.dirname(os.path.abspath(__file__))}/__main__.py"


def starts_runner(words: Sequence[str]) -> bool:
    """True where that command line is one that starts a node's runner.

    Lease scripts that an earlier version wrote say `run`, and may outlive an update of the installation.
    """
    earlier = words[:1] == ["run"] and {"--lease", "--node", "--home"} <= set(words) and "--" not in words
    return words[:1] == ["_run"] or earlier
