"""Tasks that run once for each index: their options, what becomes of them, and what would be submitted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from leaseq.cli.app import App
from leaseq.cli.command import Option
from leaseq.errors import UsageError
from leaseq.models import Task
from leaseq.values import integer
from leaseq.words import count, joined, visible

if TYPE_CHECKING:
    from leaseq.sweep import Said

ARRAY_OPTIONS = (
    Option("array", "once for each index: 0-99, 0-9:2, 1,5,7-9; 0-99%8: 8 at once", short="a", metavar="INDICES"),
    Option(
        "sweep",
        "once for each value, which stands for {NAME}: a,b or 1..5 or 0..1..0.1 or log:1e-5..1e-2..4 or @FILE; with "
        "several once for each combination (repeatable)",
        kind="list",
        metavar="NAME=VALUES",
    ),
    Option("zip", "once for the first values of all, once for the second ones, ...", kind="flag"),
    Option(
        "each",
        "once for each line of FILE or stdin (-), which stands for {}; of a .csv or .tsv for each row: {COLUMN}",
        completes="file",
    ),
    Option("sample", "only N of all indices; N:SEED draws others", metavar="N"),
    Option("throttle", "at most N of its indices at once, over all nodes", metavar="N", read=partial(integer, low=1)),
    Option(
        "max-fails", "start no more once N indices have failed", metavar="N", read=partial(integer, low=1), absent=0
    ),
    Option(
        "logs",
        "which output of its indices is kept once they have ended (default: all, a pair of files for each; failed: of "
        "those that are not DONE; packed: all, in one file for each node)",
        metavar="WHICH",
        choices=("all", "failed", "packed"),
    ),
    Option("dry-run", "say how many there are, and the first and last commands; submit nothing", kind="flag"),
)
_OF_ARRAYS = ("zip", "sample", "throttle", "max_fails", "logs")
SHOWN = 3
"""How many of the first and of the last commands a dry run shows."""
Command = tuple[tuple[str, ...], bool]
"""A command, and whether it is one line for bash."""


def said(fields: dict[str, Any], *, file: str) -> Said | None:
    """What the options say of an array, taken out of the fields; None if it is none. Raises UsageError."""
    array, sweep, each = fields.pop("array"), fields.pop("sweep"), fields.pop("each")
    others = {name: fields.pop(name) for name in _OF_ARRAYS}
    if not (array or sweep or each):
        lone = next((name for name, value in others.items() if value), "")
        if lone:
            option = f"--{lone.replace('_', '-')}"
            raise UsageError(f"{option} is of tasks with indices", hint="it goes with --array, --sweep or --each")
        return None
    if file:
        raise UsageError("a file brings the commands: no sweep can stand beside it", hint="--each FILE is of arguments")
    from leaseq.sweep import Said

    return Said(array=array, sweeps=sweep, each=each, **others)


def with_array(app: App, task: Task, said: Said) -> Task:
    """The task with its array; what is worth a remark is said. Raises UsageError."""
    from leaseq.sweep import array_of, fitted

    array, remarks = array_of(said, read=content)
    made, more = fitted(task, array)
    for remark in (*remarks, *more):
        app.out.talk(f"leaseq: {remark}")
    return made


def content(name: str) -> bytes:
    """What the user's file holds, or stdin for `-`; raises UsageError."""
    try:
        if name == "-":
            return sys.stdin.buffer.read()
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None


def tell_dry_run(app: App, like: Task, commands: list[Command], *, json: bool) -> None:
    """How many tasks there would be and what the first and last of them run."""
    number, shown = _instances(like, commands)
    indices = like.array.indices if like.array else None
    if json:
        rows = [{"index": index, "argv": list(argv), "env": env} for index, argv, env in shown]
        app.out.document({"count": number, "indices": indices, "commands": rows})
        return
    what = count(number, "index", "indices") if like.array else count(number, "task")
    app.out.line(f"{what}{f' ({indices})' if indices and len(indices) < 40 else ''}; nothing is submitted")
    size = len(str(shown[-1][0]))
    for place, (index, argv, _) in enumerate(shown):
        if place == SHOWN and number > len(shown):
            app.out.line(f"  {'...':>{size}}")
        app.out.wrap(f"  {index:>{size}}  {visible(_line(argv))}", indent=size + 4)


def _line(argv: tuple[str, ...]) -> str:
    return argv[0] if len(argv) == 1 else joined(argv)


def _instances(like: Task, commands: list[Command]) -> tuple[int, list[tuple[int, tuple[str, ...], dict[str, str]]]]:
    """(how many there are, index, words and variables of the first and last ones)"""
    if like.array is None:
        places = list(_ends(len(commands)))
        return len(commands), [(place, commands[place][0], {}) for place in places]
    from leaseq.arrays import Expansion

    expansion = Expansion(like, like.array)
    chosen = (expansion.indices[place] for place in _ends(len(expansion.indices)))
    return len(expansion.indices), [(index, *expansion.at(index)) for index in chosen]


def _ends(number: int) -> Iterable[int]:
    if number <= 2 * SHOWN:
        return range(number)
    return _joined(range(SHOWN), range(number - SHOWN, number))


def _joined(*parts: Iterable[int]) -> Iterator[int]:
    for part in parts:
        yield from part
