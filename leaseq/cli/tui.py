"""`leaseq tui`: the monitor."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, canonical
from leaseq.cli.options import LEASE
from leaseq.cli.values import yes
from leaseq.errors import UsageError

REFRESH_LOW = 0.2
FRAME = (120, 40)
"""The size of a frame that goes to no terminal."""


@dataclass(frozen=True)
class Tui:
    """The monitor on this terminal, or one frame of it."""

    lease: str = ""
    once: bool = False
    size: tuple[int, int] | None = None
    refresh: float = 0.0
    readonly: bool = False
    ascii: bool = False
    mouse: bool = True

    def perform(self, app: App) -> int:
        """0 once the person has quit, or the frame is printed."""
        from leaseq.monitor.terminal import usable

        refusal = "" if self.once else usable()
        if refusal:
            raise UsageError(refusal, hint="`leaseq status` tells the same in words, `leaseq tui --once` one frame")
        from leaseq.monitor.main import Monitor, Options, once
        from leaseq.monitor.reader import REFRESH_SECONDS

        options = Options(
            lease=app.access.lease(self.lease).id,
            refresh=self.refresh or REFRESH_SECONDS,
            readonly=self.readonly,
            ascii=self.ascii or app.out.ascii,
            mono=bool(os.environ.get("NO_COLOR")),
            mouse=self.mouse,
            umask=app.umask,
        )
        if self.once:
            columns, lines = self.size or _terminal_size()
            text = once(app.fs, app.home, app.clock, options, columns=columns, lines=lines, color=app.out.colored)
            sys.stdout.write(text)
            return 0
        from leaseq.world import SystemFs

        # The monitor tells of a file system that hangs on its own screen: words on stderr would spoil it.
        return Monitor(SystemFs(remote=app.fs.remote, owner=os.getuid()), app.home, app.clock, options).run()


def parse(words: Sequence[str], tail: tuple[str, ...] | None) -> Tui:
    """The request. Read without Fire, whose import would be felt before the first frame."""
    if tail is not None:
        raise UsageError("`tui` takes no `--`", hint=f"leaseq tui {TUI.usage}")
    given: dict[str, str] = {}
    for word in canonical("tui", TUI, words):
        name, equals, value = word.partition("=")
        if not (name.startswith("--") and equals):
            raise UsageError(f"unexpected argument {word!r}", hint=f"leaseq tui {TUI.usage}")
        given[name[2:]] = value
    return Tui(
        lease=given.get("lease", ""),
        once=yes(given.get("once", ""), what="--once"),
        size=_size(given["size"]) if "size" in given else None,
        refresh=_refresh(given["refresh"]) if "refresh" in given else 0.0,
        readonly=yes(given.get("readonly", ""), what="--readonly"),
        ascii=yes(given.get("ascii", ""), what="--ascii"),
        mouse=yes(given.get("mouse", "true"), what="--mouse"),
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})[xX×](\d{1,4})", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise UsageError(f"--size {text!r} is not a size", hint="--size 120x40: columns, then lines")
    return int(match[1]), int(match[2])


def _terminal_size() -> tuple[int, int]:
    """The terminal's, where standard output is one."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return FRAME
    return (size.columns, size.lines) if size.columns and size.lines else FRAME


def _refresh(text: str) -> float:
    match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)s?", text)
    if not match or float(match[1]) < REFRESH_LOW:
        raise UsageError(f"--refresh {text!r} is not at least {REFRESH_LOW} seconds", hint="--refresh 2")
    return float(match[1])


class Tuis:
    """The line is read by `parse`."""


TUI = Command(
    component=Tuis,
    method="",
    usage="[--lease ID] [--readonly] [--refresh S] [--once [--size 120x40]]",
    about=(
        "Shows leases, nodes, tasks and their output, live; `?` lists the keys. It reads files only, so it may stay "
        "open all day. `leaseq` alone does the same on a terminal."
    ),
    options=(
        LEASE,
        Option("once", "print one frame and end", kind="flag"),
        Option("size", "the size of that frame (default: the terminal's)", metavar="COLSxLINES"),
        Option("refresh", "refresh every so many seconds (default 2)", metavar="S"),
        Option("readonly", "no key changes anything", kind="flag"),
        Option("ascii", "no character beyond ASCII", kind="flag"),
        Option("mouse", "--no-mouse: the mouse stays the terminal's, to select text", kind="flag"),
    ),
    examples=("leaseq tui", "leaseq tui --lease 48213 --readonly", "leaseq tui --once --size 80x24"),
    parse=parse,
)
COMMANDS = {"tui": TUI}
