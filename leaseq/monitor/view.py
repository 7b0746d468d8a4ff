"""A frame: what the scene looks like, as rows of styled spans that are exactly as wide as the terminal. Pure."""

from __future__ import annotations

from collections.abc import Callable

from leaseq.models import State
from leaseq.monitor import detail, logs, panes
from leaseq.monitor.ahead import ahead
from leaseq.monitor.banners import banner
from leaseq.monitor.filters import Filter
from leaseq.monitor.layout import Layout, Rect, lines_of
from leaseq.monitor.model import Scene
from leaseq.monitor.pane import VIEWS, Pane
from leaseq.monitor.panes import Rows
from leaseq.monitor.press import hints
from leaseq.monitor.stage import laid_out, message_lines
from leaseq.monitor.text import Span, Spans, joined, pad, short, splice, width
from leaseq.monitor.theme import STATE_STYLES, age, state_glyph, to_ascii
from leaseq.reading.views import Health, duration
from leaseq.widths import cells

Frame = tuple[Spans, ...]

CONTENT: dict[Pane, Callable[[Scene, int, int], Rows]] = {
    Pane.LEASES: panes.leases,
    Pane.NODES: panes.nodes,
    Pane.TASKS: panes.tasks,
    Pane.DETAIL: detail.detail,
    Pane.LOGS: logs.logs,
}


def frame(scene: Scene) -> Frame:
    """Every row of the terminal."""
    layout = laid_out(scene)
    columns, lines = layout.columns, layout.lines
    rows: list[list[Span]] = [[(text, "dim")] for text in lines_of(layout.boxes, columns, lines)]
    for pane, rect in layout.panes.items():
        _put(rows, rect, content(scene, pane, rect))
        _title(rows, scene, layout, pane, rect)
    if layout.head is not None:
        rows[layout.head] = head(scene, columns)
    if layout.banner is not None:
        rows[layout.banner] = pad([(short(f" {banner(scene)}", columns), "alarm")], columns, style="alarm")
    if layout.message is not None:
        _put(rows, layout.message, [pad(row, columns) for row in message_lines(scene)])
    if layout.foot is not None:
        rows[layout.foot] = foot(scene, columns)
    if scene.ui.overlay is not None:
        from leaseq.monitor import windows

        windows.put_over(rows, scene)
    ready = tuple(joined(pad(row, columns)) for row in rows)
    if scene.ui.ascii:
        return tuple(tuple((to_ascii(text), style) for text, style in row) for row in ready)
    return ready


def content(scene: Scene, pane: Pane, rect: Rect) -> Rows:
    """What stands in that pane."""
    if pane not in VIEWS:
        return CONTENT[pane](scene, rect.width, rect.height)
    from leaseq.monitor import views

    return views.rows(scene, rect.width, rect.height)


def plain(picture: Frame) -> str:
    """The frame's text alone, one line for each row."""
    return "\n".join("".join(text for text, _ in row).rstrip() for row in picture) + "\n"


def _put(rows: list[list[Span]], rect: Rect, content: Rows) -> None:
    for offset, row in enumerate(content[: rect.height]):
        if rect.y + offset < len(rows):
            rows[rect.y + offset] = splice(rows[rect.y + offset], rect.x, pad(row, rect.width))


# -- titles ------------------------------------------------------------------------------------------


def _title(rows: list[list[Span]], scene: Scene, layout: Layout, pane: Pane, rect: Rect) -> None:
    y = rect.y - 1
    if not 0 <= y < len(rows) or y == layout.head:
        return
    style = "focused" if pane is scene.ui.focus else "bold"
    more = logs.title(scene, rect.width, rect.height) if pane is Pane.LOGS else title_words(scene, pane)
    room = rect.width - (2 if layout.single else 1)
    text = short(f" {pane.value} ", max(0, room))
    spans: list[Span] = [(text, style)]
    if more and room - cells(text) > 4:
        spans.append((short(f"{more} ", room - cells(text)), ""))
    if layout.single:
        where = f" {layout.tabs.index(pane) + 1}/{len(layout.tabs)} " if len(layout.tabs) > 1 else ""
        rows[y] = [("─", "dim"), *spans]
        used = width(rows[y])
        tail = where if layout.columns - used - cells(where) > 1 else ""
        rows[y] += [("─" * max(0, layout.columns - used - cells(tail)), "dim"), (tail, "dim")]
    else:
        rows[y] = splice(rows[y], rect.x + 1, spans)


def title_words(scene: Scene, pane: Pane) -> str:
    """What stands beside a pane's name."""
    ui = scene.ui
    if pane in VIEWS:
        from leaseq.monitor import views

        return views.title(scene)
    if pane is Pane.TASKS:
        words = [ui.filter.value]
        if ui.text or ui.only_node or ui.filter is not Filter.RECENT:
            words.append("{:,} of {:,}".format(*scene.listed))
        words += [f"/{ui.text}"] if ui.text else []
        words += [f"on {ui.only_node}"] if ui.only_node else []
        words += [f"{len(ui.marks)} marked"] if ui.marks else []
        words += [said] if scene.columns < AHEAD_IN_HEAD and (said := ahead(scene, short=True)) else []
        return " · ".join(words)
    if pane is Pane.DETAIL:
        return detail.heading(scene)
    if pane is Pane.NODES and len(scene.nodes) > 1:
        up = sum(view.health is Health.OK for view in scene.nodes)
        return f"{up}/{len(scene.nodes)} up"
    return ""


# -- the rows above and below ------------------------------------------------------------------------


def head(scene: Scene, columns: int) -> list[Span]:
    """Lease, time left, counts; the age of what is shown at the right. What has no room is left out whole."""
    right = ages(scene, columns)
    room = columns - width(right)
    row = scene.watched
    named: list[Span] = [(scene.data.lease_id or "no lease", "focus"), (row.name if row else "", "bold")]
    left: list[Span] = [(" leaseq ", "bold") if columns >= 60 else (" ", "")]
    left += [(f"{text} ", style) for text, style in named if text]
    if scene.left_seconds is not None and not (row and row.word == "ENDED"):
        word = " left" if columns >= 60 else ""
        left.append((f" {duration(scene.left_seconds)}{word} ", "worse" if scene.left_seconds < 600 else ""))
    elif row and row.word in ("PENDING", "ENDED"):
        left.append((f" {'queued' if row.word == 'PENDING' else 'ended'} {short(row.reason, 20)} ", "warn"))
    left.append((" ", ""))
    used = width(left)
    for states, word in COUNTS:
        count = scene.count(*states)
        if not count and states[0] not in (State.RUNNING, State.PENDING):
            continue
        glyph = state_glyph(states[0], ascii_only=scene.ui.ascii)
        text = f"{glyph} {count:,}" + (f" {word}" if columns >= 110 else "")
        if used + cells(text) + 2 <= room:
            left.append((f"{text}  ", STATE_STYLES[states[0]] if count else "dim"))
            used += cells(text) + 2
    if columns >= AHEAD_IN_HEAD and used + cells(said := ahead(scene)) + 1 <= room:
        missed = scene.data.lease.ahead and scene.data.lease.ahead.missed
        left.append((said, "warn" if missed else "dim"))
    return pad(left, max(0, room)) + right


AHEAD_IN_HEAD = 150
"""From so many columns on the lease's title says when its queue is empty; else that of the tasks does."""
COUNTS = (
    ((State.RUNNING,), "running"),
    ((State.PENDING,), "pending"),
    ((State.STUCK,), "stuck"),
    ((State.UNKNOWN,), "unknown"),
    ((State.LOST,), "lost"),
    ((State.FAILED,), "failed"),
    ((State.TIMEOUT,), "timeout"),
    ((State.CANCELLED,), "cancelled"),
    ((State.DONE,), "done"),
)


def ages(scene: Scene, columns: int) -> list[Span]:
    """How old each datum is: nodes by their last heartbeats. A read that does not come back makes it grow."""
    spans: list[Span] = [("paused  ", "warn")] if scene.ui.paused else []
    spans += [("read-only  ", "dim")] if scene.ui.readonly and columns >= 100 else []
    read, heard = scene.snapshot_age, scene.heard
    if read is not None:
        late = any(view.health is Health.LATE for view in scene.nodes)
        word = "" if columns < 60 else "read " if heard is None else "nodes "
        style = "worse" if read > 30 else "warn" if read > 10 or late else "dim"
        spans.append((f"{word}{age(read if heard is None else heard)}", style))
    data = scene.data
    if data.leases.slurm_age is not None and data.leases.at is not None and columns >= 60:
        old = data.leases.slurm_age + scene.now - data.leases.at
        spans.append((f"  slurm {age(old)}", "warn" if old > 120 or data.leases.failure else "dim"))
    return [*spans, (" ", "")]


def foot(scene: Scene, columns: int) -> list[Span]:
    """A prompt if one is open, else the keys that work here and now."""
    overlay = scene.ui.overlay
    if overlay is not None:
        from leaseq.monitor import windows

        prompt = windows.prompt(scene, columns)
        if prompt:
            return prompt
    row: list[Span] = []
    for key, word, _ in hints(scene, columns):
        row += [(f" {key} ", "key"), (f"{word} ", "dim")]
    return pad(row, columns)


def footer_hit(scene: Scene, x: int) -> str:
    """The key whose hint stands in that column of the footer."""
    at = 0
    for key, word, name in hints(scene, scene.columns):
        size = cells(f" {key} {word} ")
        if at <= x < at + size:
            return name
        at += size
    return ""
