"""What ran on each GPU in the last hours, or on nodes without any: bars with their names, idle time between. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

from leaseq.dataclass import replace
from leaseq.models import State
from leaseq.monitor.cursor import FAR, of_task
from leaseq.monitor.detail import clock
from leaseq.monitor.model import Scene, Ui, say
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, fit, pad, part, restyle, short, short_id, splice, tail, width
from leaseq.monitor.theme import STATE_STYLES, state_glyph
from leaseq.monitor.viewing import Viewing
from leaseq.reading.report import SECOND, clipped, length, merged, span_of
from leaseq.reading.timeline import ENDED_BADLY, Lane, Story, axis, ended, marks
from leaseq.reading.usage import Run
from leaseq.reading.views import TaskView, duration
from leaseq.widths import cells, cut
from leaseq.words import count, visible

HOUR = 3600
SPANS = (300, 900, 1800, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 72 * HOUR, 168 * HOUR)
"""Seconds that can be shown at once."""
USUAL = 6 * HOUR
STEPS = 12
"""The window ends at a round time, and goes on by so much of itself: what stands still is not drawn again."""
LABEL_MOST = 24
NAMED_FROM = 4
"""A bar of so many columns has a name in it."""
MARKS: dict[str, Span] = {
    "busy": ("█", "run"),
    "part": ("▒", "run"),
    "bad": ("╳", "bad"),
    "idle": ("·", "dim"),
    "down": ("!", "worse"),
    "none": (" ", ""),
}
HIGH = 8
"""From so many lines on what the cursor is on has two of them."""


def story(scene: Scene) -> Story | None:
    """What was read for the view."""
    view, seen = scene.ui.view, scene.data.seen
    same = view is not None and (seen.pane, seen.of) == (view.pane.value, view.of)
    return seen.body if same and isinstance(seen.body, Story) else None


def window(view: Viewing, wall: float) -> tuple[int, int]:
    """From when to when the view shows, in seconds since the epoch; the end may be yet to come."""
    long = view.first or USUAL
    step = long // STEPS
    until = view.last or (int(wall) // step + 1) * step
    return until - long, until


def back(view: Viewing, wall: float) -> int:
    """How many seconds before now have to be read for it, about."""
    return (int(wall) - window(view, wall)[0]) // 900 * 900 + 900


def rows(scene: Scene, columns: int, height: int) -> Rows:
    view, body = scene.ui.view, story(scene)
    assert view is not None
    if body is None or not body.lanes:
        text = scene.data.seen.failure or ("reading …" if body is None else "no node was ever heard of")
        return [pad([(f" {text}", "dim")], columns)]
    since, until = window(view, scene.wall)
    label = min(LABEL_MOST, max(cells(lane.title) for lane in body.lanes), max(6, columns // 4))
    wide = max(1, columns - label - 3)
    bounds = _bounds(since, until, wide)
    now = bounds[
        min(bisect_right(bounds, scene.wall * SECOND), wide)
    ]  # the end of its column: what runs is drawn so far
    told = 2 if height >= HIGH else 1
    room = max(1, height - 2 - told)
    cursor = _place(body, view)
    top = max(0, min(view.top, cursor, len(body.lanes) - room), cursor - room + 1)
    found = [pad(_head(scene, body, since, until, now), columns)]
    for place, lane in enumerate(body.lanes[top : top + room], top):
        name: Span = (fit(tail(lane.title, label), label), "bold" if place == cursor else "dim")
        chosen = _chosen(scene, lane) if place == cursor else None
        sign: Span = ("▸", "focus") if place == cursor else (" ", "")
        drawn = _drawn(lane, bounds, now, chosen, ascii_only=scene.ui.ascii)
        found.append(pad([sign, name, (" ", ""), *drawn], columns))
    found += [pad([], columns)] * (1 + room - len(found))
    found.append(pad([(f"{' ' * (label + 2)}{axis(since * SECOND, until * SECOND, wide)}", "dim")], columns))
    return [*found, *(pad(row, columns) for row in _told(scene, body.lanes[cursor], columns)[:told])][:height]


def _head(scene: Scene, body: Story, since: int, until: int, now: int) -> list[Span]:
    """Which time is shown, what of it was booked, and what of it is not known."""
    whole = _shares(body, since, until, now)
    spans: list[Span] = [(f" {_when(since, scene.wall)} to {_when(until, scene.wall)}", "bold")]
    if whole:
        shares = {
            word: 100 * part // whole[0] for word, part in zip(("booked", "idle", "down"), whole[1:], strict=True)
        }
        styles = {"booked": "run", "idle": "dim", "down": "worse"}
        spans += [(f"  {word} {part} %", styles[word]) for word, part in shares.items() if part or word != "down"]
    if body.since > since:
        spans.append((f"  not all is read before {_when(int(body.since), scene.wall)}", "warn"))
    return spans


def _shares(body: Story, since: int, until: int, now: int) -> tuple[int, int, int, int] | None:
    """(held, booked, idle, down) of all GPUs in that time, or of nodes without any; None: nothing was held."""
    with_gpus = {lane.node for lane in body.lanes if lane.gpu}
    held = booked = down = 0
    for node, group in groupby(body.lanes, key=lambda lane: lane.node):
        lanes = tuple(group)
        for slots in [(lane,) for lane in lanes if lane.gpu] if node in with_gpus else [lanes]:
            more = _share(slots, since * SECOND, until * SECOND, now)
            held, booked, down = held + more[0], booked + more[1], down + more[2]
    return (held, booked, held - booked - down, down) if held else None


@lru_cache(maxsize=4096)
def _share(slots: tuple[Lane, ...], since: int, until: int, now: int) -> tuple[int, int, int]:
    """(held, booked, down) of one GPU, or of a node by all of its slots."""
    held = booked = down = 0
    for time in slots[0].parts(since, until, now):
        up = time.held[0], time.down[0][0] if time.down else time.held[1]
        bars = (span_of(ended(run, now)) for lane in slots for run in lane.between(*up))
        held, down = held + length((time.held,)), down + length(time.down)
        booked += length(merged(some for span in bars if (some := clipped(span, up))))
    return held, booked, down


def _when(at: int, wall: float) -> str:
    return clock(at, wall)[:-3]


def _bounds(since: int, until: int, wide: int) -> tuple[int, ...]:
    """The times at which columns begin, and the end of the last."""
    return tuple(since * SECOND + (until - since) * SECOND * n // wide for n in range(wide + 1))


def _drawn(lane: Lane, bounds: tuple[int, ...], now: int, chosen: Run | None, *, ascii_only: bool) -> list[Span]:
    """One lane, the bar under the cursor in reverse."""
    line = list(_lane(lane, bounds, now, ascii_only))
    if chosen is None or (columns := _columns(ended(chosen, now), bounds)) is None:
        return line
    return splice(line, columns[0], restyle(part(line, *columns), "selected"))


@lru_cache(maxsize=512)
def _lane(lane: Lane, bounds: tuple[int, ...], now: int, ascii_only: bool) -> tuple[Span, ...]:
    """Bars with their names where they have room for one; where several share a column how much was booked."""
    bars = [ended(each, now) for each in lane.between(bounds[0], bounds[-1])]
    bad = [span_of(each) for each in bars if each.state in ENDED_BADLY]
    line = [MARKS[each] for each in marks(lane.parts(bounds[0], bounds[-1], now), bad, bounds)]
    places = [(each, columns) for each in bars if (columns := _columns(each, bounds))]
    users = Counter(column for _, (first, last) in places for column in range(first, last))
    free = 0
    for each, (first, last) in places:
        begin = max(first, free) if last > free else first
        if last - begin >= NAMED_FROM or (begin == first and all(users[column] == 1 for column in range(first, last))):
            line[begin:last] = [_bar(each, last - begin, ascii_only), *[("", "")] * (last - begin - 1)]
            free = last
    return tuple(line)


def _columns(each: Run, bounds: Sequence[int]) -> tuple[int, int] | None:
    """The columns that a bar has, from one up to another; at least one if any of it is shown."""
    some = clipped(span_of(each), (bounds[0], bounds[-1]))
    if some is None:
        return None
    first = min(bisect_right(bounds, some[0]) - 1, len(bounds) - 2)
    return first, max(first + 1, min(bisect_right(bounds, some[1] - 1), len(bounds) - 1))


def _bar(run: Run, wide: int, ascii_only: bool) -> Span:
    sign = "▶" if run.state is State.RUNNING else state_glyph(run.state, ascii_only=ascii_only)
    name = cut(_name(run), wide - 1) if wide >= NAMED_FROM else ""
    return name + "━" * (wide - 1 - cells(name)) + sign, STATE_STYLES[run.state]


def _name(run: Run) -> str:
    """Its name or its command; of an index which one it is."""
    index = run.id.partition("_")[2]
    return visible(run.name or run.command) + (f" {index}" if index else "")


def _told(scene: Scene, lane: Lane, columns: int) -> list[list[Span]]:
    """What the cursor is on, in two lines."""
    run = _chosen(scene, lane)
    if run is None:
        said = f"{lane.title}: nothing ran here in this time"
        said = f"{short_id(scene.ui.task)}: not known to have run then" if scene.ui.task else said
        return [[(f" {said}", "dim")], []]
    run = ended(run, int(scene.wall * SECOND))
    glyph = state_glyph(run.state, ascii_only=scene.ui.ascii)
    began, end = clock(run.began, scene.wall), clock(run.began + run.seconds, scene.wall)
    end = "now" if run.state is State.RUNNING else end
    head: list[Span] = [("▸", "focus"), (f"{short_id(run.id)} ", "bold")]
    head += [(f" {glyph} {run.state.name} ", STATE_STYLES[run.state]), (f" {duration(run.seconds)}", "")]
    gpus = f"{run.node}:{','.join(run.gpus)}" if run.gpus else run.node
    for more in ([(f"  {began} to {end}", ""), (f"  {gpus}", "dim")], [(f"  {began[:-3]} to {end}", "")]):
        if width([*head, *more]) <= columns:
            head += more
            break
    if error := scene.data.errors.get((run.id, run.attempt), ""):
        return [head, [(f" {short(visible(error), columns - 1)}", "bad")]]
    command = f"  {visible(run.command)}" if run.name else ""
    return [head, [(f" {_name(run)}", ""), (short(command, max(0, columns - 1 - cells(_name(run)))), "dim")]]


def title(scene: Scene) -> str:
    body, view = story(scene), scene.ui.view
    if body is None or view is None or not body.lanes:
        return ""
    gpus = sum(bool(lane.gpu) for lane in body.lanes)
    what = count(gpus, "GPU") if gpus else count(len({lane.node for lane in body.lanes}), "node")
    return f"{duration(view.first or USUAL)} · {what} · row {_place(body, view) + 1} of {len(body.lanes)}"


# -- moves ---------------------------------------------------------------------------------------------


def _place(body: Story, view: Viewing) -> int:
    """The lane that the cursor is on."""
    found = next((place for place, lane in enumerate(body.lanes) if lane.key == view.at), None)
    return min(view.place, len(body.lanes) - 1) if found is None else found


def _chosen(scene: Scene, lane: Lane) -> Run | None:
    """The bar that the cursor is on: of several attempts the one whose output is shown, or the last."""
    ui = scene.ui
    own = [each for each in lane.bars if each.id == ui.task]
    return next((each for each in own if each.attempt == ui.log_attempt), own[-1] if own else None)


def settled(scene: Scene, columns: int, height: int) -> Ui:
    """The cursor is on a lane and a bar that are there: on what was selected, else on what ran last in its lane."""
    ui, body = scene.ui, story(scene)
    view = ui.view
    if view is None or body is None or not body.lanes:
        return ui
    place = _place(body, view)
    if view.at == "" and ui.task:
        has = [n for n, lane in enumerate(body.lanes) if any(each.id == ui.task for each in lane.bars)]
        if not has:
            return ui  # it may be heard of yet
        place = has[0]
    lane = body.lanes[place]
    room = max(1, height - 2 - (2 if height >= HIGH else 1))
    top = max(0, min(view.top, place, len(body.lanes) - room), place - room + 1)
    ui = replace(ui, view=replace(view, place=place, at=lane.key, top=top))
    if (here := _chosen(scene, lane)) is not None:
        return ui if ui.log_attempt else _on(ui, here)
    since, until = window(view, scene.wall)
    shown = lane.between(since * SECOND, until * SECOND)
    return _on(ui, shown[-1] if shown else None)


def _on(ui: Ui, each: Run | None) -> Ui:
    """The cursor is on that bar, and its attempt's output is shown."""
    if each is None:
        return of_task(ui, "")
    ui = of_task(ui, each.id)
    return ui if ui.log_attempt == each.attempt else replace(ui, log_attempt=each.attempt)


def moved(scene: Scene, columns: int, height: int, *, down: int, right: int) -> Ui:
    """Down and up: to another lane, to what ran there then; right and left: to what ran there after, or before."""
    ui, body = scene.ui, story(scene)
    view = ui.view
    if view is None or body is None or not body.lanes:
        return ui
    place = _place(body, view)
    here = _chosen(scene, body.lanes[place])
    if down:
        wanted = (len(body.lanes) - 1 if down > 0 else 0) if abs(down) >= FAR else place + down
        lane = body.lanes[max(0, min(wanted, len(body.lanes) - 1))]
        return _on(replace(ui, view=replace(view, at=lane.key)), _near(scene, lane, here))
    bars = body.lanes[place].bars
    if here is None:
        near = _near(scene, body.lanes[place], None)
    else:
        after = bars.index(here) + right
        near = bars[after] if 0 <= after < len(bars) else None
    if near is None:
        return say(ui, f"nothing {'later' if right > 0 else 'earlier'} is read of this row", "dim")
    return _on(replace(ui, view=_showing(view, _span(scene, near), scene.wall)), near)


def _near(scene: Scene, lane: Lane, here: Run | None) -> Run | None:
    """What is shown of the lane and ran nearest to the middle of what the cursor was on; else the last of it."""
    assert scene.ui.view is not None
    since, until = (each * SECOND for each in window(scene.ui.view, scene.wall))
    shown = lane.between(since, until)
    some = clipped(_span(scene, here), (since, until)) if here else None
    if not shown or some is None:
        return shown[-1] if shown else None
    middle = (some[0] + some[1]) // 2
    spans = [_span(scene, each) for each in shown]
    return min(zip(spans, shown, strict=True), key=lambda each: max(each[0][0] - middle, middle - each[0][1], 0))[1]


def _span(scene: Scene, run: Run) -> tuple[int, int]:
    return span_of(ended(run, int(scene.wall * SECOND)))


def _showing(view: Viewing, span: tuple[int, int], wall: float) -> Viewing:
    """The window moved so far that it has some of that time."""
    since, until = window(view, wall)
    begin, end = span[0] // SECOND, span[1] // SECOND
    if begin >= until:
        return _until(view, begin + (until - since) // 2, wall)
    return _until(view, end + (until - since) // 2, wall) if end <= since else view


def _until(view: Viewing, until: int, wall: float) -> Viewing:
    """The window ends about then; with what is now in it, it goes on with the time."""
    step = (view.first or USUAL) // STEPS
    until = -(-until // step) * step
    return replace(view, last=0 if until >= wall else until)


def scrolled(scene: Scene, by: int) -> Ui:
    """Half a window earlier, or later."""
    view = scene.ui.view
    assert view is not None
    since, until = window(view, scene.wall)
    if by > 0 and not view.last:
        return say(scene.ui, "this is now", "dim")
    return replace(scene.ui, view=_until(view, until + by * (until - since) // 2, scene.wall))


def zoomed(scene: Scene, by: int) -> Ui:
    """A shorter time is shown, or a longer one, about what the cursor is on."""
    view, body = scene.ui.view, story(scene)
    assert view is not None
    wanted = SPANS.index(view.first or USUAL) + by
    if not 0 <= wanted < len(SPANS):
        return say(scene.ui, "this is the shortest time" if by < 0 else "this is the longest time", "dim")
    since, until = window(view, scene.wall)
    here = _chosen(scene, body.lanes[_place(body, view)]) if body and body.lanes else None
    some = clipped(_span(scene, here), (since * SECOND, until * SECOND)) if here else None
    middle = (some[0] + some[1]) // 2 // SECOND if some else (since + until) // 2
    view = replace(view, first=SPANS[wanted])
    if not view.last and (here is None or not here.state.ended):
        return replace(scene.ui, view=view)
    return replace(scene.ui, view=_until(view, middle + SPANS[wanted] // 2, scene.wall))


def now(scene: Scene) -> Ui:
    """The window has what is now, and goes on with the time."""
    view = scene.ui.view
    assert view is not None
    return replace(scene.ui, view=replace(view, last=0))


def clicked(scene: Scene, columns: int, height: int, x: int, y: int) -> Ui | None:
    """The cursor is on what is drawn there; None if no lane is."""
    view, body = scene.ui.view, story(scene)
    if view is None or body is None or not body.lanes:
        return None
    label = min(LABEL_MOST, max(cells(lane.title) for lane in body.lanes), max(6, columns // 4))
    wide = max(1, columns - label - 3)
    place = view.top + y - 1
    if not (1 <= y < height - 1 and 0 <= place < len(body.lanes)):
        return None
    since, until = window(view, scene.wall)
    lane, bounds = body.lanes[place], _bounds(since, until, wide)
    column = max(0, min(x - label - 2, wide - 1))
    at = [each for each in lane.bars if clipped(_span(scene, each), (bounds[column], bounds[column + 1]))]
    return _on(replace(scene.ui, view=replace(view, at=lane.key)), at[-1] if at else _near(scene, lane, None))


def into(scene: Scene, columns: int, height: int) -> Viewing | TaskView | None:
    """What Enter opens: the task that ran there."""
    return scene.task
