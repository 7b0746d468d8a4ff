"""Where this very installation is, so that a node can start the same one."""

from __future__ import annotations

import os


def main_file() -> str:
    """The file that starts it on any host that sees it: `python -E FILE ...`."""
    return f"{os.path.dirname(os.path.abspath(__file__))}/__main__.py"
