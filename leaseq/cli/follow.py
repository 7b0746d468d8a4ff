"""`leaseq follow`: a task's output until it ends."""

from __future__ import annotations

import sys
import time
from typing import Any

from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import LEASE
from leaseq.cli.streams import ALL_LINES, FOLLOW_LINES, RAW, STDERR, STDOUT, lines_of, no_log, of_indices, streams_of
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound, UsageError
from leaseq.lease.lookup import How
from leaseq.models import KEEP_FAILED, Outcome, State
from leaseq.reading import logtail
from leaseq.reading.find import detail
from leaseq.reading.logtail import Folder
from leaseq.reading.logtext import Harmless
from leaseq.reading.output import Log, log_of
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.reading.waiting import Advice, Awaited, pauses, wait_code


@dataclass(frozen=True)
class Follow:
    """A task's output from now until it ends. No selector: the one task that runs."""

    task: str
    lease: str
    streams: tuple[str, ...]
    lines: int | None
    """Of what was written before; None if nothing was said: all of it, but on a terminal the end."""
    raw: bool

    def perform(self, app: App) -> int:
        """The task's exit code."""
        reader, row = self._chosen(app)
        try:
            outcome = self._stream(app, reader, row)
        except KeyboardInterrupt:
            sys.stdout.flush()
            app.out.talk(
                f"\nleaseq: {row.id} goes on; `leaseq follow {row.id}` watches it, `leaseq cancel {row.id}` ends it"
            )
            return exits.INTERRUPTED
        if outcome.state is not State.DONE:
            from leaseq.cli.wait import tell_error, verdict

            app.out.talk(f"leaseq: {verdict(outcome)}")
            tell_error(app, reader, outcome)
        return wait_code(outcome)

    def _chosen(self, app: App) -> tuple[Reader, TaskView]:
        if self.task:
            found = app.access.find((self.task,), lease=self.lease, acts=True, indices=How.EACH).tasks
            if found[0].row.array is not None:
                raise of_indices(found[0].row, "follow")
            if len(found) > 1:
                raise UsageError("only one task can be followed", hint="`leaseq wait` waits for several")
            if found[0].row.cleaned:
                raise no_log(found[0].reader, found[0].row, found[0].row.attempt)
            return found[0].reader, found[0].row
        reader = app.access.reader(self.lease, acts=True)
        live = (State.RUNNING, State.UNKNOWN, State.STUCK)
        running = [row for row in reader.read(recent=1, pending=0).tasks if row.state in live]
        if not running:
            raise NotFound("no task is running", hint="`leaseq follow last` follows the newest one, started or not")
        if len(running) > 1:
            ids = ", ".join(row.id for row in running[:6])
            raise UsageError(f"{len(running)} tasks are running: {ids}", hint="leaseq follow ID")
        return reader, running[0]

    def _stream(self, app: App, reader: Reader, row: TaskView) -> Outcome:
        """How the task ended, once all that it wrote has been shown."""
        attempt, now = row.attempt, time.monotonic()
        if row.state is State.PENDING:
            app.out.talk(f"leaseq: {row.id} is pending ({row.reason}); waiting for its start")
        advice = Advice(reader, upkeep=app.access.keep_up, last_look=now)
        sources = self._sources(app, reader, row.id, attempt, lines=self.lines)
        pause = pauses(app.fs)
        awaited = Awaited(reader, row.id, attempt)
        while True:
            # The outcome first: what was written before it is all there when it is read afterwards.
            newest, outcome = awaited.look(time.monotonic())
            news = [source.copy() for source in sources]
            if outcome is not None or newest != attempt:
                for source in sources:
                    source.end()
            if outcome is not None and newest == attempt:
                if any(source.gone for source in sources):
                    self._tell_what_is_missing(app, reader, row, outcome)
                return outcome
            if newest != attempt:
                app.out.talk(f"leaseq: attempt {attempt} of {row.id} has failed; attempt {attempt + 1} follows")
                attempt += 1
                sources = self._sources(app, reader, row.id, attempt, lines=ALL_LINES)
                continue
            if any(news):
                pause = pauses(app.fs)
            elif text := advice.look(row.id, time.monotonic()):
                app.out.talk(f"leaseq: {text}")
            time.sleep(next(pause))

    def _tell_what_is_missing(self, app: App, reader: Reader, row: TaskView, outcome: Outcome) -> None:
        """An array that keeps the output of failures alone has removed this one, perhaps before its end was shown."""
        if outcome.state is State.DONE and detail(reader, row.id).kept_logs == KEEP_FAILED:
            app.out.talk(f"leaseq: what {row.id} wrote last may be missing: its array keeps the output of failures")

    def _sources(self, app: App, reader: Reader, task_id: str, attempt: int, *, lines: int | None) -> list[Source]:
        return [
            Source(
                app,
                log_of(reader, task_id, attempt, stream),
                stream,
                lines=lines,
                raw=self.raw,
                alone=len(self.streams) == 1,
            )
            for stream in self.streams
        ]


class Source:
    """One growing log and where its bytes go: stdout to stdout, stderr to stderr unless it is shown alone."""

    def __init__(self, app: App, log: Log, stream: str, *, lines: int | None, raw: bool, alone: bool) -> None:
        self.app, self.log, self.stream = app, log, stream
        self.target = sys.stdout if stream == "out" or alone else sys.stderr
        self.cut = lines is None and self.target.isatty()
        """True if it is said what is left out, since nobody asked for that."""
        self.lines = FOLLOW_LINES if self.cut else ALL_LINES if lines is None else lines
        # A terminal redraws progress bars by itself; in a pipe or file only their last state is worth a line.
        self.folder = None if raw or self.target.isatty() else Folder()
        self.harmless = Harmless() if self.target.isatty() and not raw else None
        self.offset: int | None = None
        self.gone = False
        """True if there was no such log at the last look."""

    def copy(self) -> bool:
        """Everything written so far has been shown; True if there was something new."""
        try:
            if self.offset is None:
                self.offset = 0 if self.lines == ALL_LINES else logtail.start_of_last_lines(self.log, self.lines)
                if self.cut and self.offset:
                    left = f"{self.offset:,} bytes before the last {FOLLOW_LINES} lines of std{self.stream}"
                    self.app.out.talk(f"leaseq: {left} are left out; `-n all` shows them")
            before = self.offset
            for data in logtail.chunks(self.log, self.offset):
                self.offset += len(data)
                self._show(data if self.folder is None else self.folder.feed(data))
            self.gone = False
            return self.offset > before
        except FileNotFoundError:
            self.gone = True
            return False

    def end(self) -> None:
        """A last line without its newline has been shown."""
        self._show(self.folder.end() if self.folder is not None else b"", final=True)

    def _show(self, data: bytes, *, final: bool = False) -> None:
        self.target.buffer.write(self.harmless.feed(data, final=final) if self.harmless else data)
        self.target.buffer.flush()


def request(*, stdout: bool, stderr: bool, **fields: Any) -> Follow:
    """What a line asks for."""
    return Follow(streams=streams_of(stdout=stdout, stderr=stderr) or ("out", "err"), **fields)


COMMAND = Command(
    usage="[ID] [OPTIONS]",
    about="Waits for the task's start, streams its stdout and stderr, and ends when it ends, with its exit code.\n"
    "Without an id: the one task that runs. Ctrl-C ends the watching, never the task.",
    make=request,
    words=Words("task", "task", most=1),
    options=(
        LEASE,
        STDOUT,
        STDERR,
        Option(
            "tail",
            f"of what it wrote before, N lines or `all` (default all; on a terminal {FOLLOW_LINES}, and it is said "
            "what is left out)",
            short="n",
            metavar="N",
            read=lines_of,
            field="lines",
        ),
        RAW,
    ),
    examples=("leaseq follow", "leaseq follow last"),
)
