"""`leaseq tui`: the monitor."""

from __future__ import annotations

import os
import re
import sys

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import LEASE
from leaseq.commands import readonly
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.monitor.reader import REFRESH_SECONDS

REFRESH_LOW = 0.2
FRAME = (120, 40)
"""The size of a frame that goes to no terminal."""


@dataclass(frozen=True)
class Tui:
    """The monitor on this terminal, or one frame of it."""

    lease: str = ""
    once: bool = False
    size: tuple[int, int] | None = None
    refresh: float = REFRESH_SECONDS
    readonly: bool = False
    ascii: bool = False
    mouse: bool = True

    def perform(self, app: App) -> int:
        """0 once the person has quit, or the frame is printed."""
        from leaseq.monitor.terminal import usable

        refusal = "" if self.once else usable()
        if refusal:
            raise UsageError(refusal, hint="`leaseq status` says the same in words, `leaseq tui --once` one frame")
        from leaseq import config
        from leaseq.monitor.calls import calling
        from leaseq.monitor.main import Monitor, Options, once

        settings = config.of_monitor(app.home)

        options = Options(
            lease=app.access.lease(self.lease).id,
            refresh=self.refresh,
            readonly=self.readonly or readonly(),
            ascii=self.ascii or app.out.ascii,
            mono=bool(os.environ.get("NO_COLOR")),
            mouse=self.mouse,
            umask=app.umask,
            progress=re.compile(settings.progress) if settings.progress else None,
            calling=calling(settings, os.environ),
        )
        if self.once:
            columns, lines = self.size or _terminal_size()
            text = once(app.fs, app.home, app.clock, options, columns=columns, lines=lines, color=app.out.colored)
            sys.stdout.write(text)
            return 0
        from leaseq.world import SystemFs

        # The monitor tells of a file system that hangs on its own screen: words on stderr would spoil it.
        return Monitor(SystemFs(remote=app.fs.remote, owner=os.getuid()), app.home, app.clock, options).run()


def _size(text: str, *, what: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})[xX×](\d{1,4})", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise UsageError(f"{what} {text!r} is not a size", hint="--size 120x40: columns, then lines")
    return int(match[1]), int(match[2])


def _terminal_size() -> tuple[int, int]:
    """The terminal's, if standard output is one."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return FRAME
    return (size.columns, size.lines) if size.columns and size.lines else FRAME


def _refresh(text: str, *, what: str) -> float:
    match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)s?", text)
    if not match or float(match[1]) < REFRESH_LOW:
        raise UsageError(f"{what} {text!r} is not a number of seconds of at least {REFRESH_LOW}", hint="--refresh 2")
    return float(match[1])


COMMAND = Command(
    usage="[--lease ID] [--readonly] [--refresh S] [--once [--size 120x40]]",
    about="Shows leases, nodes, tasks and their output, live; `?` lists the keys. Watching changes nothing, so it may "
    "stay open all day. `leaseq` alone does the same on a terminal.",
    make=Tui,
    options=(
        LEASE,
        Option("once", "print one frame and end", kind="flag"),
        Option("size", "the size of that frame (default: the terminal's)", metavar="COLSxLINES", read=_size),
        Option("refresh", "seconds between two refreshes", metavar="S", read=_refresh, default=f"{REFRESH_SECONDS:g}"),
        Option("readonly", "no key changes anything", kind="flag"),
        Option("ascii", "no character beyond ASCII", kind="flag"),
        Option("mouse", "the mouse stays the terminal's, to select text", kind="flag", default="true"),
    ),
    examples=("leaseq tui", "leaseq tui --lease 48213 --readonly", "leaseq tui --once --size 80x24"),
    quick=True,
)
