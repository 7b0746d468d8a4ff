"""The logs pane: which lines of a task's output are shown, and how."""

from __future__ import annotations

import time
from bisect import bisect_left

from leaseq.monitor.data import Log
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.pane import Pane
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, fold, pad, part, short_id, width
from leaseq.monitor.wants import shown_attempt
from leaseq.reading.logtext import Line

STREAMS = {"out": "stdout", "err": "stderr", "both": "both"}


def logs(scene: Scene, columns: int, height: int) -> Rows:
    """The rows of the pane."""
    log = current(scene)
    if log is None:
        coming = scene.task or (scene.ui.view and scene.ui.task)
        text = "reading …" if coming else "select a task to see its output"
        if scene.ui.view and not scene.ui.task:
            text = "a cell of several: Enter divides it" if scene.ui.view.pane is Pane.GRID else "nothing is selected"
        if scene.task and scene.task.array is not None:
            text = "an array: each index has its own output (Enter, then e, lists them)"
        return [pad([(f" {text}", "dim")], columns)]
    if not log.lines:
        return [pad([(f" {nothing(scene, log)}", "dim")], columns)]
    if scene.ui.follow:
        return [pad(row, columns) for row in _last_rows(scene, log, columns, height)]
    rows: Rows = []
    for line in log.lines[top_index(scene, log, height) :]:
        rows += _rows_of(scene, log, line, columns)
        if len(rows) >= height:
            break
    return [pad(row, columns) for row in rows[:height]]


def nothing(scene: Scene, log: Log) -> str:
    """Why there is no line to be seen."""
    where = "" if log.stream == "both" else f" to {STREAMS[log.stream]}"
    hint = ": e shows the other stream" if where else ""
    if scene.task and scene.task.state.ended:
        return f"it wrote nothing{where}{hint}"
    return f"{log.note or 'nothing written yet'}{where}{hint}"


def current(scene: Scene) -> Log | None:
    """The log that was read, if it is the selected task's."""
    log, task = scene.data.log, scene.task
    if task is None or task.array is not None:
        return None
    same = (log.task, log.attempt, log.stream) == (task.id, shown_attempt(scene), scene.ui.stream)
    return log if same else None


def top_index(scene: Scene, log: Log, height: int) -> int:
    """The index of the first line shown while the log is not followed."""
    place = bisect_left(log.lines, scene.ui.log_top, key=lambda line: line.at) - scene.ui.log_lift
    return max(0, min(place, len(log.lines) - max(1, height)))


def shown_index(scene: Scene, log: Log, columns: int, height: int) -> int:
    """The index of the line at the pane's top now, followed or not."""
    if not scene.ui.follow:
        return top_index(scene, log, height)
    rows, count = 0, 0
    for line in reversed(log.lines):
        rows += len(_rows_of(scene, log, line, columns))
        if rows > height:
            break
        count += 1
    return len(log.lines) - max(1, count)


def _last_rows(scene: Scene, log: Log, columns: int, height: int) -> Rows:
    rows: Rows = []
    for line in reversed(log.lines):
        rows[:0] = _rows_of(scene, log, line, columns)
        if len(rows) >= height:
            break
    return rows[-height:] if height else []


def _rows_of(scene: Scene, log: Log, line: Line, columns: int) -> Rows:
    spans: list[Span] = [(text, f"@{style}" if style else "") for text, style in line.spans]
    if scene.ui.log_find:
        spans = _marked(spans, scene.ui.log_find)
    gutter: list[Span] = [("▏", "bad") if line.stream == "err" and log.stream == "both" else (" ", "")]
    if line.at == scene.ui.log_mark:
        gutter = [("▸", "focus")]
    if scene.ui.times:
        clock = time.strftime("%H:%M:%S", time.localtime(line.came)) if line.came else ""
        gutter.append((f"{clock:<9}", "dim"))
    room = max(1, columns - width(gutter))
    rows = [gutter + row for row in fold(spans, room)] if scene.ui.wrap else [gutter + part(spans, 0, room)]
    if line.at in log.parts:
        rows.insert(0, [(f"── {STREAMS[line.stream]} ", "dim"), ("─" * max(0, columns - 11), "dim")])
    return rows


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
    """Where the lines begin that hold the words, of those that are read."""
    wanted = find.lower()
    return [line.at for line in log.lines if wanted in line.text.lower()] if wanted else []


def title(scene: Scene, columns: int = 0, height: int = 0) -> str:
    """What the pane shows, for its frame."""
    ui, task, log = scene.ui, scene.task, current(scene)
    words = [short_id(task.id) if task else "", "" if ui.stream == "both" else STREAMS[ui.stream]]
    if task and task.attempt > 1:
        words.append(f"attempt {shown_attempt(scene)} of {task.attempt}")
    words.append("follow" if ui.follow else "*paused*")
    if log is not None and log.lines:
        words += _place(scene, log, columns, height)
    words += [found_words(ui, log)] if ui.log_find and log is not None else []
    words += ["wrap"] if ui.wrap else []
    return " · ".join(word for word in words if word)


def _place(scene: Scene, log: Log, columns: int, height: int) -> list[str]:
    """How large the output is, where in it the pane is, and what has come since it is not followed."""
    if scene.ui.follow or not height:
        return [size_text(log.size)]
    at = log.lines[shown_index(scene, log, columns, height)].at
    words = [f"{at * 100 // max(1, log.whole)} % of {size_text(log.size)}"]
    whole = scene.ui.log_whole
    if log.whole > whole > 0:
        count = len(log.lines) - bisect_left(log.lines, whole, key=lambda line: line.at)
        exact = log.live and log.begin <= whole
        words.append(f"{count:,} new below" if exact else f"{size_text(log.whole - whole)} new below")
    return words


def found_words(ui: Ui, log: Log) -> str:
    """What is looked for, and how many lines have it; which of them is marked, if all are counted."""
    index = log.index
    if index.text != ui.log_find:
        return f"/{ui.log_find}"
    if index.begin:
        return f"/{ui.log_find} {len(index.offsets):,}+"
    if ui.log_mark is not None and ui.log_mark in index.offsets:
        return f"/{ui.log_find} {bisect_left(index.offsets, ui.log_mark) + 1:,}/{len(index.offsets):,}"
    return f"/{ui.log_find} {len(index.offsets):,} line{'s' * (len(index.offsets) != 1)}"


def size_text(size: int) -> str:
    for unit, factor in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if size >= 0.9995 * factor:  # 1.0M, not 1024.0K
            return f"{size / factor:.1f}{unit}"
    return f"{size}B"
