"""Dependencies as a tree: each task below what it comes after. Pure."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.models import State
from leaseq.monitor.cursor import FAR, of_task
from leaseq.monitor.data import Forest
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.panes import Rows, line, why
from leaseq.monitor.text import Span, fit, pad, short
from leaseq.monitor.theme import STATE_STYLES, state_glyph, waited
from leaseq.monitor.viewing import Viewing
from leaseq.protocol.edges import BEGIN
from leaseq.reading.tree import Branch
from leaseq.reading.views import TaskView, duration
from leaseq.widths import cells
from leaseq.words import count, visible

HIGH = 6
"""From so many lines on one says what the cursor's task comes after."""
WIDE = 60
"""In fewer columns its time is left out."""


def forest(scene: Scene) -> Forest | None:
    """What was read for the view."""
    view, seen = scene.ui.view, scene.data.seen
    same = view is not None and (seen.pane, seen.of) == (view.pane.value, view.of)
    return seen.body if same and isinstance(seen.body, Forest) else None


def rows(scene: Scene, columns: int, height: int) -> Rows:
    view, body = scene.ui.view, forest(scene)
    assert view is not None
    if body is None or not body.branches:
        text = scene.data.seen.failure or ("reading …" if body is None else "no task comes after another one")
        more = [] if body is None else [_unseen(body), "submit --after ID makes one that does"]
        return [pad([(f" {each}", "dim")], columns) for each in (text, *more) if each][:height]
    room = _room(height)
    cursor = _place(scene, body)
    top = max(0, min(view.top, cursor, len(body.branches) - room), cursor - room + 1)
    focused = scene.ui.focus is view.pane
    snapshot = scene.data.lease.snapshot
    fresh = {row.id: row for row in snapshot.tasks} if snapshot else {}
    found = [
        line(
            _row(scene, each._replace(row=fresh.get(each.row.id, each.row)), columns),
            columns,
            selected=place == cursor,
            focused=focused,
        )
        for place, each in enumerate(body.branches[top : top + room], top)
    ]
    if room == height:
        return found
    found += [pad([], columns)] * (room - len(found))
    return [*found, pad([(f" {short(_told(body, body.branches[cursor]), columns - 1)}", "dim")], columns)]


def _room(height: int) -> int:
    return height - 1 if height >= HIGH else max(1, height)


def _row(scene: Scene, branch: Branch, columns: int) -> list[Span]:
    """Where it hangs, its state, its id, how long it runs or waits, and what it is."""
    row = branch.row
    limbs = "".join("   " if last else "│  " for last in branch.lasts[:-1])
    limbs += ("└─ " if branch.lasts[-1] else "├─ ") if branch.lasts else ""
    glyph = state_glyph(row.state, ascii_only=scene.ui.ascii)
    spans: list[Span] = [(" ", ""), (limbs, "dim"), (glyph, STATE_STYLES[row.state]), (f" {row.id[:8]} ", "")]
    if columns >= WIDE:
        elapsed = scene.elapsed(row)
        spans.append((fit(waited(elapsed) if row.state is State.PENDING else duration(elapsed), 8, right=True), "dim"))
    reason = why(row) if row.array is not None or row.state is not State.PENDING else ""
    name = f"{row.name}:" if row.name else ""
    words = " ".join(word for word in (f"({reason})" if reason else "", name, row.command) if word)
    style = "dim" if row.state in (State.PENDING, State.CANCELLED) else ""
    spans.append((f" {short(visible(words), max(1, columns - 2 - sum(cells(text) for text, _ in spans)))}", style))
    return spans


def _told(body: Forest, branch: Branch) -> str:
    """What the cursor's task comes after, and what is known of that."""
    states = {each.row.id: each.row.state.name for each in body.branches}
    said = [f"{up[:8]} {state}" for up, state in states.items() if up in branch.after]
    said += [f"{up[:8]} not read" for up in branch.after if up not in states]
    said += [wait.text for wait in branch.row.waits if wait.up.kind == BEGIN]
    return f"{branch.row.id[:8]} {branch.row.state.name}: after {', '.join(said) or 'nothing'}"


def _unseen(body: Forest) -> str:
    """Which tasks were not looked at."""
    said = [f"the first {body.pending:,} pending"] if body.pending else []
    said += [f"the last {body.ended:,} that ended"] if body.ended else []
    return f"of {' and '.join(said)}" if said else ""


def title(scene: Scene) -> str:
    body = forest(scene)
    return "" if body is None else " · ".join(filter(None, [count(len(body.branches), "task"), _unseen(body)]))


# -- moves ---------------------------------------------------------------------------------------------


def _place(scene: Scene, body: Forest) -> int:
    """The branch that the cursor is on: by its task's id, or where that was."""
    assert scene.ui.view is not None
    ids = (each.row.id for each in body.branches)
    found = next((place for place, each in enumerate(ids) if each == scene.ui.task), None)
    return max(0, min(scene.ui.view.place, len(body.branches) - 1)) if found is None else found


def settled(scene: Scene, columns: int, height: int) -> Ui:
    """The cursor is on a task that is there, and in sight."""
    ui, body = scene.ui, forest(scene)
    if ui.view is None or body is None or not body.branches:
        return ui
    return _at(ui, body, _place(scene, body), height)


def _at(ui: Ui, body: Forest, place: int, height: int) -> Ui:
    assert ui.view is not None
    place = max(0, min(place, len(body.branches) - 1))
    room = _room(height)
    top = max(0, min(ui.view.top, place, len(body.branches) - room), place - room + 1)
    return of_task(replace(ui, view=replace(ui.view, place=place, top=top)), body.branches[place].row.id)


def moved(scene: Scene, columns: int, height: int, *, down: int, right: int) -> Ui:
    """Down and up by rows; left to what it comes after, right to the first that comes after it."""
    ui, body = scene.ui, forest(scene)
    if ui.view is None or body is None or not body.branches:
        return ui
    place = _place(scene, body)
    if abs(down) >= FAR:
        return _at(ui, body, len(body.branches) - 1 if down > 0 else 0, height)
    if right > 0:
        deeper = place + 1 < len(body.branches) and body.branches[place + 1].depth > body.branches[place].depth
        return _at(ui, body, place + deeper, height)
    if right < 0:
        depth = body.branches[place].depth
        above = [n for n in range(place) if body.branches[n].depth < depth]
        return _at(ui, body, above[-1] if above else place, height)
    return _at(ui, body, place + down, height)


def clicked(scene: Scene, columns: int, height: int, x: int, y: int) -> Ui | None:
    """The cursor is on the task there; None if none is."""
    ui, body = scene.ui, forest(scene)
    if ui.view is None or body is None or not 0 <= y < _room(height) or ui.view.top + y >= len(body.branches):
        return None
    return _at(ui, body, ui.view.top + y, height)


def into(scene: Scene, columns: int, height: int) -> Viewing | TaskView | None:
    """What Enter opens: the task, or the indices of an array."""
    return scene.task
