"""`leaseq logs`: what tasks have written."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Request, Words
from leaseq.cli.follow import COMMAND as COMMAND_FOLLOW
from leaseq.cli.follow import request as follow_request
from leaseq.cli.options import JSON, LEASE, OF_GROUP, by_group
from leaseq.cli.streams import ALL_LINES, FOLLOW_LINES, RAW, STDERR, STDOUT, lines_of, no_log, of_indices, streams_of
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound
from leaseq.lease.lookup import BEGUN, How
from leaseq.models import State
from leaseq.reading import logtail
from leaseq.reading.logtail import Folder
from leaseq.reading.logtext import Harmless
from leaseq.reading.output import Log, log_of
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.values import integer


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
        found = app.access.find(self.tasks or ("last",), lease=self.lease, indices=How.EACH, of=BEGUN)
        for each in found.tasks:
            if each.row.array is not None:
                raise of_indices(each.row, "logs")
        if self.json:
            tasks = [self._json(each.reader, each.row) for each in found.tasks]
            app.out.document({"lease": found.lease, "tasks": tasks, "unknown": list(found.unknown)})
            return app.tell(found.problems)
        headed = len(found.tasks) > 1 or len(self.streams) > 1
        problems: list[NotFound] = []
        for each in found.tasks:
            reader, row = each.reader, each.row
            attempt = self.attempt or shown_attempt(row)
            logs = {stream: log_of(reader, row.id, attempt, stream) for stream in ("out", "err")}
            sizes = {stream: logtail.size(log) for stream, log in logs.items()}
            if all(sizes[stream] is None for stream in self.streams):
                problems.append(no_log(reader, row, attempt))
                continue
            for stream in self.streams:
                if headed:
                    print(f"==> {row.id} std{stream} <==", flush=True)
                if sizes[stream]:
                    self._copy(logs[stream])
            (chosen, other) = ("out", "err") if self.streams == ("out",) else ("err", "out")
            if self.streams == (chosen,) and not sizes[chosen] and sizes[other]:
                how = "--stderr shows" if other == "err" else "without --stderr it shows"
                app.out.talk(f"leaseq: std{chosen} is empty; std{other} has {sizes[other]:,} bytes ({how} them)")
            elif app.out.watched and not headed and not any(sizes.values()):
                app.out.talk(f"leaseq: {row.id} has written nothing; it is {row.state.name}")
        if problems and len(found.tasks) == 1 and not found.unknown:
            raise problems[0]
        return app.tell([*problems, *found.problems])

    def _copy(self, log: Log) -> None:
        offset = 0 if self.lines == ALL_LINES else logtail.start_of_last_lines(log, self.lines)
        folder, harmless = Folder(), Harmless() if sys.stdout.isatty() and not self.raw else None
        for data in logtail.chunks(log, offset):
            shown = data if self.raw else folder.feed(data)
            sys.stdout.buffer.write(harmless.feed(shown) if harmless else shown)
        rest = folder.end()
        sys.stdout.buffer.write(harmless.feed(rest, final=True) if harmless else rest)
        sys.stdout.buffer.flush()

    def _json(self, reader: Reader, row: TaskView) -> dict[str, object]:
        attempt = self.attempt or shown_attempt(row)
        body: dict[str, object] = {"id": row.id, "lease": reader.lease.id, "attempt": attempt, "state": row.state.name}
        for stream in self.streams:
            log = log_of(reader, row.id, attempt, stream)
            lines = FOLLOW_LINES if self.lines == ALL_LINES else self.lines
            size = logtail.size(log)
            text = b""
            if size:
                folder = Folder()
                for data in logtail.chunks(log, logtail.start_of_last_lines(log, lines)):
                    text += data if self.raw else folder.feed(data)
                text += folder.end()
            shown = text.decode("utf-8", "replace")
            body[f"std{stream}"] = {"path": log.path, "offset": log.offset, "bytes": size, "last_lines": shown}
        return body


def shown_attempt(row: TaskView) -> int:
    """The newest attempt that can have written anything."""
    return row.attempt - 1 if row.state is State.PENDING and row.attempt > 1 else row.attempt


def _request(
    *,
    tasks: tuple[str, ...],
    stdout: bool,
    stderr: bool,
    both: bool,
    attempt: int | None,
    follow: bool,
    lines: int | None,
    json: bool,
    **fields: Any,
) -> Request:
    if follow:
        COMMAND_FOLLOW.words.value(tasks, usage="leaseq follow [ID] [OPTIONS]")
        return follow_request(task="".join(tasks), stdout=stdout, stderr=stderr, lines=lines, **fields)
    streams = ("out", "err") if both else streams_of(stdout=stdout, stderr=stderr) or ("out",)
    shown = ALL_LINES if lines is None else lines
    return Logs(tasks=tasks, streams=streams, lines=shown, attempt=attempt, json=json, **fields)


COMMAND = Command(
    usage="[ID...] [OPTIONS]",
    about="Shows what a task wrote to stdout (the newest task's, if no id is given).",
    make=by_group(_request),
    words=Words("tasks", "task"),
    options=(
        LEASE,
        OF_GROUP,
        STDOUT,
        STDERR,
        Option("both", "stdout, then stderr", kind="flag", short="b"),
        Option("tail", "the last N lines only", short="n", metavar="N", read=lines_of, field="lines"),
        Option(
            "attempt",
            "of attempt K (default: the last)",
            short="k",
            metavar="K",
            read=partial(integer, low=1, high=999_999),
        ),
        RAW,
        Option("follow", "the same as `leaseq follow`", kind="flag", short="f", against=("json", "attempt")),
        JSON,
    ),
    examples=("leaseq logs last --tail 20", "leaseq logs T0c4 --stderr"),
)
