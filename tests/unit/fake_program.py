"""A program for PATH that answers as a file tells it and notes how it was called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_SCRIPT = """#!/bin/sh
cd "$(dirname "$0")" || exit 99
for word in "$0" "$@"; do printf '%s\\0' "$word"; done >>NAME.calls; printf '\\1' >>NAME.calls
env -0 >NAME.environment
[ -e NAME.sleep ] && sleep "$(cat NAME.sleep)"
for word in "$@"; do [ -e "NAME.out$word" ] && if_given=$word; done
cat "NAME.err$if_given" >&2
cat "NAME.out$if_given"
[ -e NAME.hang ] && exec sleep "$(cat NAME.hang)"
exit "$(cat "NAME.code$if_given")"
"""


class FakeProgram:
    """A program of that name in a directory; put the directory on PATH."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        directory.mkdir(parents=True, exist_ok=True)
        self.answer()
        path = directory / name
        path.write_text(_SCRIPT.replace("NAME", name))
        path.chmod(0o755)

    def answer(
        self, out: str = "", *, err: str = "", code: int = 0, seconds: float = 0, hangs: float = 0, given: str = ""
    ) -> None:
        """From now on it says that, after so many seconds, and ends so many later; `given`: if it is given that."""
        for kind, text in (("out", out), ("err", err), ("code", str(code))):
            (self.directory / f"{self.name}.{kind}{given}").write_text(text)
        for kind, lasts in (("sleep", seconds), ("hang", hangs)):
            path = self.directory / f"{self.name}.{kind}"
            path.unlink(missing_ok=True)
            if lasts:
                path.write_text(str(lasts))

    def calls(self) -> list[list[str]]:
        """The arguments of each call so far."""
        path = self.directory / f"{self.name}.calls"
        if not path.exists():
            return []
        return [call.split("\0")[1:-1] for call in path.read_text().split("\1")[:-1]]

    def environment(self) -> dict[str, str]:
        """The environment of the last call."""
        words = (self.directory / f"{self.name}.environment").read_text().split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)


def on_path(directory: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment with the directory first on PATH."""
    environment = dict(os.environ if environment is None else environment)
    return {**environment, "PATH": f"{directory}:{environment.get('PATH', os.defpath)}"}
