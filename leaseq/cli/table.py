"""From what is typed to a command's name, and from that to its module; and words that other tools have for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.commands import ALIASES, COMMANDS, GROUP_DEFAULTS
from leaseq.errors import UsageError

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
    "init": "setup configure",
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


def command_words(head: list[str]) -> tuple[str, list[str]]:
    """(the command's name, its words); raises UsageError for what is no command."""
    from leaseq.values import nearest_hint

    if not head:
        raise UsageError("no command before `--`", hint="leaseq submit -- COMMAND queues a task")
    if head[0].startswith("-"):
        near = nearest_hint(head[0], ("--help", "--version"))
        hint = near or "options follow the command: leaseq COMMAND OPTIONS"
        raise UsageError(f"no command before {head[0]}", hint=hint)
    first, rest = head[0], head[1:]
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    if first in groups:
        if not rest or rest[0].startswith("-"):
            helped = rest[:1] in (["--help"], ["-h"])
            return (f"help {first}", []) if helped else (GROUP_DEFAULTS[first], rest)
        name, rest = f"{first} {rest[0]}", rest[1:]
        name = ALIASES.get(name, name)
        if name not in COMMANDS:
            members = [member.split()[1] for member in COMMANDS if member.startswith(f"{first} ")]
            near = foreign_hint(head[1], group=first) or nearest_hint(head[1], members)
            raise UsageError(f"`{first}` has no command {head[1]!r}", hint=near or f"one of {', '.join(members)}")
        return name, rest
    name = ALIASES.get(first, first)
    if name not in COMMANDS:
        near = foreign_hint(first) or nearest_hint(first, [*COMMANDS, *groups, "help"])
        raise UsageError(f"{first!r} is not a leaseq command", hint=near or "`leaseq help` lists the commands")
    return name, rest


def foreign_hint(word: str, *, group: str = "") -> str:
    """The command that other tools call so, as a question; empty if there is none."""
    words = FOREIGN_IN.get(group, {}) if group else FOREIGN
    for name, others in words.items():
        if word.lower() in others.split():
            return f"did you mean `leaseq {name}`? ({COMMANDS[name].about})"
    return ""
