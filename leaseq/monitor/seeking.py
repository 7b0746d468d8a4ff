"""Going to a line of an output: to one that has words, to an error, to the error of a task that failed. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from leaseq.dataclass import replace
from leaseq.monitor.data import Log, Seek, Sought, known_by
from leaseq.monitor.logs import current, shown_index, size_text
from leaseq.monitor.model import FAILURES, Message, Scene, Ui, say
from leaseq.reading.last_error import is_error, weight

TOLD_LINES = 2000
"""In so many lines of its end the error of a failed task is looked for."""
NEAR_LINES = 5000
"""So many lines are looked at between two frames; farther ones are the reader's to find."""


def seek(scene: Scene, *, text: str, back: bool, columns: int, height: int) -> Ui:
    """The next line that says it, or the one before, is being looked for; without a text, that tells of an error."""
    log = current(scene)
    if log is None or not log.lines:
        return say(scene.ui, "it has written nothing yet", "dim")
    return replace(scene.ui, seek=Seek(_start(scene, log, columns, height, back=back), back, text))


def _start(scene: Scene, log: Log, columns: int, height: int, *, back: bool) -> int:
    """The line that was found last, if it is in sight; else what is shown."""
    if scene.ui.follow and scene.ui.log_mark is None:
        return log.lines[-1].at + 1
    first = shown_index(scene, log, columns, height)
    shown = log.lines[first : first + max(1, height)]
    mark = scene.ui.log_mark
    if mark is not None and shown and shown[0].at <= mark <= shown[-1].at:
        return mark
    return shown[-1].at + 1 if back else shown[0].at - 1


def resolved(scene: Scene, height: int) -> Scene:
    """The scene with what was looked for in sight, once it is known where that is."""
    log = current(scene)
    if log is None:
        return scene
    if scene.ui.seek is not None:
        return replace(scene, ui=_sought(scene.ui, log, height))
    return replace(scene, ui=_opened(scene, log, height))


def _sought(ui: Ui, log: Log, height: int) -> Ui:
    assert ui.seek is not None
    seek = ui.seek
    begun = log.sought if log.sought is not None and log.sought.seek == seek else None
    found = known_by(log.index, seek) or begun or _among_held(log, seek)
    if found is None or not found.done:
        come = found.come if found else 0
        if not come and seek.text and log.index.text == seek.text:
            come = log.whole - log.index.begin
        how_far = f" {size_text(come)} of {size_text(log.size)}" if come else ""
        return replace(ui, message=Message(f"searching…{how_far}  Esc stops", "dim"))
    ui = replace(ui, seek=None, message=None)
    if found.at is None:
        return say(ui, f"no line has {seek.text}" if seek.text else "no line tells of an error", "warn")
    if found.wrapped:
        ui = say(ui, "round from the end" if seek.back else "round from the top", "dim")
    return shown_at(ui, log, found.at, height // 3)


def shown_at(ui: Ui, log: Log, at: int, lift: int) -> Ui:
    """The line is marked, so many lines below the pane's top."""
    whole = log.whole if ui.follow else ui.log_whole
    return replace(ui, follow=False, log_top=at, log_lift=lift, log_mark=at, log_whole=whole)


def _among_held(log: Log, seek: Seek) -> Sought | None:
    """The nearest such line of those that are read, if none that is not read can be nearer."""
    if seek.back:
        if seek.start > log.end and not log.live:
            return None
        lines = log.lines[: bisect_left(log.lines, seek.start, key=lambda line: line.at)][::-1]
    else:
        if seek.start < log.begin:
            return None
        lines = log.lines[bisect_right(log.lines, seek.start, key=lambda line: line.at) :]
    wanted = seek.text.lower()
    for line in lines[:NEAR_LINES]:
        if wanted in line.text.lower() if wanted else is_error(line.text):
            return Sought(seek, line.at, done=True)
    return None


def _opened(scene: Scene, log: Log, height: int) -> Ui:
    """Of a task that failed, its last error is in sight when its output is opened."""
    ui, task = scene.ui, scene.task
    assert task is not None
    if task.state not in FAILURES or ui.opened == (task.id, log.attempt):
        return ui
    ui = replace(ui, opened=(task.id, log.attempt))
    if not ui.follow or not log.live:
        return ui
    lines = log.lines[-TOLD_LINES:]
    weights = [weight(line.text) for line in lines]
    best = max(weights, default=0)
    if not best:
        return ui
    place = len(weights) - 1 - weights[::-1].index(best)
    if len(lines) - place <= height:
        return replace(ui, log_mark=lines[place].at)
    return shown_at(ui, log, lines[place].at, height * 2 // 3)
