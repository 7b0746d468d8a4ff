"""`leaseq logs`: what tasks have written."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.follow import Follow
from leaseq.cli.follow import Line as Following
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.streams import ALL_LINES, FOLLOW_LINES, RAW, STDERR, STDOUT, lines_of, no_log, streams_of
from leaseq.cli.values import integer, yes
from leaseq.errors import NotFound, UsageError
from leaseq.models import State
from leaseq.reading import logtail
from leaseq.reading.logtail import Folder
from leaseq.reading.logtext import Harmless
from leaseq.reading.snapshot import Reader, TaskView


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
        found = app.access.find(self.tasks or ("last",), lease=self.lease)
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
                problems.append(no_log(reader, row, attempt))
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


class Line:
    """Fire's component of `logs`."""

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
            return Following().follow(*words, lease=lease, stderr=stderr, stdout=stdout, tail=tail, raw=raw)
        streams = streams_of(stdout, stderr) or ("out",)
        return Logs(
            tasks=words,
            lease=lease,
            streams=("out", "err") if yes(both, what="--both") else streams,
            lines=lines_of(tail, default=ALL_LINES),
            attempt=integer(attempt, what="--attempt", low=1, high=999_999) if attempt else None,
            raw=yes(raw, what="--raw"),
            json=yes(json, what="--json"),
        )


COMMANDS = {
    "logs": Command(
        Line,
        "logs",
        "[ID...] [OPTIONS]",
        "Shows what a task wrote to stdout (the newest task's, where no id is given).",
        (
            LEASE,
            STDOUT,
            STDERR,
            Option("both", "stdout, then stderr", kind="flag", short="b"),
            Option("tail", "the last N lines only", short="n", metavar="N"),
            Option("attempt", "of attempt K (default: the last)", short="k", metavar="K"),
            RAW,
            Option("follow", "the same as `leaseq follow`", kind="flag", short="f"),
            JSON,
        ),
        ("leaseq logs last --tail 20", "leaseq logs T0c4 --stderr"),
    ),
}
