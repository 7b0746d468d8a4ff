"""`leaseq signal`: running tasks get a signal, and go on if they handle it."""

from __future__ import annotations

from typing import Any

from leaseq.cli.app import App
from leaseq.cli.cancel import Cancel, signal_number
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON, LEASE
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError

USAGE = "leaseq signal ID... SIGNAL"


@dataclass(frozen=True)
class Signal:
    """Running tasks that are to get a signal."""

    tasks: tuple[str, ...]
    lease: str
    signal: int
    leader: bool
    json: bool

    def perform(self, app: App) -> int:
        return Cancel(self.tasks, self.lease, False, False, self.signal, self.leader, self.json).perform(app)


def _request(*, words: tuple[str, ...], **fields: Any) -> Signal:
    *tasks, name = words
    number = signal_number(name, what="the last word")
    if not tasks:
        raise UsageError("which task?", hint=USAGE)
    return Signal(tuple(tasks), signal=number, **fields)


COMMAND = Command(
    usage="ID... SIGNAL",
    about="Sends the signal (USR1, INT, STOP, CONT, a number) to all processes of running tasks. A task that STOP "
    "stops keeps its GPUs and their memory, and its time limit runs on; CONT lets it go on.",
    make=_request,
    words=Words("words", "task", least=2, ask="which task, and which signal?", hint=USAGE),
    options=(
        LEASE,
        Option("leader", "only to the outermost of its processes that handles it", kind="flag"),
        JSON,
    ),
    examples=("leaseq signal last USR1", "leaseq signal T0c4 T9aa STOP"),
)
