"""The help window: the table of keys in words, and what the signs mean. It has the width of its room."""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.models import State
from leaseq.monitor.keymap import EVERY, TABLE, Key
from leaseq.monitor.model import Scene
from leaseq.monitor.pane import Pane
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, fit, pad, width, wrap
from leaseq.monitor.theme import STATE_STYLES, state_glyph

LABEL = 11
BESIDE = 96
"""From so many columns on the keys that work everywhere stand beside those of the pane."""
SIGNS = {
    Pane.LEASES: (("▸", "the lease that the other panes show"), ("●", "it has its nodes"), ("○", "it waits in Slurm")),
    Pane.NODES: (
        ("●", "its runner is heard"),
        ("~ ! ○", "late; down; stopped on purpose"),
        ("3/4G 2/8C", "GPUs, or CPUs, that are booked, of all"),
        ("▂▅█", "how busy its GPUs are, one sign each; in a row of one GPU, over time"),
        ("! 3/4G!", "a GPU that its task has left at 0 % for five minutes, or that is free and used by somebody else"),
        ("other", "in the place of a GPU's task: more than 1 GiB of it is used, and no task here has it"),
        ("71° 91!", "how hot a GPU is; ! from 88° on"),
    ),
    Pane.TASKS: (
        ("•", "marked"),
        ("2G", "GPUs that it has, or asks for"),
        ("(GPU)", "why it waits, or how it ended"),
        ("43 %", "how far it is, by its own output"),
        ("GPU idle 7m", "one of its GPUs has been at 0 % for so long"),
    ),
    Pane.DETAIL: (
        ("▂▅█", "how busy each of its GPUs was lately"),
        ("!", "a GPU that is not used by whom has it, or by whom has it not"),
    ),
    Pane.GRID: (
        ("⊗", "of the cell's indices some went wrong"),
        ("◉", "some run, and none went wrong"),
        ("◐", "some have ended, the others wait"),
    ),
    Pane.TIMELINE: (
        ("vit━━✓", "what ran, and how it ended; ▶: it runs"),
        ("·", "idle: held, and not booked"),
        ("▒ █", "several in one column: booked in part, or all of it"),
        ("╳", "of several most ended badly"),
        ("!", "nothing was heard of the node"),
    ),
    Pane.TREE: (
        ("├─ └─", "it comes after the one that it hangs from, and perhaps after others: the last line says which"),
        ("0:38 4m", "how long it runs or ran; to the minute: how long it has waited"),
    ),
    Pane.JOBS: (
        ("NODE-H", "hours in which it had nodes; USED: in which something ran there"),
        ("GPU-H", "the same of GPUs; USED: booked"),
    ),
    Pane.LOGS: (
        ("▏", "a line of stderr"),
        ("▸", "the line that was looked for, or the error of a failed task"),
        ("── stdout", "what was there already of each stream stands apart"),
        ("3/11", "the third of eleven lines with these words; 11+: there may be more above"),
        ("*paused*", "it does not follow what is written"),
    ),
}
HEAD = (
    ("nodes 3s", "for how long the most silent node has not been heard"),
    ("slurm 30s", "how old Slurm's last answer is"),
)


def help_rows(scene: Scene, columns: int) -> Rows:
    """The table as help: the keys of the focused pane first, then those that work everywhere, then the signs."""
    pane = scene.ui.focus
    usable = [entry for entry in TABLE if pane in entry.panes and not (entry.changes and scene.ui.readonly)]
    here = [entry for entry in usable if entry.panes != EVERY]
    everywhere = [entry for entry in usable if entry.panes == EVERY]
    beside = columns >= BESIDE
    wide = (columns - 2) // 2 if beside else columns
    keys = [*_section(f"in {pane.value}", _keys(here), wide), []]
    signs = [*_section("signs", [*SIGNS[pane], *HEAD], wide), *_states(scene, wide)]
    if not beside:
        return [*keys, *_section("everywhere", _keys(everywhere), wide), [], *signs]
    left, right = [*keys, *signs], _section("everywhere", _keys(everywhere), columns - wide)
    rows: Rows = []
    for n in range(max(len(left), len(right))):
        rows.append([*pad(left[n] if n < len(left) else [], wide), *(right[n] if n < len(right) else [])])
    return rows


def _keys(entries: Iterable[Key]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((entry.label, entry.help) for entry in entries))


def _section(title: str, lines: Iterable[tuple[str, str]], columns: int) -> Rows:
    rows: Rows = [[(f" {title}", "bold")]]
    for label, text in lines:
        for number, piece in enumerate(wrap(text, max(8, columns - LABEL - 3))):
            spans: list[Span] = [(f" {fit('' if number else label, LABEL)} ", "key"), (piece, "")]
            rows.append(spans)
    return rows


def _states(scene: Scene, columns: int) -> Rows:
    """The sign and the letters of each state, two in a row if there is room."""
    rows: Rows = []
    for number, state in enumerate(State):
        sign = f"{state_glyph(state, ascii_only=scene.ui.ascii)} {state.code}"
        spans: list[Span] = [(f" {fit(sign, 5)} ", STATE_STYLES[state]), (f"{state.name:<10}", "")]
        if number % 2 and columns >= 2 * width(spans):
            rows[-1] += spans
        else:
            rows.append(spans)
    return rows
