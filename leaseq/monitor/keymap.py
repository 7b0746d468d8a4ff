"""The one table of keys. What a key does, where it works, its hint and its help all come from here."""

from __future__ import annotations

from collections.abc import Callable

from leaseq.dataclass import dataclass
from leaseq.monitor import acts, moves, refusals, walking
from leaseq.monitor.cursor import FAR
from leaseq.monitor.effects import Step
from leaseq.monitor.filters import Filter
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.pane import MAIN, Pane

TASK_VIEWS = frozenset({Pane.GRID, Pane.TIMELINE, Pane.TREE})
"""Views whose cursor is on tasks."""
TASKS = frozenset({Pane.TASKS, Pane.DETAIL, Pane.LOGS}) | TASK_VIEWS
TASK_LIST = frozenset({Pane.TASKS})
GRID = frozenset({Pane.GRID})
TIMELINE = frozenset({Pane.TIMELINE})
TREE = frozenset({Pane.TREE})
JOBS = frozenset({Pane.JOBS})
LEASES = frozenset({Pane.LEASES})
LOGS = frozenset({Pane.LOGS})
EVERY = frozenset(Pane)
NOT_LOGS = frozenset(MAIN) - LOGS
LISTS = frozenset({Pane.LEASES, Pane.NODES, Pane.TASKS})


def always(scene: Scene) -> bool:
    return True


@dataclass(frozen=True)
class Key:
    """One line of the table. `keys` are the terminal's names; the first is the one a hint stands for."""

    keys: tuple[str, ...]
    label: str
    help: str
    act: Callable[[Scene], Ui | Step]
    panes: frozenset[Pane] = EVERY
    hint: str = ""
    hinted: frozenset[Pane] = EVERY
    """Where the hint is worth its room."""
    changes: bool = False
    """It changes tasks or leases: without effect, and without a hint, if the monitor is read-only."""
    why_not: Callable[[Scene], str] = lambda scene: ""
    when: Callable[[Scene], bool] = always
    """If it does not hold, the key means what a later line says."""

    def refusal(self, scene: Scene) -> str:
        """Why it does nothing now; empty if it works."""
        if self.changes and scene.ui.readonly:
            return "read-only: nothing is changed from here"
        return self.why_not(scene)


def _task_menu(scene: Scene) -> Step:
    from leaseq.monitor import menus  # as in acts: not before the first frame

    return acts.opened(scene, menus.task_menu(scene))


def _node_menu(scene: Scene) -> Step:
    from leaseq.monitor import menus

    return acts.opened(scene, menus.node_menu(scene))


def _by_number() -> tuple[Key, ...]:
    """1 is the first filter, and so on."""
    label = f"1-{len(Filter)}"

    def key(number: int, wanted: Filter) -> Key:
        return Key((str(number),), label, "the filter of that number", lambda s: moves.filtered(s, wanted))

    return tuple(key(number, each) for number, each in enumerate(Filter, 1))


def _view(name: str, *by: int) -> Callable[[Scene], Ui | Step]:
    """What the function of that name in `views` makes of the scene."""

    def act(scene: Scene) -> Ui | Step:
        from leaseq.monitor import views

        found: Ui | Step = getattr(views, name)(scene, *by)
        return found

    return act


def _is_array(scene: Scene) -> bool:
    return scene.task is not None and scene.task.array is not None


def _is_watched(scene: Scene) -> bool:
    return scene.lease is not None and scene.lease.id == scene.data.lease_id


TABLE: tuple[Key, ...] = (
    Key(("enter",), "Enter", "an array: its indices", _view("unfold"), TASK_LIST, "unfold", when=_is_array),
    Key(
        ("enter",),
        "Enter",
        "what can be done with the task",
        _task_menu,
        frozenset({Pane.TASKS, Pane.DETAIL}),
        "menu",
        why_not=refusals.no_task,
    ),
    Key(("enter",), "Enter", "divide the cell; the task with its output", _view("entered"), GRID, "open"),
    Key(("enter",), "Enter", "the task that ran there, with its output", _view("entered"), TIMELINE, "open"),
    Key(("enter",), "Enter", "the task with its output, an array unfolded", _view("entered"), TREE, "open"),
    Key(("enter",), "Enter", "what ran while the lease had it", _view("entered"), JOBS, "timeline"),
    Key((",",), ",", "earlier, by half of what is shown", _view("scrolled", -1), TIMELINE, "earlier"),
    Key((".",), ".", "later", _view("scrolled", 1), TIMELINE, "later"),
    Key(("+", "="), "+", "a shorter time, about the cursor", _view("zoomed", -1), TIMELINE, "zoom in"),
    Key(("-",), "-", "a longer time", _view("zoomed", 1), TIMELINE, "out"),
    Key(("0",), "0", "up to now", _view("now"), TIMELINE, "now"),
    Key(("n",), "n", "the next that went wrong", _view("sought", 1), GRID, "next ✗"),
    Key(("N",), "N", "the one before that went wrong", _view("sought", -1), GRID),
    Key(
        ("enter",),
        "Enter",
        "what can be done with the node",
        _node_menu,
        frozenset({Pane.NODES}),
        "menu",
        why_not=refusals.nothing_under,
    ),
    Key(("enter",), "Enter", "looked at: its allocations", _view("allocations"), LEASES, "jobs", when=_is_watched),
    Key(
        ("enter",),
        "Enter",
        "look at this lease",
        acts.watch,
        frozenset({Pane.LEASES}),
        "look at",
        why_not=refusals.no_lease,
    ),
    Key(("enter",), "Enter", "logs take the whole screen, and back", moves.zoom, LOGS, "zoom"),
    Key(("j", "down"), "j ↓", "down", lambda s: walking.vertical(s, 1)),
    Key(("k", "up"), "k ↑", "up", lambda s: walking.vertical(s, -1)),
    Key(("g", "home"), "g Home", "to the top", lambda s: walking.vertical(s, -FAR)),
    Key(("G", "end"), "G End", "to the bottom; in logs: follow", lambda s: walking.vertical(s, FAR)),
    Key(("pgdn", "ctrl-f", "ctrl-d"), "PgDn ^F ^D", "a page down", lambda s: walking.page(s, 1)),
    Key(("pgup", "ctrl-b", "ctrl-u"), "PgUp ^B ^U", "a page up", lambda s: walking.page(s, -1)),
    Key(("tab",), "Tab", "next pane", lambda s: moves.next_pane(s, 1), hint="pane", why_not=refusals.one_pane),
    Key(
        ("backtab",),
        "Shift-Tab",
        "previous pane",
        lambda s: moves.next_pane(s, -1),
        why_not=refusals.one_pane,
    ),
    Key(("l", "right"), "l →", "to the right: the pane, in a grid the cell", lambda s: walking.sideways(s, 1)),
    Key(("h", "left"), "h ←", "to the left", lambda s: walking.sideways(s, -1)),
    Key(
        ("c",),
        "c",
        "cancel the marked tasks, or this one",
        acts.cancel,
        TASKS,
        "cancel",
        changes=True,
        why_not=refusals.no_end,
    ),
    Key(
        ("r",),
        "r",
        "redo: submit it again",
        acts.redo,
        TASKS,
        "redo",
        changes=True,
        why_not=refusals.no_redo,
    ),
    Key(("m",), "m", "what can be done with the task", _task_menu, TASKS, "", why_not=refusals.no_task),
    Key(("U",), "U", "its group, task by task", _view("group"), TASKS, "", why_not=refusals.no_group),
    Key(
        ("u",),
        "u",
        "undo: a cancel of what had not started, hold, priority, pin or pause that was done here",
        acts.undo,
        EVERY,
        "undo",
        changes=True,
        why_not=refusals.no_undo,
    ),
    Key((" ",), "Space", "mark, to act on several", acts.mark, TASK_LIST, "mark", why_not=refusals.no_task),
    Key(("a",), "a", "submit a task", acts.submit_form, EVERY, "submit", changes=True, why_not=refusals.no_submit),
    Key(
        ("F",),
        "F",
        "the next filter: " + ", ".join(each.value for each in Filter),
        moves.next_filter,
        NOT_LOGS,
        "filter",
    ),
    *_by_number(),
    Key(
        ("/",),
        "/",
        "show only tasks with these words (!word: without), name:vit group:eval state:failed day:today",
        acts.narrow,
        NOT_LOGS,
        "find",
    ),
    Key(("/",), "/", "find in this output", acts.find, LOGS, "find"),
    Key(("n",), "n", "next match", lambda s: acts.next_match(s, 1), LOGS, "next", why_not=refusals.no_find),
    Key(("N",), "N", "previous match", lambda s: acts.next_match(s, -1), LOGS, "", why_not=refusals.no_find),
    Key(("z",), "z", "logs take the whole screen, and back", moves.zoom, EVERY, "logs"),
    Key(("D",), "D", "what comes after what", _view("dependencies"), EVERY - TREE),
    Key(("J",), "J", "the lease's allocations, and what is next", _view("allocations"), EVERY - JOBS, "jobs", LEASES),
    Key(("T",), "T", "what ran where in the last hours", _view("ran"), EVERY - TIMELINE, "timeline", LISTS),
    Key(("]",), "]", "next error in the output", lambda s: acts.next_error(s, 1), EVERY, ""),
    Key(("[",), "[", "previous error in the output", lambda s: acts.next_error(s, -1), EVERY, ""),
    Key(("f",), "f", "follow the output, or stay where it is", moves.follow, EVERY, "follow", LOGS),
    Key(("e",), "e", "both streams, stdout, stderr", moves.next_stream, EVERY, "stream", LOGS),
    Key(("<",), "<", "the output of the attempt before", lambda s: moves.attempt(s, -1), EVERY, ""),
    Key((">",), ">", "the output of the attempt after", lambda s: moves.attempt(s, 1), EVERY, ""),
    Key(("t",), "t", "when each line came, as far as it was seen", acts.times, EVERY, ""),
    Key(("w",), "w", "wrap long lines", acts.wrap, EVERY, "wrap", LOGS),
    Key(("o",), "o", "the whole output in a pager", acts.pager, TASKS, "pager", why_not=refusals.no_output),
    Key(
        ("s",),
        "s",
        "shell on that node; the monitor comes back after it",
        acts.shell,
        EVERY,
        "shell",
        changes=True,
        why_not=lambda s: "" if s.data.lease_id else "there is no lease yet",
    ),
    Key(
        ("x",),
        "x",
        "release the lease that is looked at; among the leases that under the cursor",
        acts.release_lease,
        EVERY,
        "release",
        NOT_LOGS,
        changes=True,
        why_not=refusals.no_release,
    ),
    Key(("n",), "n", "new lease", acts.add_form, NOT_LOGS, "new lease", changes=True),
    Key((",",), ",", "sort by the column to the left", lambda s: acts.sort(s, -1), NOT_LOGS, ""),
    Key((".",), ".", "sort by the column to the right", lambda s: acts.sort(s, 1), NOT_LOGS, "sort"),
    Key(("y",), "y", "copy the id to the clipboard", acts.copy, EVERY, "", why_not=refusals.nothing_under),
    Key((":",), ":", "any leaseq command", acts.command, EVERY, "command"),
    Key(("L",), "L", "what was done here, when, and the answers", acts.doings, EVERY, ""),
    Key(("R",), "R", "refresh now", acts.refresh, EVERY, ""),
    Key(("p",), "p", "pause: nothing is read until p again", acts.pause, EVERY, "pause"),
    Key(("esc",), "Esc", "back: close, show all again, drop the marks", acts.escape, EVERY, ""),
    Key(("?",), "?", "this help", acts.help, EVERY, "help"),
    Key(("ctrl-c",), "^C", "close a window, what was typed is kept; without one: quit", acts.interrupt),
    Key(("q",), "q", "quit", acts.quit, EVERY, "quit"),
)
