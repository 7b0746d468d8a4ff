"""Before nodes are given back: whether what runs on them may end, or is waited for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.errors import Refused
from leaseq.models import Lease
from leaseq.words import about, count


def ask(what: str, *, called: str, held: int) -> None:
    """A person has agreed; raises Refused if not, or if nobody is there to ask.

    what: the question, as a statement. called: what is to go. held: how many tasks end with it.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        ended = "it" if held == 1 else "them"
        raise Refused(what, hint=f"--yes ends {ended}, --drain waits for {ended}" if held else "--yes releases it")
    print(f"{what}. Release it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(f"{called} is kept", hint="--drain waits for its running tasks first")


def wait_for(app: App, draining: Iterable[int], record: Lease, *, called: str) -> None:
    """No task runs there and none will start; Ctrl-C leaves it draining. draining: how many run yet, at each look."""
    told, began = 0, time.monotonic()
    try:
        for running in draining:
            if running != told:
                app.out.talk(f"leaseq: waiting for {count(running, 'running task')} of {called}; no other starts")
                told = running
    except KeyboardInterrupt:
        app.out.talk(
            f"\nleaseq: {called} is kept, and starts no task (waited {about(time.monotonic() - began)});"
            f" `leaseq lease hold-queue {record.id} --off` lets it start tasks again"
        )
        sys.exit(exits.INTERRUPTED)
