"""Waiting for a lease, or one more job of it, to start while a person watches."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaseq.allocation import Allocation
from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.lease import leases, wording
from leaseq.models import Lease
from leaseq.words import about, visible

if TYPE_CHECKING:
    from leaseq.lease.slurm.job import SlurmBackend
    from leaseq.lease.slurm.start import Progress

QUIET_SECONDS = 30.0
"""How often a wait says something if its line cannot be rewritten."""


def wait_for_start(app: App, lease: Lease, *, seconds_max: float | None, alloc: Allocation | None = None) -> str:
    """The node where a shell can be opened; empty if the time is over. Ctrl-C leaves the lease as it is.

    alloc: the one of the lease that is waited for; None: whichever is first.
    """
    from leaseq.lease.slurm.start import LOOK_SECONDS, progress

    backend = slurm(app)
    line = ProgressLine(leases.part(lease, alloc))
    try:
        for now in progress(backend, lease, alloc=alloc):
            if now.node:
                line.note(now.notes)
                return now.node
            if seconds_max is not None and now.waited_seconds >= seconds_max:
                return ""
            line.show(now)
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        line.clear()
        app.out.talk(f"leaseq: {leases.part(lease, alloc)} stays as it is. {way_back(lease, alloc)}")
        sys.exit(exits.INTERRUPTED)
    finally:
        line.clear()
    return ""


def slurm(app: App) -> SlurmBackend:
    """Who keeps what `add` has made."""
    from leaseq.lease.slurm.job import by_settings

    return by_settings(app.fs, app.home, clock=app.clock)


def way_back(lease: Lease, alloc: Allocation | None = None) -> str:
    """How what was waited for is used, or given back, later."""
    part = f" --job {alloc.job}" if alloc else ""
    return f"`leaseq shell --lease {lease.id}` opens it, `leaseq lease release {lease.id}{part}` gives it back"


class ProgressLine:
    """One line on stderr that is rewritten on a terminal; elsewhere a line now and then, and at every change."""

    def __init__(self, called: str) -> None:
        self.called = called
        self.rewritten = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
        self.shown, self.said, self.said_at = "", "", -1e9
        self.noted: set[str] = set()

    def show(self, now: Progress) -> None:
        self.note(now.notes)
        state = ", ".join(filter(None, (wording.of_state(now.state), wording.start(now.state))))
        if self.rewritten:
            text = f"{self.called}: {state}, waited {about(now.waited_seconds)}"
            if text != self.shown:
                self._write(f"\r{visible(text)[: _columns() - 1]}\x1b[K")
                self.shown = text
            return
        if state != self.said or now.waited_seconds - self.said_at >= QUIET_SECONDS:
            self.said, self.said_at = state, now.waited_seconds
            self._write(f"leaseq: {self.called}: {visible(state)}, waited {about(now.waited_seconds)}\n")

    def note(self, notes: Sequence[str]) -> None:
        """Each note of the lease is told once."""
        for text in notes:
            if text not in self.noted:
                self.noted.add(text)
                self.clear()
                self._write(f"leaseq: {visible(text)}\n")

    def clear(self) -> None:
        if self.shown:
            self._write("\r\x1b[K")
            self.shown = ""

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns
