"""Tasks as a sheet in the editor of the person, and what came of it. Nothing is locked meanwhile."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping

from leaseq import programs
from leaseq.cli.sheet import Line, lines_of, sheet_of
from leaseq.errors import LeaseqError, Refused, UsageError
from leaseq.models import Task
from leaseq.names import Entry


def edited(tasks: Mapping[str, tuple[Task, Entry]], *, every: bool = False) -> tuple[dict[str, Line], str]:
    """(the tasks as they are to be, the sheet's path); raises UsageError that tells the path if the sheet is wrong.

    Tasks that stay as they were are left out, but with `every`: then only those whose lines were removed. Those have
    ended, and come after nothing that could be changed.
    """
    handle, path = tempfile.mkstemp(prefix="leaseq-edit-", suffix=".yaml")
    with open(handle, "w", encoding="utf-8") as file:
        file.write(sheet_of(list(tasks.values()), pending=not every))
    _let_edit(path)
    try:
        with open(path, encoding="utf-8") as file:
            return lines_of(file.read(), tasks, every=every), path
    except UnicodeDecodeError:
        raise kept(UsageError("the sheet is not UTF-8"), path) from None
    except UsageError as error:
        raise kept(error, path) from None


def _let_edit(path: str) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = shlex.split(editor) or ["vi"]
        code = subprocess.run([*words, path], executable=programs.path_of(words[0]), check=False).returncode
    except (OSError, ValueError) as error:
        os.unlink(path)
        raise Refused(f"the editor {editor!r} cannot be started: {error}", hint="EDITOR names another") from None
    if code:
        raise Refused(f"the editor ended with {code}: nothing was changed", hint=f"what you wrote is in {path}")


def kept(error: LeaseqError, path: str) -> UsageError:
    """That the sheet is wrong, and where it is."""
    hint = f"{error.hint}; nothing was changed" if error.hint else "nothing was changed"
    return UsageError(error.message, hint=f"{hint}. What you wrote is in {path}")
