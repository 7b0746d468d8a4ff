"""From a command's name to its module, which is imported when it is used; and words that other tools have for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.commands import COMMANDS

if TYPE_CHECKING:
    from leaseq.cli.command import Command

FOREIGN = {
    "tasks": "ps top queue jobs list history squeue qstat",
    "submit": "run start exec batch sbatch srun qsub queue-task enqueue new",
    "cancel": "kill rm stop delete remove abort scancel qdel end",
    "redo": "rerun resubmit again repeat",
    "info": "show describe inspect details stat",
    "follow": "attach watch tail",
    "logs": "cat output",
    "status": "nodes hosts sinfo stats",
    "hold": "stash",
    "release": "unhold",
    "pause": "suspend",
    "resume": "unpause continue",
    "group": "groups",
    "recover": "requeue",
    "add": "up alloc allocate salloc",
    "lease release": "down give-back",
    "lease ls": "leases",
    "lease use": "use switch",
    "shell": "ssh bash sh connect login",
    "clean": "purge prune gc",
    "doctor": "check diagnose",
    "config show": "settings",
}
"""A command to words that other tools have for it."""
FOREIGN_IN = {
    "lease": {
        "lease release": "rm delete remove stop end kill cancel drop down",
        "lease info": "show describe status",
        "lease use": "set switch select default",
        "add": "add new create start",
        "lease hold-queue": "hold pause drain",
        "lease idle": "timeout autostop",
    },
    "daemon": {"daemon start": "up run", "daemon stop": "kill end down", "daemon status": "info show ls"},
    "config": {"config show": "list ls get set edit"},
}
"""The same for the second word of a group."""


def command(name: str) -> Command:
    """The command of that name, from the file that is named as the command is typed."""
    from importlib import import_module

    found: Command = import_module(f"leaseq.cli.{name.replace(' ', '_').replace('-', '_')}").COMMAND
    return found


def foreign_hint(word: str, *, group: str = "") -> str:
    """The command that other tools call so, as a question; empty if there is none."""
    words = FOREIGN_IN.get(group, {}) if group else FOREIGN
    for name, others in words.items():
        if word.lower() in others.split():
            return f"did you mean `leaseq {name}`? ({COMMANDS[name].about})"
    return ""
