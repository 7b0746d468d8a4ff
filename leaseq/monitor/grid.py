"""A grid of what an array or a group is made of: a cell for each index or task, or for many if they are many. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from leaseq.dataclass import replace
from leaseq.models import State
from leaseq.monitor.cursor import FAR, of_task
from leaseq.monitor.model import Scene, Ui, say
from leaseq.monitor.panes import Rows, why
from leaseq.monitor.text import Span, fit, pad, short, width
from leaseq.monitor.theme import STATE_STYLES, state_glyph
from leaseq.monitor.viewing import Viewing
from leaseq.protocol.marks import STATES
from leaseq.reading.unfolding import PLACES_MAX, Unfolded
from leaseq.reading.views import COUNTED, TaskView, duration
from leaseq.widths import cells
from leaseq.words import count, visible

GROUP_PREFIX = "group:"
TEN = 10
SOME_BAD, SOME_RUN, SOME_DONE = ("⊗", "bad"), ("◉", "run"), ("◐", "good")
"""Of cells whose indices are not all alike: some went wrong; some run; some have ended and the others wait."""
BAD = (State.STUCK, State.LOST, State.FAILED, State.TIMEOUT)
HIGH = 9
"""From so many lines on what the cursor is on has two of them."""
ORDER = (State.RUNNING, *BAD, State.UNKNOWN, State.PENDING, State.DONE, State.CANCELLED)
"""In this order they are counted: what matters most comes first."""
NUMBERS = {State.PENDING: "waiting", State.RUNNING: "running"}


class Shape(NamedTuple):
    """How what is shown is divided into cells."""

    first: int
    stop: int
    """The places that are shown, from one up to another."""
    across: int
    """How many cells a row has."""
    each: int
    """How many places a cell has."""
    label: int
    """The columns of the labels."""
    told: int
    """The lines of what the cursor is on."""
    pitch: int
    """The columns from one cell to the next."""

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return -(-(self.stop - self.first) // self.each)

    def cell(self, place: int) -> int:
        return max(0, min((place - self.first) // self.each, self.cells - 1))

    def span(self, cell: int) -> tuple[int, int]:
        """The places of a cell."""
        first = self.first + cell * self.each
        return first, min(self.stop, first + self.each)


def unfolded(scene: Scene) -> Unfolded | None:
    """What was read of what the view shows."""
    view, seen = scene.ui.view, scene.data.seen
    same = view is not None and (seen.pane, seen.of) == (view.pane.value, view.of)
    return seen.body if same and isinstance(seen.body, Unfolded) else None


def shape(body: Unfolded, view: Viewing, columns: int, height: int) -> Shape:
    """Cells as fine as there is room for: 1, 2, 5, 10, 20 … places each."""
    stop = min(view.last or len(body), len(body))
    first = min(view.first, stop)
    label = max((cells(body.label(place)) for place in (first, stop - 1)), default=1) if stop > first else 1
    room = max(1, columns - label - 3)
    told = 2 if height >= HIGH else 1
    high = max(1, height - 1 - told)
    for pitch in (2, 1):  # wide, if all have room so
        across = (room + 1) // (pitch * TEN + 1) * TEN or room
        if stop - first <= across * high:
            break
    each = 1
    while -(-(stop - first) // each) > across * high:
        each = each * 5 // 2 if str(each)[0] == "2" else each * 2
    return Shape(first, stop, across, each, label, told, pitch)


def rows(scene: Scene, columns: int, height: int) -> Rows:
    body, view = unfolded(scene), scene.ui.view
    assert view is not None
    if body is None or body.too_many or body.fraction < 1 or not len(body):
        return [pad([(f" {text}", "dim")], columns) for text in _nothing(scene, body)][:height]
    made = shape(body, view, columns, height)
    found = [pad(_legend(scene, body, made, columns), columns)]
    cursor = made.cell(view.place)
    picture = _picture(body, made.first, made.stop, made.each)
    glyphs = {state: state_glyph(state, ascii_only=scene.ui.ascii) for state in State}
    for begin in range(0, made.cells, made.across):
        line: list[Span] = [(f" {fit(body.label(made.span(begin)[0]), made.label, right=True)} ", "dim")]
        for cell in range(begin, min(begin + made.across, made.cells)):
            glyph, style = _looks(picture[cell], glyphs)
            gap = (made.pitch - 1 if cell > begin else 0) + (cell > begin and (cell - begin) % TEN == 0)
            line += [(" " * gap, ""), (glyph, "selected" if cell == cursor else style)]
        found.append(pad(line, columns))
    room = max(1, height - 1 - made.told)
    found = found[: 1 + room] + [pad([], columns)] * (room + 1 - len(found))
    return [*found, *(pad(row, columns) for row in _told(scene, body, made, cursor, columns)[: made.told])][:height]


def _nothing(scene: Scene, body: Unfolded | None) -> list[str]:
    """Why there is no grid."""
    if scene.data.seen.failure and body is None:
        return [scene.data.seen.failure]
    if body is None:
        return ["reading …"]
    if body.too_many:
        return [f"{body.too_many:,} indices: a grid has {PLACES_MAX:,} at most", f"`leaseq tasks {body.id}` lists them"]
    if body.fraction < 1:
        return [f"reading … {int(body.fraction * 100)} % of what its nodes have written"]
    return [f"nothing is in it{_unseen(body)}"]


def _unseen(body: Unfolded) -> str:
    """Which tasks of a group are not known to be in it."""
    return f" · ended ones: of the last {body.recent:,}" if body.recent else ""


@lru_cache(maxsize=4)
def _picture(body: Unfolded, first: int, stop: int, each: int) -> Sequence[State | str]:
    """Of each cell the state that all in it have, or a word for what they are."""
    if each == 1:
        return [STATES[code - 1] for code in body.states[first:stop]]
    return [_together(body.counts(at, min(stop, at + each))) for at in range(first, stop, each)]


def _together(counts: dict[State, int]) -> State | str:
    if len(counts) == 1:
        return next(iter(counts))
    if any(state in counts for state in BAD):
        return "bad"
    return "run" if State.RUNNING in counts or State.UNKNOWN in counts else "done"


def _looks(what: State | str, glyphs: dict[State, str]) -> Span:
    if isinstance(what, State):
        return glyphs[what], STATE_STYLES[what]
    return {"bad": SOME_BAD, "run": SOME_RUN, "done": SOME_DONE}[what]


def _legend(scene: Scene, body: Unfolded, made: Shape, columns: int) -> list[Span]:
    """The numbers of what is shown, in words if there is room, and how many a cell has."""
    counts = body.counts(made.first, made.stop)
    cell: list[Span] = [(f" {made.each:,} a cell", "bold")] if made.each > 1 else []
    for worded in (True, False):
        spans: list[Span] = []
        for state in (each for each in ORDER if each in counts):
            glyph = state_glyph(state, ascii_only=scene.ui.ascii)
            text = f" {glyph} {counts[state]:,} {NUMBERS.get(state, COUNTED[state])} "
            spans.append((text if worded else f" {glyph}{counts[state]:,}", STATE_STYLES[state]))
        if width([*spans, *cell]) <= columns:
            return [*spans, *cell]
    return spans if width(spans) <= columns else [(short("".join(text for text, _ in spans), columns), "")]


def _told(scene: Scene, body: Unfolded, made: Shape, cursor: int, columns: int) -> list[list[Span]]:
    """What the cursor is on, in two lines; the second is not needed."""
    first, stop = made.span(cursor)
    if made.each > 1:
        counts = body.counts(first, stop)
        said = ", ".join(f"{counts[state]:,} {word}" for state, word in COUNTED.items() if state in counts)
        where = f"{body.label(first)} … {body.label(stop - 1)}" if stop - first > 1 else body.label(first)
        said = short(said, columns - cells(where) - 3)
        return [[("▸", "focus"), (f"{where}: ", "bold"), (said, "")], [(" Enter divides it", "dim")]]
    state = STATES[body.states[first] - 1]
    glyph = state_glyph(state, ascii_only=scene.ui.ascii)
    head: list[Span] = [
        ("▸", "focus"),
        (f"{body.label(first)}  ", "bold"),
        (f"{glyph} {state.name}", STATE_STYLES[state]),
    ]
    task = scene.task
    if task is None or task.id != body.name(first):
        return [head, []]
    words = [why(task), task.node if task.node != "_any" else "", duration(task.elapsed_seconds), _values(task)]
    error = scene.data.errors.get((task.id, task.attempt), "")
    said = f"  {'  '.join(visible(word) for word in words if word)}"
    last: Span = (visible(error), "bad") if error else (visible(task.command), "dim")
    return [[*head, (short(said, columns - width(head)), "")], [(f" {short(last[0], columns - 1)}", last[1])]]


def _values(task: TaskView) -> str:
    """What tells an index from the others, or a task from the others of its group."""
    if task.values:
        return " ".join(f"{name}={value}" for name, value in task.values.items())
    return task.name


def title(scene: Scene) -> str:
    """What is unfolded, and which part of it is shown."""
    view, body = scene.ui.view, unfolded(scene)
    assert view is not None
    snapshot = scene.data.lease.snapshot
    row = next((row for row in snapshot.tasks if row.id == view.of), None) if snapshot else None
    words = [
        view.of if view.of.startswith(GROUP_PREFIX) else visible(f"{view.of[:8]} {row.name if row else ''}").strip()
    ]
    if body is not None and len(body):
        words.append(count(len(body), "index", "indices") if body.id else count(len(body), "task") + _unseen(body))
        if view.last:
            words.append(f"{body.label(view.first)} … {body.label(min(view.last, len(body)) - 1)}")
    return " · ".join(words)


# -- moves ---------------------------------------------------------------------------------------------


def settled(scene: Scene, columns: int, height: int) -> Ui:
    """The cursor is on something that is there: in a group on the same task as before."""
    ui, body = scene.ui, unfolded(scene)
    view = ui.view
    if view is None or body is None or not len(body):
        return ui
    known = body.place(ui.task) if body.rows and ui.task else None
    place = max(view.first, min(view.place if known is None else known, (view.last or len(body)) - 1, len(body) - 1))
    return _at(ui, body, view, place, columns, height)


def _at(ui: Ui, body: Unfolded, view: Viewing, place: int, columns: int, height: int) -> Ui:
    """The cursor is there; a cell of several has no task of its own."""
    one = shape(body, view, columns, height).each == 1
    return of_task(replace(ui, view=replace(view, place=place)), body.name(place) if one else "")


def moved(scene: Scene, columns: int, height: int, *, down: int, right: int) -> Ui:
    """The cursor has moved by so many cells."""
    body, view = unfolded(scene), scene.ui.view
    if body is None or view is None or not len(body):
        return scene.ui
    made = shape(body, view, columns, height)
    cell, last = made.cell(view.place), made.cells - 1
    if abs(down) >= FAR:
        cell = last if down > 0 else 0
    else:
        wanted = cell + right + down * made.across
        column = cell % made.across
        # Down from above a short last row is its end; up and down keep their column.
        cell = wanted if 0 <= wanted <= last else cell if right else last if down > 0 else min(column, last)
    return _at(scene.ui, body, view, made.span(cell)[0], columns, height)


def sought(scene: Scene, columns: int, height: int, by: int) -> Ui:
    """The cursor is on the next cell in which something went wrong, or on the one before."""
    body, view = unfolded(scene), scene.ui.view
    if body is None or view is None or not len(body):
        return scene.ui
    made = shape(body, view, columns, height)
    picture = _picture(body, made.first, made.stop, made.each)
    cell = made.cell(view.place)
    way: Iterator[int] = iter(range(cell + 1, made.cells) if by > 0 else range(cell - 1, -1, -1))
    found = next((each for each in way if picture[each] in (*BAD, "bad")), None)
    if found is None:
        return say(scene.ui, f"none went wrong {'after' if by > 0 else 'before'} this one", "dim")
    return _at(scene.ui, body, view, made.span(found)[0], columns, height)


def clicked(scene: Scene, columns: int, height: int, x: int, y: int) -> Ui | None:
    """The cursor is on the cell there; None if none is."""
    body, view = unfolded(scene), scene.ui.view
    if body is None or view is None or not len(body):
        return None
    made = shape(body, view, columns, height)
    ten, rest = divmod(x - made.label - 2, made.pitch * TEN + 1)
    across = ten * TEN + rest // made.pitch
    cell = (y - 1) * made.across + across
    inside = 0 <= across < made.across and rest < made.pitch * TEN
    if not (1 <= y < height - made.told and inside and cell < made.cells):
        return None
    return _at(scene.ui, body, view, made.span(cell)[0], columns, height)


def into(scene: Scene, columns: int, height: int) -> Viewing | TaskView | None:
    """What Enter opens: a part of it, the array that a task of a group is, or the task."""
    body, view = unfolded(scene), scene.ui.view
    if body is None or view is None or not len(body):
        return None
    made = shape(body, view, columns, height)
    if made.each == 1:
        return scene.task
    first, stop = made.span(made.cell(view.place))
    return replace(view, first=first, last=stop, place=first)
