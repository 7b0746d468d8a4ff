"""The one table of keys. What a key does, where it works, its hint and its help all come from here.

What only a pressed key needs is imported then: it would be felt before the first frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from leaseq.monitor import moves
from leaseq.monitor.logs import current, matches
from leaseq.monitor.model import Message, Pane, Scene, Sort, Ui
from leaseq.monitor.moves import Step
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, cells, fit, width

LISTS = frozenset({Pane.LEASES, Pane.NODES, Pane.TASKS})
TASKS = frozenset({Pane.TASKS, Pane.DETAIL, Pane.LOGS})
LOGS = frozenset({Pane.LOGS})
EVERY = frozenset(Pane)
NOT_LOGS = EVERY - LOGS


@dataclass(frozen=True)
class Key:
    """One line of the table. `keys` are the terminal's names; the first is the one a hint stands for."""

    keys: tuple[str, ...]
    label: str
    help: str
    act: Callable[[Scene], Ui | Step]
    panes: frozenset[Pane] = EVERY
    hint: str = ""
    changes: bool = False
    """It changes tasks or leases: without effect, and without a hint, where the monitor is read-only."""
    why_not: Callable[[Scene], str] = lambda scene: ""

    def refusal(self, scene: Scene) -> str:
        """Why it does nothing now; empty where it works."""
        if self.changes and scene.ui.readonly:
            return "read-only: started with --readonly"
        return self.why_not(scene)


def press(scene: Scene, key: str) -> Step:
    """What the key makes of the scene; what it asks to be done."""
    scene = replace(scene, ui=replace(scene.ui, message=None))
    if scene.ui.overlay is not None:
        from leaseq.monitor import dialogs

        return dialogs.press(scene, key)
    found = next((entry for entry in TABLE if key in entry.keys and scene.ui.focus in entry.panes), None)
    if found is None:
        return Step(say(scene.ui, f"{key} does nothing here; ? lists the keys", "dim"))
    refusal = found.refusal(scene)
    if refusal:
        return Step(say(scene.ui, refusal, "dim"))
    done = found.act(scene)
    return done if isinstance(done, Step) else Step(done)


def say(ui: Ui, text: str, style: str = "") -> Ui:
    return replace(ui, message=Message(text, style)) if text else ui


# -- what keys do ------------------------------------------------------------------------------------


def opened(scene: Scene, value: object) -> Step:
    """A window opens, a command runs, or the reason why not is said."""
    from leaseq.monitor.actions import Effect

    if isinstance(value, str):
        return Step(say(scene.ui, value, "warn"))
    if isinstance(value, Effect):
        return Step(scene.ui, (value,))
    return Step(replace(scene.ui, overlay=value))


def _asked(name: str) -> Callable[[Scene], Step]:
    """Opens what `actions` has under that name."""

    def act(scene: Scene) -> Step:
        from leaseq.monitor import actions

        return opened(scene, getattr(actions, name)(scene))

    return act


def _effect(name: str) -> Callable[[Scene], Step]:
    """Asks for the effect of that name."""

    def act(scene: Scene) -> Step:
        from leaseq.monitor import actions

        return Step(scene.ui, (getattr(actions, name)(),))

    return act


def _help(scene: Scene) -> Ui:
    from leaseq.monitor.overlays import Help

    return replace(scene.ui, overlay=Help())


def _command(scene: Scene) -> Ui:
    from leaseq.monitor.overlays import Prompt

    return replace(scene.ui, overlay=Prompt("command"))


def _enter(scene: Scene) -> Step:
    from leaseq.monitor import actions

    pane = scene.ui.focus
    if pane is Pane.LOGS:
        return Step(moves.zoom(scene))
    if pane is Pane.NODES:
        return opened(scene, actions.node_menu(scene))
    if pane is Pane.LEASES:
        return Step(scene.ui, (actions.Watch(scene.lease.id),)) if scene.lease else Step(scene.ui)
    return opened(scene, actions.task_menu(scene))


def _search(scene: Scene) -> Ui:
    from leaseq.monitor.overlays import Edit, Prompt

    ui = scene.ui
    if ui.focus is Pane.LOGS:
        return replace(ui, overlay=Prompt("find", Edit.of(ui.log_find), before=ui.log_find))
    return replace(
        ui, focus=Pane.TASKS, last_list=Pane.TASKS, overlay=Prompt("filter", Edit.of(ui.text), before=ui.text)
    )


def _escape(scene: Scene) -> Ui:
    """The last thing that narrows the view is dropped."""
    ui = scene.ui
    if ui.focus is Pane.LOGS and ui.log_find:
        return replace(ui, log_find="")
    if ui.zoom:
        return moves.zoom(scene)
    if ui.text or ui.only_node:
        return replace(ui, text="", only_node="")
    if ui.marks:
        return replace(ui, marks=frozenset())
    return replace(ui, focus=ui.last_list if ui.focus not in LISTS else Pane.TASKS)


def _mark(scene: Scene) -> Ui:
    assert scene.task is not None
    return moves.vertical(replace(scene, ui=replace(scene.ui, marks=scene.ui.marks ^ {scene.task.id})), 1)


def _sort(scene: Scene, by: int) -> Ui:
    every = list(Sort)
    return replace(scene.ui, sort=every[(every.index(scene.ui.sort) + by) % len(every)])


def shell(scene: Scene) -> Step:
    """A shell on the selected node, on the selected task's node, or on the lease's first."""
    from leaseq.monitor.actions import Foreground

    node = ""
    if scene.ui.last_list is Pane.NODES and scene.node:
        node = scene.node.node
    elif scene.ui.last_list is Pane.TASKS and scene.task and scene.task.node not in ("", "_any"):
        node = scene.task.node
    lease = scene.lease.id if scene.ui.last_list is Pane.LEASES and scene.lease else scene.data.lease_id
    words = ("shell", "--lease", lease, *(("--node", node) if node else ()))
    return Step(scene.ui, (Foreground(words),))


def pager(scene: Scene) -> Step:
    """The whole output of the attempt that the logs pane shows."""
    from leaseq.monitor.actions import Pager

    log, task = current(scene), scene.task
    assert task is not None
    streams = ("out", "err") if scene.ui.stream == "both" else (scene.ui.stream,)
    return Step(scene.ui, (Pager(scene.data.lease_id, task.id, log.attempt if log else task.attempt, streams),))


def copy(scene: Scene) -> Step:
    """What is selected in the focused pane, by its name."""
    from leaseq.monitor.actions import Copy

    ui = scene.ui
    if ui.focus is Pane.NODES and scene.node:
        text = scene.node.node
    elif ui.focus is Pane.LEASES and scene.lease:
        text = scene.lease.id
    else:
        text = " ".join(task.id for task in scene.chosen)
    return Step(say(ui, f"copied {text}"), (Copy(text),)) if text else Step(say(ui, "nothing is selected"))


def _next_match(scene: Scene, by: int) -> Ui:
    log = current(scene)
    found = matches(log, scene.ui.log_find) if log else []
    if not found:
        return say(scene.ui, f"no line has {scene.ui.log_find}", "warn")
    return moves.to_match(scene, found, by)


def _pause(scene: Scene) -> Step:
    done = _effect("Refresh")(scene)
    return replace(done, ui=replace(scene.ui, paused=not scene.ui.paused))


def _no_task(scene: Scene) -> str:
    return "" if scene.task else "no task is selected"


def _no_output(scene: Scene) -> str:
    log = current(scene)
    return "it has written nothing yet" if log and not log.lines and not log.size else _no_task(scene)


def _no_find(scene: Scene) -> str:
    return "" if scene.ui.log_find else "search first: /"


def _no_end(scene: Scene) -> str:
    return (
        ""
        if scene.chosen and not all(t.state.ended for t in scene.chosen)
        else _no_task(scene) or "it has ended already"
    )


def _no_redo(scene: Scene) -> str:
    return "" if any(t.state.ended for t in scene.chosen) else _no_task(scene) or "it has not ended: cancel it first"


def _no_lease(scene: Scene) -> str:
    return "" if scene.lease else "there is no lease yet"


def _nothing_under(scene: Scene) -> str:
    pane = scene.ui.focus
    if pane is Pane.LEASES:
        return _no_lease(scene)
    if pane is Pane.NODES:
        return "" if scene.node else "no node is selected"
    return _no_task(scene)


TABLE: tuple[Key, ...] = (
    Key(
        ("enter",),
        "Enter",
        "what can be done with the task",
        _enter,
        frozenset({Pane.TASKS, Pane.DETAIL}),
        "menu",
        why_not=_no_task,
    ),
    Key(
        ("enter",),
        "Enter",
        "what can be done with the node",
        _enter,
        frozenset({Pane.NODES}),
        "menu",
        why_not=_nothing_under,
    ),
    Key(("enter",), "Enter", "look at this lease", _enter, frozenset({Pane.LEASES}), "look at", why_not=_no_lease),
    Key(("enter",), "Enter", "logs take the whole screen, and back", _enter, LOGS, "zoom"),
    Key(("j", "down"), "j ↓", "down", lambda s: moves.vertical(s, 1)),
    Key(("k", "up"), "k ↑", "up", lambda s: moves.vertical(s, -1)),
    Key(("g", "home"), "g Home", "to the top", lambda s: moves.vertical(s, -moves.FAR)),
    Key(("G", "end"), "G End", "to the bottom; in logs: follow", lambda s: moves.vertical(s, moves.FAR)),
    Key(("pgdn", "ctrl-f", "ctrl-d"), "PgDn ^F ^D", "a page down", lambda s: moves.page(s, 1)),
    Key(("pgup", "ctrl-b", "ctrl-u"), "PgUp ^B ^U", "a page up", lambda s: moves.page(s, -1)),
    Key(("tab",), "Tab", "next pane", lambda s: moves.next_pane(s, 1), hint="pane"),
    Key(("backtab",), "Shift-Tab", "previous pane", lambda s: moves.next_pane(s, -1)),
    Key(("l", "right"), "l →", "the pane to the right", lambda s: moves.sideways(s, 1)),
    Key(("h", "left"), "h ←", "the pane to the left", lambda s: moves.sideways(s, -1)),
    Key(
        ("c",),
        "c",
        "cancel the marked tasks, or this one",
        _asked("cancel"),
        TASKS,
        "cancel",
        changes=True,
        why_not=_no_end,
    ),
    Key(
        ("r",),
        "r",
        "redo: submit it again",
        _asked("redo"),
        TASKS,
        "redo",
        changes=True,
        why_not=_no_redo,
    ),
    Key((" ",), "Space", "mark, to act on several", _mark, frozenset({Pane.TASKS}), "mark", why_not=_no_task),
    Key(("a",), "a", "add a task", _asked("submit_form"), EVERY, "add", changes=True),
    Key(
        ("F",), "F", "filter: Recent, All, Running, Pending, Done, Failed, Stuck", moves.next_filter, NOT_LOGS, "filter"
    ),
    Key(("/",), "/", "show only tasks with these words (!word: without)", _search, NOT_LOGS, "find"),
    Key(("/",), "/", "find in this output", _search, LOGS, "find"),
    Key(("n",), "n", "next match", lambda s: _next_match(s, 1), LOGS, "next", why_not=_no_find),
    Key(("N",), "N", "previous match", lambda s: _next_match(s, -1), LOGS, "", why_not=_no_find),
    Key(("z",), "z", "logs take the whole screen, and back", moves.zoom, EVERY, "logs"),
    Key(("f",), "f", "follow the output, or hold it", moves.follow, EVERY, "follow"),
    Key(("e",), "e", "stdout, stderr, both", moves.next_stream, EVERY, "stream"),
    Key(("w",), "w", "wrap long lines", lambda s: replace(s.ui, wrap=not s.ui.wrap), EVERY, "wrap"),
    Key(("o",), "o", "the whole output in a pager", pager, TASKS, "pager", why_not=_no_output),
    Key(
        ("s",),
        "s",
        "shell on that node; the monitor comes back after it",
        shell,
        EVERY,
        "shell",
        changes=True,
        why_not=lambda s: "" if s.data.lease_id else "there is no lease yet",
    ),
    Key(
        ("x",),
        "x",
        "release the lease",
        _asked("release_lease"),
        NOT_LOGS,
        "release",
        changes=True,
        why_not=_no_lease,
    ),
    Key(("n",), "n", "new lease", _asked("add_form"), NOT_LOGS, "new lease", changes=True),
    Key((",",), ",", "sort by the column to the left", lambda s: _sort(s, -1), NOT_LOGS, ""),
    Key((".",), ".", "sort by the column to the right", lambda s: _sort(s, 1), NOT_LOGS, "sort"),
    Key(("y",), "y", "copy the id to the clipboard", copy, EVERY, "", why_not=_nothing_under),
    Key((":",), ":", "any leaseq command", _command, EVERY, "command"),
    Key(("R",), "R", "refresh now", _effect("Refresh"), EVERY, ""),
    Key(("p",), "p", "pause: nothing is read until p again", _pause, EVERY, "pause"),
    Key(("esc",), "Esc", "back: close, show all again, drop the marks", _escape, EVERY, ""),
    Key(("?",), "?", "this help", _help, EVERY, "help"),
    Key(("q", "ctrl-c"), "q", "quit", _effect("Quit"), EVERY, "quit"),
)

LAST = ("?", "q")
"""Hints that are always there."""


def hints(scene: Scene, columns: int) -> list[tuple[str, str, str]]:
    """(label, word, key) of the keys that work here and now, as many as fit; help and quit always."""
    overlay = scene.ui.overlay
    if overlay is not None:
        from leaseq.monitor.overlays import HINTS

        return list(HINTS.get(type(overlay), ()))
    usable = [
        (entry.label.split()[0], entry.hint, entry.keys[0])
        for entry in TABLE
        if entry.hint and scene.ui.focus in entry.panes and not entry.refusal(scene)
    ]
    last = [hint for hint in usable if hint[2] in LAST]
    room = columns - sum(_hint_width(hint) for hint in last)
    shown = []
    for hint in usable:
        if hint not in last and room >= _hint_width(hint):
            shown.append(hint)
            room -= _hint_width(hint)
    return shown + last


def _hint_width(hint: tuple[str, str, str]) -> int:
    return cells(hint[0]) + cells(hint[1]) + 3


def help_rows(scene: Scene) -> Rows:
    """The table as help: the keys of the focused pane first, then those that work everywhere."""
    pane = scene.ui.focus
    usable = [entry for entry in TABLE if pane in entry.panes and not (entry.changes and scene.ui.readonly)]
    here = [entry for entry in usable if entry.panes != EVERY]
    everywhere = [entry for entry in usable if entry.panes == EVERY]
    left, right = _section(f"in {pane.value}", here), _section("everywhere", everywhere)
    wide = max(width(row) for row in left) + 2
    if wide + max(width(row) for row in right) > scene.columns - 8:
        return [*left, [], *right]
    rows: Rows = []
    for n in range(max(len(left), len(right))):
        first = left[n] if n < len(left) else []
        gap = (" " * (wide - width(first)), "")
        rows.append([*first, gap, *(right[n] if n < len(right) else [])])
    return rows


def _section(title: str, entries: list[Key]) -> Rows:
    rows: Rows = [[(f" {title}", "bold")]]
    for entry in entries:
        spans: list[Span] = [(f" {fit(entry.label, 11)}", "key"), (entry.help, "")]
        rows.append(spans)
    return rows
