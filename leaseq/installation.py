"""Where this very installation is, so that a node can start the same one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def package_directory() -> str:
    """The directory of the package, wherever it is installed."""
    return os.path.dirname(os.path.abspath(__file__))


def main_file() -> str:
    """The file that starts it on any host that sees it: `python -E FILE ...`."""
    return f"{package_directory()}/__main__.py"


def interpreter() -> str:
    """The Python that runs it here."""
    return sys.executable


def starts_runner(words: Sequence[str]) -> bool:
    """True if that command line is one that starts a node's runner.

    Lease scripts that an earlier version wrote say `run`, and may outlive an update of the installation.
    """
    earlier = words[:1] == ["run"] and {"--lease", "--node", "--home"} <= set(words) and "--" not in words
    return words[:1] == ["_run"] or earlier


def read_as_utf8() -> None:
    """Words, paths and the environment are UTF-8 here, whatever the locale: if not, the process has started again.

    A task's words are kept as text, and its node may have another locale than its submitter.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
