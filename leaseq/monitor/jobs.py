"""The allocations of a lease: what each held and used, and what is next. Pure."""

from __future__ import annotations

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.lease import wording
from leaseq.lease.base import LeaseState
from leaseq.lease.view import LeaseView
from leaseq.monitor.cursor import FAR
from leaseq.monitor.data import Books
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.pane import Pane
from leaseq.monitor.panes import Rows, line
from leaseq.monitor.text import Span, fit, pad, short, wrap
from leaseq.monitor.viewing import Viewing
from leaseq.reading.usage import Held
from leaseq.words import about, count, visible

STYLES = {"RUNNING": "good", "PENDING": "wait", "ENDED": "dim"}
GLYPHS = {"RUNNING": ("●", "*"), "PENDING": ("○", "o"), "ENDED": ("✓", "+")}
COLUMNS = (
    ("JOB", 10, 0, False),
    ("FROM", 12, 70, False),
    ("TO", 12, 84, False),
    ("NODES", 6, 50, True),
    ("NODE-H", 7, 60, True),
    ("USED", 6, 60, True),
    ("GPU-H", 7, 100, True),
    ("USED", 6, 100, True),
)
"""(title, its width, from how many columns on there is one, right-aligned); what is left is that of the state."""
WIDE = 120


def books(scene: Scene) -> Books | None:
    """What was read for the view."""
    view, seen = scene.ui.view, scene.data.seen
    same = view is not None and (seen.pane, seen.of) == (view.pane.value, view.of)
    return seen.body if same and isinstance(seen.body, Books) else None


def row_of(scene: Scene, lease: str) -> LeaseView | None:
    return next((row for row in scene.data.leases.rows if row.id == lease), None)


def listed(scene: Scene) -> list[tuple[Allocation, LeaseState]]:
    """The allocations that the lease has now, what waits first, then those that have ended, the last one first."""
    view = scene.ui.view
    row = row_of(scene, view.of) if view else None
    if row is None:
        return []
    living = [each for each in row.allocs if each not in row.ended]
    waiting = [each for each in living if each[1].word == "PENDING"]
    return [*waiting, *(each for each in living if each not in waiting), *reversed(row.ended)]


def rows(scene: Scene, columns: int, height: int) -> Rows:
    view = scene.ui.view
    assert view is not None
    row, known = row_of(scene, view.of), listed(scene)
    if row is None or not known:
        text = "reading …" if scene.data.leases.at is None else "it has no allocation"
        return [pad([(f" {text}", "dim")], columns)]
    told = _next(row, columns)[: height // 3]
    cursor = _place(view, known)
    room, top = _room(row, columns, height), view.top
    titles = [f"{fit(title, wide, right=right)} " for _, title, wide, right in _shown(columns)]
    titles[0] = fit("HOST", len(titles[0])) if row.is_of_hosts else titles[0]
    found = [pad([(f" {''.join(titles)}  STATE", "dim")], columns)]
    for place, (alloc, state) in enumerate(known[top : top + room], top):
        cells = _cells(scene, alloc, state, columns)
        found.append(line([(" ", ""), *cells], columns, selected=place == cursor, focused=scene.ui.focus is Pane.JOBS))
    found += [pad([], columns)] * (height - len(told) - len(found))
    return [*found, *(pad([(f" {each}", "")], columns) for each in told)][:height]


def _room(row: LeaseView, columns: int, height: int) -> int:
    """The lines of allocations."""
    return max(1, height - 1 - len(_next(row, columns)[: height // 3]))


def _next(row: LeaseView, columns: int) -> list[str]:
    """What follows, in lines: how it is kept or scales, the successor, the overlap."""
    if row.kept is None:
        return ["no other job follows: `leaseq lease keep` asks for one after the other"] if row.word != "ENDED" else []
    how = row.kept.how
    said = [wording.following(row.kept, row.allocs)]
    if not how.scale:
        overlap = f", up to {about(how.overlap_minutes * 60)} before its end" if how.overlap_minutes else ""
        said.append(f"kept {wording.until(row.kept)}: one job follows the other{overlap}")
    return [part for each in said if each for part in wrap(each, columns - 2)]


def _shown(columns: int) -> list[tuple[int, str, int, bool]]:
    return [(n, title, wide, right) for n, (title, wide, least, right) in enumerate(COLUMNS) if columns >= least]


def _cells(scene: Scene, alloc: Allocation, state: LeaseState, columns: int) -> list[Span]:
    body = books(scene)
    held = next((each for each in body.held if each.alloc.id == alloc.id), None) if body is not None else None
    texts = wording.of_held(held) if held is not None else [alloc.id, *[""] * 7]
    spans: list[Span] = [(f"{fit(texts[n], wide, right=right)} ", "") for n, _, wide, right in _shown(columns)]
    glyph = GLYPHS.get(state.word, ("·", "."))[scene.ui.ascii]
    room = max(1, columns - 3 - sum(wide + 1 for _, _, wide, _ in _shown(columns)))
    nodes = held.nodes if held is not None and columns >= WIDE else ()
    told = wording.of_alloc(state if columns >= WIDE else replace(state, nodes=()), nodes, now=scene.wall)
    return [*spans, (f"{glyph} {short(told, room)}", STYLES.get(state.word, ""))]


def title(scene: Scene) -> str:
    view = scene.ui.view
    row = row_of(scene, view.of) if view else None
    known = listed(scene)
    more = "" if books(scene) is not None or scene.data.seen.failure else " · hours: reading …"
    return visible(f"{row.id} {row.name}").strip() + f" · {count(len(known), 'job')}{more}" if row else ""


# -- moves ---------------------------------------------------------------------------------------------


def _place(view: Viewing, known: list[tuple[Allocation, LeaseState]]) -> int:
    found = next((place for place, (alloc, _) in enumerate(known) if alloc.id == view.at), None)
    return max(0, min(view.place, len(known) - 1)) if found is None else found


def settled(scene: Scene, columns: int, height: int) -> Ui:
    """The cursor is on an allocation that is there, and in sight."""
    view, known = scene.ui.view, listed(scene)
    row = row_of(scene, view.of) if view else None
    if view is None or row is None or not known:
        return scene.ui
    place, room = _place(view, known), _room(row, columns, height)
    top = max(0, min(view.top, place, len(known) - room), place - room + 1)
    return replace(scene.ui, view=replace(view, place=place, top=top, at=known[place][0].id))


def moved(scene: Scene, columns: int, height: int, *, down: int, right: int) -> Ui:
    ui, known = scene.ui, listed(scene)
    if ui.view is None or not known or not down:
        return ui
    wanted = (len(known) - 1 if down > 0 else 0) if abs(down) >= FAR else _place(ui.view, known) + down
    return replace(ui, view=replace(ui.view, at=known[max(0, min(wanted, len(known) - 1))][0].id))


def clicked(scene: Scene, columns: int, height: int, x: int, y: int) -> Ui | None:
    """The cursor is on the allocation there; None if none is."""
    ui, known = scene.ui, listed(scene)
    if ui.view is None or not 1 <= y <= len(known) - ui.view.top:
        return None
    return replace(ui, view=replace(ui.view, at=known[ui.view.top + y - 1][0].id))


def into(scene: Scene, columns: int, height: int) -> Viewing | None:
    """What Enter opens: what ran while the lease had it, if that is known."""
    view, body = scene.ui.view, books(scene)
    if view is None or body is None or view.of != scene.data.lease_id:
        return None
    held = next((each for each in body.held if each.alloc.id == view.at), None)
    return None if held is None or held.since is None else timeline_of(held, scene.wall)


def timeline_of(held: Held, wall: float) -> Viewing:
    """A timeline of all of its time, or of the last that it can show."""
    from leaseq.monitor.timeline import SPANS

    assert held.since is not None
    until = held.until or wall
    span = next((each for each in SPANS if each >= until - held.since), SPANS[-1])
    return Viewing(Pane.TIMELINE, held.alloc.lease, first=span, last=int(until) + span // 12 if held.until else 0)
