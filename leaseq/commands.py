"""Every command, in the order of the help: what it is, and whether it changes something.

Light, and below all that types, runs or shows commands. What a command's line may hold is said in `leaseq.cli`, in the
file that is named as the command is typed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from leaseq.dataclass import dataclass

READONLY = "LEASEQ_READONLY"
"""The environment variable under which nothing is changed: 1, or anything but 0 and nothing."""


@dataclass(frozen=True)
class Known:
    """What is known of a command without its module."""

    about: str
    changes: bool = True
    """False if it only looks: it writes nothing, starts nothing and decides nothing.

    `wait` and `follow` let what is known of a lease be done while they wait, unless that is forbidden (`readonly`).
    """
    terminal: bool = False
    """True if it needs the terminal, or lasts as long as something else does."""


COMMANDS = {
    "tui": Known("the monitor: leases, nodes, tasks and their output, live", changes=False, terminal=True),
    "submit": Known("queue a task, or a file of tasks"),
    "add": Known("ask Slurm for a lease, and open a shell on it"),
    "status": Known("counts of tasks and the health of nodes", changes=False),
    "tasks": Known("list tasks", changes=False),
    "info": Known("details of tasks", changes=False),
    "why": Known("say what a task waits for, and when it may start", changes=False),
    "triage": Known("say what went wrong with a task, and what to try", changes=False),
    "diff": Known("show the changes that a task was submitted with", changes=False),
    "logs": Known("show a task's output", changes=False),
    "follow": Known("stream a task's output until it ends; gives its exit code", changes=False, terminal=True),
    "wait": Known("wait for tasks; gives their exit code", changes=False, terminal=True),
    "cancel": Known("cancel pending tasks, end running ones"),
    "hold": Known("keep pending tasks from starting"),
    "release": Known("let held tasks start"),
    "set": Known("change pending tasks: need, priority, group"),
    "edit": Known("change pending tasks in an editor", terminal=True),
    "signal": Known("send running tasks a signal"),
    "pause": Known("start nothing more of a lease or a group; it outlives runners"),
    "resume": Known("start tasks of a paused lease or group again"),
    "group": Known("list groups; limit how many of one run at once"),
    "redo": Known("submit tasks again"),
    "retry": Known("queue ended tasks again, as their next attempt"),
    "recover": Known("list stuck and lost tasks, and queue them again"),
    "lease ls": Known("list leases", changes=False),
    "lease info": Known("details of a lease", changes=False),
    "lease use": Known("choose the default lease"),
    "lease idle": Known("say how long a lease may stand unused"),
    "lease release": Known("release a lease"),
    "lease keep": Known("let one job of a lease follow the other, for so long"),
    "lease scale": Known("say how many jobs a lease may have as its tasks need them"),
    "lease hold-queue": Known("keep a lease from starting tasks"),
    "lease adopt": Known("put runners into an allocation made elsewhere"),
    "move": Known("move pending tasks to another lease or node"),
    "shell": Known("open a shell, or run a command, in a lease", terminal=True),
    "ssh-config": Known("let ssh, rsync and editors reach a lease's nodes"),
    "forward": Known("bring a port of a node to this host", terminal=True),
    "daemon start": Known("start this host's runner"),
    "daemon stop": Known("stop this host's runner; running tasks go on"),
    "daemon status": Known("show whether this host's runner is alive", changes=False),
    "daemon restart": Known("stop the runner and start it again; tasks go on"),
    "report": Known("say what leases held, what tasks booked of it, and what lay idle", changes=False),
    "clean": Known("remove old results and logs"),
    "hook ls": Known("list hooks: commands that hear of what happens", changes=False),
    "hook add": Known("add a hook: your command, or a ready one"),
    "hook test": Known("call a hook with a made-up event, here and now"),
    "hook remove": Known("remove a hook"),
    "doctor": Known("check this host, the home, Slurm and the lease's nodes"),
    "init": Known("write the first settings, by some questions", terminal=True),
    "config show": Known("show the settings and where they come from", changes=False),
    "skill": Known("print a guide to leaseq for coding agents", changes=False),
    "mcp": Known("serve tools for coding agents, on stdin and stdout", changes=False, terminal=True),
    "completion": Known("print what makes bash, zsh or fish complete leaseq's words", changes=False),
}
ALIASES = {"monitor": "tui", "ls": "tasks", "log": "logs", "lease list": "lease ls", "info lease": "lease info"}
GROUP_DEFAULTS = {"lease": "lease ls", "daemon": "daemon status", "config": "config show", "hook": "hook ls"}
"""What a group means alone."""
ABOUT_ITSELF = ("help", "version", "--help", "-h", "--version", "-V")
"""First words that only tell of leaseq."""


def known(words: Sequence[str]) -> Known | None:
    """What is known of the command that these words begin with; None if they name none."""
    first = words[0] if words else ""
    if first in ABOUT_ITSELF:
        return Known("", changes=False)
    if first in GROUP_DEFAULTS:
        alone = len(words) == 1 or words[1].startswith("-")
        first = GROUP_DEFAULTS[first] if alone else f"{first} {words[1]}"
    return COMMANDS.get(ALIASES.get(first, first))


def readonly() -> bool:
    """True if the environment forbids every change."""
    return os.environ.get(READONLY, "0") not in ("", "0")
