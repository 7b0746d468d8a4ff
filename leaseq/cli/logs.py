"""`leaseq logs` and `follow`: what a task wrote, and what it writes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, extra_words
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.values import integer, yes
from leaseq.errors import NotFound, UsageError
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State
from leaseq.reading import logtail
from leaseq.reading.find import detail
from leaseq.reading.logtail import Folder
from leaseq.reading.logtext import Harmless
from leaseq.reading.snapshot import Reader, TaskView
from leaseq.reading.waiting import Advice, final_outcome, pauses, wait_code

ALL_LINES = -1
FOLLOW_LINES = 100
"""How many lines of what was written before are shown by `follow` on a terminal."""
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Logs:
    """Output of tasks, as it stands."""

    tasks: tuple[str, ...]
    lease: str
    streams: tuple[str, ...]
    lines: int
    attempt: int | None
    raw: bool
    json: bool

    def perform(self, app: App) -> int:
        found = app.find(self.tasks or ("last",), lease=self.lease)
        if self.json:
            tasks = [self._json(app, each.reader, each.row) for each in found.tasks]
            app.out.document({"lease": found.lease, "tasks": tasks, "unknown": list(found.unknown)})
            return app.tell(found.problems)
        headed = len(found.tasks) > 1 or len(self.streams) > 1
        problems: list[NotFound] = []
        for each in found.tasks:
            reader, row = each.reader, each.row
            attempt = self.attempt or shown_attempt(row)
            paths = {stream: reader.lease.log(row.id, attempt, stream) for stream in ("out", "err")}
            sizes = {stream: logtail.size(app.fs, path) for stream, path in paths.items()}
            if all(sizes[stream] is None for stream in self.streams):
                problems.append(_no_log(reader, row, attempt))
                continue
            for stream in self.streams:
                if headed:
                    print(f"==> {row.id} std{stream} <==", flush=True)
                if sizes[stream]:
                    self._copy(app, paths[stream])
            if self.streams == ("out",) and not sizes["out"] and sizes["err"]:
                app.out.talk(f"leaseq: stdout is empty; stderr has {sizes['err']} bytes (--stderr shows them)")
            elif app.out.watched and not headed and not any(sizes.values()):
                app.out.talk(f"leaseq: {row.id} has written nothing; it is {row.state.name}")
        if problems and len(found.tasks) == 1 and not found.unknown:
            raise problems[0]
        return app.tell([*problems, *found.problems])

    def _copy(self, app: App, path: str) -> None:
        offset = 0 if self.lines == ALL_LINES else logtail.start_of_last_lines(app.fs, path, self.lines)
        folder, harmless = Folder(), Harmless() if sys.stdout.isatty() and not self.raw else None
        for data in logtail.chunks(app.fs, path, offset):
            shown = data if self.raw else folder.feed(data)
            sys.stdout.buffer.write(harmless.feed(shown) if harmless else shown)
        rest = folder.end()
        sys.stdout.buffer.write(harmless.feed(rest, final=True) if harmless else rest)
        sys.stdout.buffer.flush()

    def _json(self, app: App, reader: Reader, row: TaskView) -> dict[str, object]:
        attempt = self.attempt or shown_attempt(row)
        body: dict[str, object] = {"id": row.id, "lease": reader.lease.id, "attempt": attempt, "state": row.state.name}
        for stream in self.streams:
            path = reader.lease.log(row.id, attempt, stream)
            lines = FOLLOW_LINES if self.lines == ALL_LINES else self.lines
            size = logtail.size(app.fs, path)
            text = b""
            if size:
                folder = Folder()
                for data in logtail.chunks(app.fs, path, logtail.start_of_last_lines(app.fs, path, lines)):
                    text += data if self.raw else folder.feed(data)
                text += folder.end()
            body[f"std{stream}"] = {"path": path, "bytes": size, "last_lines": text.decode("utf-8", "replace")}
        return body


def shown_attempt(row: TaskView) -> int:
    """The newest attempt that can have written anything."""
    return row.attempt - 1 if row.state is State.PENDING and row.attempt > 1 else row.attempt


def _no_log(reader: Reader, row: TaskView, attempt: int) -> NotFound:
    if row.cleaned:
        return NotFound(
            f"`leaseq clean` has removed the output of {row.id}", hint=f"`leaseq info {row.id}` tells how it ended"
        )
    if row.state is State.PENDING and row.attempt == attempt:
        why = f": {row.reason}" if row.reason else ""
        return NotFound(
            f"{row.id} has not started (PENDING{why})", hint=f"`leaseq follow {row.id}` waits for its start"
        )
    known = len(detail(reader, row.id).outcomes) or 1
    if attempt > max(known, row.attempt):
        return NotFound(f"{row.id} has no attempt {attempt}", hint=f"`leaseq info {row.id}` lists its attempts")
    reason = f" ({row.reason})" if row.reason else ""
    return NotFound(
        f"{row.id} left no output; it is {row.state.name}{reason}", hint=f"`leaseq info {row.id}` tells more"
    )


# -- follow ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Follow:
    """A task's output from now until it ends. No selector: the one task that runs."""

    task: str
    lease: str
    streams: tuple[str, ...]
    lines: int | None
    """Of what was written before; None where nothing was said: all of it, but on a terminal the end."""
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
            return EXIT_INTERRUPTED
        if outcome.state is not State.DONE:
            from leaseq.cli.wait import verdict

            app.out.talk(f"leaseq: {verdict(outcome)}")
        return wait_code(outcome)

    def _chosen(self, app: App) -> tuple[Reader, TaskView]:
        if self.task:
            found = app.find((self.task,), lease=self.lease).tasks
            if len(found) > 1:
                raise UsageError("only one task can be followed", hint="`leaseq wait` waits for several")
            if found[0].row.cleaned:
                raise _no_log(found[0].reader, found[0].row, found[0].row.attempt)
            return found[0].reader, found[0].row
        reader = app.reader(self.lease)
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
        advice = Advice(reader, last_look=now)
        sources = self._sources(app, reader.lease, row.id, attempt, lines=self.lines)
        pause = pauses(app.fs)
        while True:
            # The outcome first: what was written before it is all there when it is read afterwards.
            newest, outcome = final_outcome(app.fs, reader.lease, row.id, attempt)
            news = [source.copy() for source in sources]
            if outcome is not None or newest != attempt:
                for source in sources:
                    source.end()
            if outcome is not None and newest == attempt:
                return outcome
            if newest != attempt:
                app.out.talk(f"leaseq: attempt {attempt} of {row.id} has failed; attempt {attempt + 1} follows")
                attempt += 1
                sources = self._sources(app, reader.lease, row.id, attempt, lines=ALL_LINES)
                continue
            if any(news):
                pause = pauses(app.fs)
            elif text := advice.look(row.id, time.monotonic()):
                app.out.talk(f"leaseq: {text}")
            time.sleep(next(pause))

    def _sources(self, app: App, lease: LeaseDir, task_id: str, attempt: int, *, lines: int | None) -> list[Source]:
        return [
            Source(
                app,
                lease.log(task_id, attempt, stream),
                stream,
                lines=lines,
                raw=self.raw,
                alone=len(self.streams) == 1,
            )
            for stream in self.streams
        ]


class Source:
    """One growing log file and where its bytes go: stdout to stdout, stderr to stderr unless it is shown alone."""

    def __init__(self, app: App, path: str, stream: str, *, lines: int | None, raw: bool, alone: bool) -> None:
        self.app, self.path, self.stream = app, path, stream
        self.target = sys.stdout if stream == "out" or alone else sys.stderr
        self.cut = lines is None and self.target.isatty()
        """True where what is left out is told: nobody asked for it."""
        self.lines = FOLLOW_LINES if self.cut else ALL_LINES if lines is None else lines
        # A terminal redraws progress bars by itself; in a pipe or file only their last state is worth a line.
        self.folder = None if raw or self.target.isatty() else Folder()
        self.harmless = Harmless() if self.target.isatty() and not raw else None
        self.offset: int | None = None

    def copy(self) -> bool:
        """Everything written so far has been shown; True where there was something new."""
        try:
            if self.offset is None:
                fs = self.app.fs
                self.offset = 0 if self.lines == ALL_LINES else logtail.start_of_last_lines(fs, self.path, self.lines)
                if self.cut and self.offset:
                    left = f"{self.offset:,} bytes before the last {FOLLOW_LINES} lines of std{self.stream}"
                    self.app.out.talk(f"leaseq: {left} are left out; `-n all` shows them")
            before = self.offset
            for data in logtail.chunks(self.app.fs, self.path, self.offset):
                self.offset += len(data)
                self._show(data if self.folder is None else self.folder.feed(data))
            return self.offset > before
        except FileNotFoundError:
            return False

    def end(self) -> None:
        """A last line without its newline has been shown."""
        self._show(self.folder.end() if self.folder is not None else b"", final=True)

    def _show(self, data: bytes, *, final: bool = False) -> None:
        self.target.buffer.write(self.harmless.feed(data, final=final) if self.harmless else data)
        self.target.buffer.flush()


# -- the command line ------------------------------------------------------------------------------


class Reading:
    """Fire's component of `logs` and `follow`."""

    def logs(
        self,
        *words: str,
        lease: str = "",
        stderr: str = "",
        stdout: str = "",
        both: str = "",
        tail: str = "",
        attempt: str = "",
        raw: str = "",
        follow: str = "",
        json: str = "",
    ) -> Logs | Follow:
        if yes(follow, what="--follow"):
            if yes(json, what="--json") or attempt:
                raise UsageError("--follow goes with neither --json nor --attempt")
            return self.follow(*words, lease=lease, stderr=stderr, stdout=stdout, tail=tail, raw=raw)
        streams = _streams(stdout, stderr) or ("out",)
        return Logs(
            tasks=words,
            lease=lease,
            streams=("out", "err") if yes(both, what="--both") else streams,
            lines=_lines(tail, default=ALL_LINES),
            attempt=integer(attempt, what="--attempt", low=1, high=999_999) if attempt else None,
            raw=yes(raw, what="--raw"),
            json=yes(json, what="--json"),
        )

    def follow(
        self, *words: str, lease: str = "", stderr: str = "", stdout: str = "", tail: str = "", raw: str = ""
    ) -> Follow:
        extra_words(words[1:], usage="follow [ID]")
        return Follow(
            task=words[0] if words else "",
            lease=lease,
            streams=_streams(stdout, stderr) or ("out", "err"),
            lines=_lines(tail, default=ALL_LINES) if tail else None,
            raw=yes(raw, what="--raw"),
        )


def _streams(stdout: str, stderr: str) -> tuple[str, ...]:
    chosen = (("out", yes(stdout, what="--stdout")), ("err", yes(stderr, what="--stderr")))
    return tuple(stream for stream, wanted in chosen if wanted)


def _lines(tail: str, *, default: int) -> int:
    if not tail:
        return default
    return ALL_LINES if tail == "all" else integer(tail, what="--tail", low=0)


_STDOUT = Option("stdout", "what it wrote to stdout", kind="flag", short="o")
_STDERR = Option("stderr", "what it wrote to stderr", kind="flag", short="e")
_RAW = Option("raw", "every byte, what acts on a terminal too; progress bars are not folded", kind="flag")

COMMANDS = {
    "logs": Command(
        Reading,
        "logs",
        "[ID...] [OPTIONS]",
        "Shows what a task wrote to stdout (the newest task's, where no id is given).",
        (
            LEASE,
            _STDOUT,
            _STDERR,
            Option("both", "stdout, then stderr", kind="flag", short="b"),
            Option("tail", "the last N lines only", short="n", metavar="N"),
            Option("attempt", "of attempt K (default: the last)", short="k", metavar="K"),
            _RAW,
            Option("follow", "the same as `leaseq follow`", kind="flag", short="f"),
            JSON,
        ),
        ("leaseq logs last --tail 20", "leaseq logs T0c4 --stderr"),
    ),
    "follow": Command(
        Reading,
        "follow",
        "[ID] [OPTIONS]",
        "Waits for the task's start, streams its stdout and stderr, and ends when it ends, with its exit code.\n"
        "Without an id: the one task that runs. Ctrl-C ends the watching, never the task.",
        (
            LEASE,
            _STDOUT,
            _STDERR,
            Option(
                "tail",
                f"of what it wrote before, N lines or `all` (default all; on a terminal {FOLLOW_LINES}, and it is said "
                "what is left out)",
                short="n",
                metavar="N",
            ),
            _RAW,
        ),
        ("leaseq follow", "leaseq follow last"),
    ),
}
