"""The lists: leases, nodes with their GPUs, tasks. Each gives rows of styled spans for the room it has."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.heartbeat import Heartbeat
from leaseq.lease.view import LeaseView
from leaseq.models import State
from leaseq.monitor import gpus
from leaseq.monitor.apart import apart
from leaseq.monitor.filters import Filter, trouble
from leaseq.monitor.gpus import MARK, any_marked, idle_code
from leaseq.monitor.model import Scene, Sort, gpu_count
from leaseq.monitor.pane import Pane
from leaseq.monitor.text import Span, fit, pad, restyle, short, tail, wrap
from leaseq.monitor.theme import (
    HEALTH_STYLES,
    STATE_STYLES,
    age,
    health_glyph,
    state_glyph,
    waited,
)
from leaseq.reading.merge import QUEUED
from leaseq.reading.views import Health, NodeView, TaskView, duration
from leaseq.widths import cells
from leaseq.words import about, filled, reason_code, visible

Rows = list[list[Span]]
EXIT_COLUMNS = 40
"""Beside an error in fewer columns than these no exit code is shown."""

LEASE_GLYPHS = {"RUNNING": ("●*", "good"), "PENDING": ("○o", "wait"), "ENDED": ("✓+", "dim")}
CANCELLED_GLYPH = ("⊘-", "dim")
LISTED = 300
"""By so many of the listed tasks it is decided which columns there are."""
BAR_COLUMNS, BAR_FROM = 10, 40
"""How wide the bar of an array is, and from how wide a cell on there is one."""
FILTER_HINTS = {
    Filter.STUCK: "nothing is stuck",
    Filter.FAILED: "nothing went wrong",
    Filter.CANCELLED: "nothing was cancelled",
    Filter.RUNNING: "nothing runs",
    Filter.PENDING: "nothing waits",
    Filter.DONE: "nothing is done yet",
}


def line(spans: list[Span], columns: int, *, selected: bool, focused: bool) -> list[Span]:
    """The row as wide as its pane, and shown as selected."""
    row = pad(spans, columns)
    if not selected:
        return row
    if focused:
        return restyle(row, "selected")
    return [(text, "chosen" if style in ("", "dim") else style) for text, style in row]


# -- leases ------------------------------------------------------------------------------------------


def leases(scene: Scene, columns: int, height: int) -> Rows:
    rows = scene.data.leases.rows
    if not rows:
        text = "no lease yet" if scene.data.leases.at is not None else "reading …"
        return [pad([(f" {text}", "dim")], columns)]
    focused = scene.ui.focus is Pane.LEASES
    return [
        line(_lease(scene, row, columns), columns, selected=row is scene.lease, focused=focused)
        for row in leases_shown(scene, height)
    ]


def leases_shown(scene: Scene, height: int) -> tuple[LeaseView, ...]:
    """The leases in so many lines: that which is looked at is among them, however far the list has been scrolled."""
    top = scene.ui.tops.get(Pane.LEASES, 0)
    shown, watched = scene.data.leases.rows[top : top + height], scene.watched
    if watched is None or watched in shown or height < 2:
        return shown
    return (watched, *shown[1:]) if shown[0] is not scene.lease else (*shown[:-1], watched)


def _lease(scene: Scene, row: LeaseView, columns: int) -> list[Span]:
    glyph, style = LEASE_GLYPHS.get(row.word, ("··", "dim"))
    if row.word == "ENDED" and row.reason.startswith("CANCELLED"):
        glyph, style = CANCELLED_GLYPH
    watched = row.id == scene.data.lease_id
    left = row.left_seconds
    if left is not None and scene.data.leases.at is not None:
        left = max(0.0, left - (scene.now - scene.data.leases.at))
    if row.word == "RUNNING":
        end = duration(left) if left is not None else ""
    else:
        end = short(row.reason, 12) or {"PENDING": "queued", "ENDED": "ended"}.get(row.word, "?")
    name = f"{row.id} {row.name}".rstrip()
    mark = ("▸", "focus") if watched else (" ", "")
    room = columns - 4 - cells(end)
    named = fit(visible(name), max(4, room))
    return [mark, (glyph[scene.ui.ascii], style), (f" {named} ", "bold" if watched else ""), (end, "dim")]


# -- nodes -------------------------------------------------------------------------------------------


def nodes(scene: Scene, columns: int, height: int) -> Rows:
    if not scene.nodes:
        text = "no node has reported" if scene.data.lease.snapshot else "reading …"
        return [pad([(f" {text}", "dim")], columns)]
    strips = strips_fit(scene, height)
    top = 0 if strips else scene.ui.tops.get(Pane.NODES, 0)
    focused = scene.ui.focus is Pane.NODES
    widest = max(cells(view.node) for view in scene.nodes)
    rows: Rows = []
    for view in scene.nodes[top : top + height]:
        rows.append(line(_node(scene, view, columns, widest), columns, selected=view is scene.node, focused=focused))
        if strips and view.heartbeat:
            rows += [pad(gpus.row(scene, view, use, columns), columns) for use in view.heartbeat.gpu_use]
    return rows[:height]


def strips_fit(scene: Scene, height: int) -> bool:
    """True if each GPU of each node has room for a line of its own."""
    wanted = sum(1 + (len(view.heartbeat.gpu_use) if view.heartbeat else 0) for view in scene.nodes)
    return wanted <= height


def node_at(scene: Scene, height: int, row: int) -> NodeView | None:
    """The node shown in that row of the pane."""
    if not strips_fit(scene, height):
        place = scene.ui.tops.get(Pane.NODES, 0) + row
        return scene.nodes[place] if place < len(scene.nodes) else None
    for view in scene.nodes:
        row -= 1 + (len(view.heartbeat.gpu_use) if view.heartbeat else 0)
        if row < 0:
            return view
    return None


def node_age(scene: Scene, view: NodeView) -> float | None:
    """How long its runner has been silent."""
    return None if view.age_seconds is None else view.age_seconds + (scene.snapshot_age or 0.0)


def _node(scene: Scene, view: NodeView, columns: int, widest: int) -> list[Span]:
    style = HEALTH_STYLES[view.health]
    glyph = health_glyph(view.health, ascii_only=scene.ui.ascii)
    silent = node_age(scene, view)
    beat = view.heartbeat
    if view.health is Health.OK and beat:
        state, booked = view.takes_nothing, _booked(beat)
    else:
        state, booked = view.health.value, "" if silent is None else age(silent)
    marked = MARK if beat and view.health.serving and any_marked(beat) else ""
    booked += marked
    middle = state or (gpus.meter(beat) if beat and view.health.serving else "")
    room = columns - 3 - cells(booked) - 1 - (cells(middle) + 1 if middle else 0)
    name = fit(tail(view.node, min(widest, max(4, room))), min(widest, max(4, room)))
    used = 3 + cells(name)
    between = fit(f" {middle}" if middle else "", max(0, columns - used - cells(booked) - 1))
    return [
        (" ", ""),
        (glyph, style),
        (f" {name}", ""),
        (between, style if state else ""),
        (f" {booked}", "warn" if marked else "dim" if view.health.serving else style),
    ]


def _booked(beat: Heartbeat) -> str:
    """Booked of what there is: GPUs if there are any, else CPUs."""
    if beat.gpus:
        return f"{len(beat.gpus) - len(beat.free_gpus)}/{len(beat.gpus)}G"
    return f"{beat.cpus - beat.free_cpus}/{beat.cpus}C"


# -- tasks -------------------------------------------------------------------------------------------


def columns_of(scene: Scene, columns: int) -> list[tuple[Sort, str, int, bool]]:
    """(sort, title, width, right-aligned) of the task list's columns; the command takes what is left.

    No column stands there for nothing: GPUs only if a task has or needs one, nodes only if there are several.
    """
    wide = columns >= 76
    listed = scene.tasks[:LISTED]
    names = {row.node for row in listed if row.node and row.node != "_any"}
    node = min(max([4, *map(cells, names)]), 16 if wide else 8)
    named = (Sort.STATE, "STATE" if wide else "ST", 11 if wide else 4, False)
    found = [named, (Sort.ID, "ID", 12 if wide else 8, False)]
    if columns >= 44:
        if any(map(gpu_count, listed)):
            found.append((Sort.GPUS, "GPU", 3, True))
        if len(names) > 1 or len(scene.nodes) > 1:
            found.append((Sort.NODE, "NODE", node, False))
    if columns >= 30:
        found.append((Sort.TIME, "TIME", 10 if wide else 8, True))
    used = sum(width + 1 for _, _, width, _ in found) + 1
    return [*found, (Sort.COMMAND, "COMMAND", max(0, columns - used), False)]


def has_header(height: int) -> bool:
    return height >= 5


def has_more_line(height: int) -> bool:
    """True if so many lines of tasks have one to spare for what is not in the list."""
    return height >= 4


def tasks(scene: Scene, columns: int, height: int) -> Rows:
    if scene.data.lease.snapshot is None:
        return [pad([(f" {scene.data.lease.failure or 'reading …'}", "dim")], columns)]
    table = columns_of(scene, columns)
    rows: Rows = []
    if has_header(height):
        rows.append(_header(scene, table, columns))
        height -= 1
    if not scene.tasks:
        lines = [part for text in _nothing(scene) for part in wrap(text, columns - 2)]
        return rows + [pad([(f" {text}", "dim")], columns) for text in lines][:height]
    top = scene.ui.tops.get(Pane.TASKS, 0)
    more = scene.more if has_more_line(height) else ""
    shown = scene.tasks[top : top + height - bool(more)]
    focused = scene.ui.focus is Pane.TASKS
    room = table[-1][2]
    before = sorted(cells(_before(scene, task, room)) for task in shown)
    # Most have so much room for their command; an error of a few takes it from theirs alone.
    said = apart({task.id: task.command for task in shown}, room - before[len(before) * 3 // 4] if before else room)
    for task in shown:
        task_said = replace(task, command=said[task.id])
        rows.append(line(_task(scene, task_said, table), columns, selected=task is scene.task, focused=focused))
    if more:
        rows.append(pad([(short(f" {more}", columns), "dim")], columns))
    return rows


def _header(scene: Scene, table: list[tuple[Sort, str, int, bool]], columns: int) -> list[Span]:
    arrow = "▾"
    spans: list[Span] = [(" ", "")]
    for sort, title, width, right in table:
        chosen = sort is scene.ui.sort
        text = fit(title + arrow if chosen else title, width, right=right, more="")
        spans += [(text, "bold" if chosen else "dim"), (" ", "")]
    return pad(spans, columns)


def _nothing(scene: Scene) -> list[str]:
    ui = scene.ui
    if ui.text or ui.only_node:
        what = " ".join(filter(None, [f"/{ui.text}" if ui.text else "", f"on {ui.only_node}" if ui.only_node else ""]))
        if said := trouble(ui.text, now=scene.wall):
            return [said, "Esc shows all again"]
        more = [scene.more] if scene.more else []
        return [f"no task {'read so far ' if more else ''}matches {what}", *more, "Esc shows all again"]
    if ui.filter in FILTER_HINTS:
        return [FILTER_HINTS[ui.filter]]
    row = scene.watched
    if row is not None and row.word == "ENDED":
        return ["no task was here, and the lease has ended"]
    named = f" --lease {row.id}" if row is not None and row.is_borrowed else ""
    first = "in a shell:" if ui.readonly else "a submits one, or in a shell:"
    return ["no task yet", "", first, f"leaseq submit{named} -- python train.py"]


def _task(scene: Scene, task: TaskView, table: list[tuple[Sort, str, int, bool]]) -> list[Span]:
    marked = task.id in scene.ui.marks
    spans: list[Span] = [("•", "mark") if marked else (" ", "")]
    for sort, _, width, right in table:
        text, style = _cell(scene, task, sort, width)
        spans += [(fit(text, width, right=right), style), (" ", "")]
    return spans


def _cell(scene: Scene, task: TaskView, sort: Sort, width: int) -> Span:
    style = STATE_STYLES[task.state]
    if sort is Sort.STATE:
        glyph = state_glyph(task.state, ascii_only=scene.ui.ascii)
        return (f"{glyph} {task.state.name}" if width > 4 else f"{glyph}{task.state.code}"), style
    if sort is Sort.ID:
        return task.id[:width], ""
    if sort is Sort.GPUS:
        count = gpu_count(task)
        return ("all" if count < 0 else f"{count}G" if count else ""), ""
    if sort is Sort.NODE:
        return "" if task.node == "_any" else tail(visible(task.node), width), ""
    if sort is Sort.TIME and task.state is State.PENDING:
        return waited(scene.elapsed(task)), "dim"
    if sort is Sort.TIME:
        return duration(scene.elapsed(task)), ""
    return _command(scene, task, width), "dim" if task.state in (State.PENDING, State.CANCELLED) else ""


def _command(scene: Scene, task: TaskView, width: int) -> str:
    """What distinguishes it from others: why it waits or how it failed, its last error, its name, its command."""
    return visible(_before(scene, task, width) + task.command)


def _before(scene: Scene, task: TaskView, width: int) -> str:
    """What stands before the command."""
    reason = why(task) if task.array is not None else reason_code(why(task))
    if task.array is not None and cells(reason) > width // 2:
        reason = task.array.short
    error = scene.data.errors.get((task.id, task.attempt), "")
    if error and width < EXIT_COLUMNS:
        reason = ""  # what it said tells more than its exit code
    reason = idle_code(scene, task) or reason
    said = [how_far(task, width), f"({reason})" if reason else "", f"{error} ·" if error else ""]
    return "".join(f"{word} " for word in [*said, f"{task.name}:" if task.name else ""] if word)


def how_far(task: TaskView, width: int) -> str:
    """How far it is in at most half of the width: a bar only of an array, and only where there is room for it."""
    if task.array is not None:
        done = task.array.fraction
        return "" if done is None or task.state.ended or width < BAR_FROM else filled(done, BAR_COLUMNS)
    said = task.progress
    if said is None:
        return ""
    short_form = f"{said.percent} of part" if said.part else said.percent
    return f"{said} " if cells(str(said)) <= width // 2 else short_form


def why(task: TaskView) -> str:
    """A short reason for the state, or nothing if there is nothing to explain; of an array its counts."""
    if task.array is not None:
        left = task.array.left_seconds
        return f"{task.array}, {about(left)} left" if left is not None else str(task.array)
    if task.state is State.PENDING:
        code = reason_code(task.reason)
        return "" if code == QUEUED else code
    if task.reason:
        return task.reason
    if task.state is State.FAILED and task.exit_code is not None:
        return f"exit {task.exit_code}"
    return ""
