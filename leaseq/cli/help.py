"""Help: the list of commands, one command, or a topic. Always to stdout, never through a pager."""

from __future__ import annotations

from leaseq.cli.main import command
from leaseq.cli.table import ALIASES, FAMILIES
from leaseq.cli.values import nearest_hint
from leaseq.errors import UsageError

INTRO = """\
leaseq: tasks that outlive sessions, on this host or in a Slurm lease

  leaseq submit -- python train.py --epochs 100     queue a task; prints its id
  leaseq tasks                                      what is queued, running, done
  leaseq follow last                                watch the newest task's output
"""

TOPICS = {
    "selectors": """\
Where a command takes a task, it takes
  T0c4kp9xw2v1        an id
  T0c4                the first letters of an id, if only one task's begins so (any case)
  last, last-2        the task submitted last, and the second before it
  T0c4,T9aa           several, joined by commas or as separate words
""",
    "states": """\
PENDING  PD  waits; the reason says for what (Slots, GPU, Held, NodeDown, LeaseTime, ...)
RUNNING  R   runs
DONE     CD  ended with exit code 0
FAILED   F   ended with another exit code, or could not start
CANCELLED CA was cancelled
TIMEOUT  TO  ran into its --time
LOST     NF  nobody can know how it ended; `leaseq recover` queues it again
STUCK    ST  taken by a runner that is down; `leaseq recover` tells the next step
UNKNOWN  ??  taken by a runner that has been silent for more than a minute: wait
Filters take both spellings in any case.
""",
    "exit-codes": """\
0 ok   1 failure   2 wrong usage, not found or refused   75 try again later   130 Ctrl-C
`wait` and `follow` give the task's own exit code (128 + N after signal N), and
120 cancelled   121 ran into its time limit   122 lost   124 `wait --timeout` is over
""",
    "environment": """\
LEASEQ_HOME       where everything is kept (~/.leaseq); on a file system that all nodes share
LEASEQ_LEASE      the lease that commands mean (set in a lease's shell and in tasks)
LEASEQ_NODE_DIR   node-local files of runners (/tmp/leaseq-UID)
LEASEQ_DEBUG=1    show the traceback of a bug
NO_COLOR, CLICOLOR_FORCE   never, always colour
A task sees LEASEQ_TASK_ID, LEASEQ_ATTEMPT, LEASEQ_LEASE, LEASEQ_NODE, LEASEQ_GPUS, CUDA_VISIBLE_DEVICES.
""",
}


def show(words: list[str]) -> int:
    """The help of those words is on stdout."""
    name = " ".join(word for word in words if not word.startswith("-"))
    name = ALIASES.get(name, name)
    members = [member for member in FAMILIES if member.split()[0] == name]
    if not name:
        print(INTRO + "\n" + _listing(list(FAMILIES)))
        print("`leaseq COMMAND --help` tells more. Topics of `leaseq help`: " + ", ".join(TOPICS))
    elif name in TOPICS:
        print(TOPICS[name], end="")
    elif name in FAMILIES:
        print(text_of(name))
    elif members:
        print(_listing(members), end="")
    else:
        near = nearest_hint(name, [*FAMILIES, *TOPICS])
        raise UsageError(f"there is no help on {name!r}", hint=near or f"topics: {', '.join(TOPICS)}")
    return 0


def text_of(name: str) -> str:
    """The help of one command."""
    found = command(name)
    lines = [f"leaseq {name} {found.usage}".rstrip(), "", found.about.rstrip(), ""]
    if found.examples:
        lines += [*(f"  {example}" for example in found.examples), ""]
    rows = []
    for option in found.options:
        short = f"-{option.short}, " if option.short else ""
        metavar = "" if option.kind == "flag" else f" {option.metavar}"
        name = f"{short}--{option.name}{metavar}"
        if option.help.startswith("--no-"):
            name, _, text = option.help.partition(": ")
            rows.append((name, text))
            continue
        rows.append((name, option.help))
    rows.append(("-h, --help", "this text"))
    size = max(len(left) for left, _ in rows)
    lines += [f"  {left.ljust(size)}  {right}" for left, right in rows]
    return "\n".join(lines)


def _listing(names: list[str]) -> str:
    size = max(map(len, names))
    return "".join(f"  {name.ljust(size)}  {FAMILIES[name][1]}\n" for name in names)
