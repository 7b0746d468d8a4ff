"""What a task is submitted from: the commit, the branch and the changes of its directory's repository, and its Python.

git has half a second. What it has not said by then is not known, and the record says so: no submission waits for it.
Untracked files are not looked at: in a directory of data that takes minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from leaseq import config, programs
from leaseq.dataclass import replace
from leaseq.layout import Home
from leaseq.models import Task
from leaseq.origin import Origin
from leaseq.world import Fs

if TYPE_CHECKING:
    from leaseq.verbs.git import Asked

SECONDS_MAX = 0.5
ANSWER_MAX = 1 << 16
HEADS = "refs/heads/"
DIFF = (
    *("diff", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    "--ignore-submodules=untracked",
)


def asked_for(home: Home, task: Task, *, but_differences: bool = False) -> Asking:
    """git is asked about the task's directory, unless that is known, or the settings say `provenance: off`.

    but_differences: not what differs, which the caller finds out.
    """
    ask = task.origin is None and _in_repository(task.cwd) and not config.says(home, "provenance", "off")
    return Asking(task.cwd, task.env, known=task.origin, ask=ask, but_differences=but_differences)


class Origins:
    """What tasks are made from, asked once for each directory."""

    def __init__(self, fs: Fs, home: Home) -> None:
        self._fs, self._home = fs, home
        self._known: dict[tuple[str, ...], Origin] = {}

    def of(self, task: Task) -> Origin:
        """What the task, which is about to be queued, is made from, whatever its record says of an earlier one."""
        names = ("PATH", "VIRTUAL_ENV")
        key = (task.cwd, *(task.env.get(name, "") for name in names))
        if key not in self._known:
            with asked_for(self._home, replace(task, origin=None)) as asked:
                self._known[key] = asked.answer(self._fs, self._home)
        return self._known[key]

    def of_next(self, old: Task, new: Task, *, time: float = 0.0) -> Origin | None:
        """What the task is made from that is queued after the old one: as that says itself, or a copy of the tree, or
        what is there now. time: when that is, if its record is to say so.
        """
        in_copy = old.origin is not None and old.origin.tree and new.cwd == old.cwd
        return new.origin if in_copy or new.origin is not old.origin else replace(self.of(new), time=time)


class Asking:
    """git is asked what a directory's files are; `answer` is what it said."""

    def __init__(
        self, cwd: str, environment: Mapping[str, str], *, known: Origin | None, ask: bool, but_differences: bool
    ) -> None:
        """known: what it was made from, if that is known. ask: git is asked. but_differences: not what differs."""
        self._known = known
        self._asked: dict[str, Asked] = {}
        self._note = ""
        if known is not None:
            return
        self._python = programs.found("python", environment) or programs.found("python3", environment) or ""
        self._environment = _environment_name(environment)
        self._until = time.monotonic() + SECONDS_MAX
        if ask:
            self._ask(cwd, but_differences=but_differences)

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *error: object) -> None:
        self.drop()

    def _ask(self, cwd: str, *, but_differences: bool) -> None:
        from leaseq.verbs.git import Asked

        questions: dict[str, tuple[str, ...]] = {
            "where": ("rev-parse", "--show-toplevel", "HEAD", "--symbolic-full-name", "HEAD"),
            "remote": ("config", "--get", "remote.origin.url"),
        }
        if not but_differences:
            questions["diff"] = (*DIFF, "HEAD")
        try:
            for name, words in questions.items():
                self._asked[name] = Asked(words, cwd)
        except OSError as error:
            self._note = f"git: {error.strerror or error}"
            self.drop()

    def answer(self, fs: Fs, home: Home) -> Origin:
        """What is known by now; a difference is kept. No error is raised."""
        if self._known is not None:
            return self._known
        own = Origin(python=self._python, environment=self._environment, note=self._note)
        return self._whole(own, fs, home) if self._asked else own

    def drop(self) -> None:
        """Nothing is asked any more."""
        for asked in self._asked.values():
            asked.drop()
        self._asked = {}

    def _whole(self, own: Origin, fs: Fs, home: Home) -> Origin:
        try:
            where, remote = self._lines("where"), self._lines("remote")
        except (TimeoutError, OverflowError):
            return replace(own, note="git took too long")
        if len(where) < 3:
            return replace(own, note="git did not say which commit")
        *top, commit, head = where
        found = replace(
            own,
            root="\n".join(top),
            commit=commit,
            branch=head.removeprefix(HEADS) if head.startswith(HEADS) else "",
            remote=_public(remote[0]),
        )
        if "diff" not in self._asked:
            return found
        from leaseq.protocol import code

        try:
            diff = self._asked["diff"].answer(until=self._until, bytes_max=code.BYTES_MAX)
        except TimeoutError:
            return replace(found, note="git took too long to say what differs")
        except OverflowError:
            return replace(
                found, dirty=True, note=f"what differs is more than {code.BYTES_MAX >> 20} MiB, and not kept"
            )
        if diff is None:
            return replace(found, note="git did not say what differs")
        if not diff:
            return replace(found, dirty=False)
        try:
            return replace(found, dirty=True, diff=code.keep(fs, home, found.commit, diff))
        except OSError as error:
            return replace(found, dirty=True, note=f"what differs was not kept: {error.strerror or error}")

    def _lines(self, name: str) -> list[str]:
        said = self._asked[name].answer(until=self._until, bytes_max=ANSWER_MAX)
        return (said or b"").decode("utf-8", "replace").rstrip("\n").split("\n")


def _in_repository(cwd: str) -> bool:
    """True if the directory, or one above it, holds a repository's `.git`: else git need not be asked."""
    if not os.path.isabs(cwd):
        return False
    at = cwd
    while not os.path.lexists(os.path.join(at, ".git")):
        above = os.path.dirname(at)
        if above == at:
            return False
        at = above
    return True


def _environment_name(environment: Mapping[str, str]) -> str:
    venv = environment.get("VIRTUAL_ENV", "").rstrip("/")
    return os.path.basename(venv) or environment.get("CONDA_DEFAULT_ENV", "")


def _public(url: str) -> str:
    """The URL without a name, a password and a query: tokens stand there."""
    scheme, mark, rest = url.partition("://")
    if mark:
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0].partition('#')[0]}"
    # A path, or as ssh takes it, USER@HOST:PATH: a name is no secret. A password works nowhere there, and may be typed.
    user, mark, rest = url.partition("@")
    return rest if mark and ":" in user and "/" not in user else url
