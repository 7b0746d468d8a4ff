"""Help: the list of commands, one command, or a topic. Always to stdout, never through a pager."""

from __future__ import annotations

import sys

from leaseq.cli import exits
from leaseq.cli.columns import wrapped
from leaseq.cli.command import Option
from leaseq.cli.output import terminal_columns
from leaseq.cli.table import command, foreign_hint
from leaseq.commands import ALIASES, COMMANDS
from leaseq.errors import LeaseqError, Unavailable, UsageError
from leaseq.models import State
from leaseq.values import nearest_hint

INTRO = """\
leaseq: tasks that outlive sessions, on this host or in a lease from Slurm

  leaseq submit -- python train.py  queue a task; prints its id
  leaseq tasks                      what is queued, running, done
  leaseq follow last                watch the newest task's output
"""

TOPICS = {
    "selectors": """\
A command that takes a task takes
  T0c4kp9xw2v1        an id
  T0c4                the first letters of an id, if only one task's begins so (any case)
  last, last-2        the task submitted last, and the second before it
  T0c4,T9aa           several, joined by commas or as separate words
  T0c4_17, last_3     an index of an array; T0c4_100-199, T0c4_1,5,7-9: several
An id is found in whichever lease has it, the one in use first; with --lease in
that one alone. `last` is of one lease, by the clocks of the hosts that submitted:
if they differ, so does what is newest.
Tasks are not chosen by name: `leaseq tasks --search WORD` finds their ids.
""",
    "states": """\
PENDING    PD  waits; the reason says for what (Queued, GPU, Behind, Held, LeaseTime, ...)
RUNNING    R   runs
DONE       CD  ended with exit code 0
FAILED     F   ended with another exit code, or could not start
CANCELLED  CA  was cancelled
TIMEOUT    TO  ran into its --time
LOST       NF  nobody can know how it ended; `leaseq recover` queues it again
STUCK      ST  taken by a runner that is down; `leaseq recover` shows the next step
UNKNOWN    ??  taken by a runner that has been silent for more than a minute: wait
Filters take both spellings in any case.
""",
    "exit-codes": f"""\
0 ok   {LeaseqError.exit_code} failure   {UsageError.exit_code} wrong usage, not found or refused   \
{Unavailable.exit_code} try again later   {exits.INTERRUPTED} Ctrl-C
`wait` and `follow` give the task's own exit code (128 + N after signal N), and
{State.CANCELLED.exit_code} cancelled   {State.TIMEOUT.exit_code} ran into its time limit   \
{State.LOST.exit_code} lost   {exits.OVER} `wait --timeout` is over
""",
    "environment": """\
LEASEQ_HOME       where everything is kept (~/.leaseq); on a file system that all nodes share
LEASEQ_LEASE      the default lease (set in a lease's shell and in tasks)
LEASEQ_NODE_DIR   node-local files of runners (/tmp/leaseq-UID)
LEASEQ_READONLY=1 refuse every command that changes something
LEASEQ_DEBUG=1    show the traceback of a bug
NO_COLOR          never colours
CLICOLOR_FORCE    always colours
A task sees LEASEQ_TASK_ID, LEASEQ_ATTEMPT, LEASEQ_LEASE, LEASEQ_NODE, LEASEQ_GPUS, LEASEQ_SLOT,
LEASEQ_TASK_DIR (its own directory for results: `submit --task-dir` makes it, or `mkdir -p` in the task),
of an array LEASEQ_ARRAY_INDEX, LEASEQ_ARRAY_SIZE and LEASEQ_PARAM_NAME of each parameter,
and its GPUs in CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES or ZE_AFFINITY_MASK.
""",
}


PIPE_COLUMNS = 78
"""How wide help is if no terminal says."""
LEFT_MAX = 30
"""The text of a name that is wider stands below the name."""
MARGIN = 36
"""A text that begins farther to the right goes on at the left if it is wrapped."""


def show(words: list[str]) -> int:
    """The help of those words is on stdout, no wider than the terminal."""
    room = terminal_columns() if sys.stdout.isatty() else PIPE_COLUMNS
    print("\n".join(text_for(words, room)))
    return 0


def text_for(words: list[str], room: int) -> list[str]:
    """The help of those words, in lines of at most so many columns; raises UsageError."""
    name = " ".join(word for word in words if not word.startswith("-"))
    name = "" if name == "help" else ALIASES.get(name, name)
    members = [member for member in COMMANDS if member.split()[0] == name]
    if not name:
        topics = (
            "`leaseq COMMAND --help` says more, `man leaseq` (`leaseq help --man`) all. Topics of `leaseq help`: "
            + ", ".join(TOPICS)
        )
        return [*_laid(INTRO, room), "", *_listing(list(COMMANDS), room), "", *wrapped(topics, room)]
    if name in TOPICS:
        return _laid(TOPICS[name], room)
    if name in COMMANDS:
        return _of_command(name, room)
    if members:
        return _listing(members, room)
    near = foreign_hint(name) or nearest_hint(name, [*COMMANDS, *TOPICS])
    raise UsageError(f"there is no help on {name!r}", hint=near or f"topics: {', '.join(TOPICS)}")


def _of_command(name: str, room: int) -> list[str]:
    found = command(name)
    lines = [*wrapped(f"leaseq {name} {found.usage}".rstrip(), room, indent="    "), ""]
    lines += [line for text in found.about.rstrip().split("\n") for line in wrapped(text, room)]
    lines.append("")
    if found.examples:
        lines += [line for example in found.examples for line in wrapped(f"  {example}", room, indent="    ")]
        lines.append("")
    rows = [of_option(option) for option in found.options]
    rows.append(("-h, --help", "this text"))
    return lines + _two_columns(rows, room)


def of_option(option: Option) -> tuple[str, str]:
    """How it is typed, and what it means."""
    if option.kind == "flag" and option.default == "true":
        return option.typed, option.help
    short = f"-{option.short}, " if option.short else ""
    value = "" if option.kind == "flag" else f" {option.stands_for}"
    taken = f": {', '.join(option.choices[:-1])} or {option.choices[-1]}" if option.choices else ""
    default = f" (default {option.default})" if option.default else ""
    return f"{short}{option.typed}{value}", f"{option.help}{taken}{default}"


def _listing(names: list[str], room: int) -> list[str]:
    return _two_columns([(name, COMMANDS[name].about) for name in names], room)


def _laid(text: str, room: int) -> list[str]:
    """A text of lines; what stands after several blanks in one is a column of its own."""
    lines = []
    for line in text.rstrip("\n").split("\n"):
        gap = line.rfind("  ") + 2 if "  " in line else 0
        lines += wrapped(line, room, indent=" " * (gap if gap <= MARGIN else 4))
    return lines


def _two_columns(rows: list[tuple[str, str]], room: int) -> list[str]:
    """Names at the left, what they mean at the right."""
    size = min(max(len(left) for left, _ in rows), LEFT_MAX, max(room // 2 - 4, 8))
    lines: list[str] = []
    for left, text in rows:
        if len(left) > size:
            lines += wrapped(f"  {left}", room, indent="    ")
            left = ""
        first, *rest = wrapped(text, max(room - size - 4, 8))
        lines.append(f"  {left:<{size}}  {first}")
        lines += [f"{'':<{size + 4}}{line}" for line in rest]
    return [line.rstrip() for line in lines]
