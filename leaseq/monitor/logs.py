"""The logs pane: which lines of a task's output are shown, and how."""

from __future__ import annotations

from leaseq.monitor.data import Log
from leaseq.monitor.model import Scene
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, fold, pad, part
from leaseq.reading.logtext import Line

STREAMS = {"out": "stdout", "err": "stderr", "both": "stdout+stderr"}


def logs(scene: Scene, columns: int, height: int) -> Rows:
    """The rows of the pane."""
    log = current(scene)
    if log is None:
        text = "reading …" if scene.task else "select a task to see its output"
        if scene.task and scene.task.array is not None:
            text = "an array: each index has its own output (Enter, then e, lists them)"
        return [pad([(f" {text}", "dim")], columns)]
    if not log.lines:
        return [pad([(f" {log.note or 'no output yet'}", "dim")], columns)]
    if scene.ui.follow:
        return [pad(row, columns) for row in _last_rows(scene, log, columns, height)]
    rows: Rows = []
    for line in log.lines[top_index(scene, log, height) :]:
        rows += _rows_of(scene, line, columns)
        if len(rows) >= height:
            break
    return [pad(row, columns) for row in rows[:height]]


def current(scene: Scene) -> Log | None:
    """The log that was read, if it is the selected task's."""
    log = scene.data.log
    if scene.task and scene.task.array is not None:
        return None
    return log if scene.task and log.task == scene.task.id and log.stream == scene.ui.stream else None


def top_index(scene: Scene, log: Log, height: int) -> int:
    """The index of the first line shown while the log is not followed."""
    return max(0, min(scene.ui.log_top - log.first, len(log.lines) - max(1, height)))


def shown_top(scene: Scene, log: Log, columns: int, height: int) -> int:
    """The number of the line at the pane's top now, followed or not."""
    if not scene.ui.follow:
        return log.first + top_index(scene, log, height)
    rows, count = 0, 0
    for line in reversed(log.lines):
        rows += len(_rows_of(scene, line, columns))
        if rows > height:
            break
        count += 1
    return log.first + len(log.lines) - max(1, count)


def _last_rows(scene: Scene, log: Log, columns: int, height: int) -> Rows:
    rows: Rows = []
    for line in reversed(log.lines):
        rows[:0] = _rows_of(scene, line, columns)
        if len(rows) >= height:
            break
    return rows[-height:] if height else []


def _rows_of(scene: Scene, line: Line, columns: int) -> Rows:
    spans: list[Span] = [(text, f"@{style}" if style else "") for text, style in line.spans]
    if scene.ui.log_find:
        spans = _marked(spans, scene.ui.log_find)
    gutter: list[Span] = []
    if scene.ui.stream == "both":
        gutter = [("▏", "bad") if line.stream == "err" else (" ", "")]
    room = max(1, columns - len(gutter))
    if scene.ui.wrap:
        return [gutter + row for row in fold(spans, room)]
    return [gutter + part(spans, 0, room)]


def _marked(spans: list[Span], find: str) -> list[Span]:
    text = "".join(text for text, _ in spans)
    lowered, wanted = text.lower(), find.lower()
    at = lowered.find(wanted)
    if at < 0 or len(lowered) != len(text):
        return spans
    styles = [style for piece, style in spans for _ in piece]
    while at >= 0:
        styles[at : at + len(wanted)] = ["find"] * len(wanted)
        at = lowered.find(wanted, at + len(wanted))
    return [(c, style) for c, style in zip(text, styles, strict=True)]


def matches(log: Log, find: str) -> list[int]:
    """The numbers of the lines that hold the words."""
    wanted = find.lower()
    if not wanted:
        return []
    return [log.first + n for n, line in enumerate(log.lines) if wanted in line.text.lower()]


def title(scene: Scene) -> str:
    """What the pane shows, for its frame."""
    ui, task = scene.ui, scene.task
    words = [f"{task.id[:8]} {STREAMS[ui.stream]}" if task else ""]
    log = current(scene)
    if log is not None and log.size:
        words.append(f"{reach(log)} of {size_text(log.size)}" if log.skipped else size_text(log.size))
    words.append("follow" if ui.follow else "held")
    words += ["wrap"] if ui.wrap else []
    if ui.log_find and log is not None:
        count = len(matches(log, ui.log_find))
        words.append(f"/{ui.log_find} {count} line{'s' * (count != 1)}")
    return " · ".join(word for word in words if word)


def reach(log: Log) -> str:
    """What of the output is read, if not all is."""
    return f"last {size_text(max(0, log.size - log.skipped))}"


def size_text(size: int) -> str:
    for unit, factor in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if size >= 0.9995 * factor:  # 1.0M, not 1024.0K
            return f"{size / factor:.1f}{unit}"
    return f"{size}B"
