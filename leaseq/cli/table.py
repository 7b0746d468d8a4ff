"""Every command, in the order of the help, with the module that holds it. Modules are imported when they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaseq.cli.command import Command

FAMILIES: dict[str, tuple[str, str]] = {
    "tui": ("tui", "the monitor: leases, nodes, tasks and their output, live"),
    "submit": ("submit", "queue a task, or a file of tasks"),
    "add": ("add", "ask Slurm for a lease, and open a shell on it"),
    "status": ("status", "counts of tasks and the health of nodes"),
    "tasks": ("tasks", "list tasks"),
    "info": ("info", "details of tasks"),
    "logs": ("logs", "show a task's output"),
    "follow": ("follow", "stream a task's output until it ends; gives its exit code"),
    "wait": ("wait", "wait for tasks; gives their exit code"),
    "cancel": ("cancel", "cancel pending tasks, end running ones"),
    "hold": ("hold", "keep pending tasks from starting"),
    "release": ("hold", "let held tasks start"),
    "redo": ("redo", "submit tasks again"),
    "retry": ("retry", "queue ended tasks again, as their next attempt"),
    "recover": ("recover", "list stuck and lost tasks, and queue them again"),
    "lease ls": ("lease_ls", "list leases"),
    "lease info": ("lease_info", "details of a lease"),
    "lease use": ("lease_use", "choose the default lease"),
    "lease release": ("lease_release", "release a lease"),
    "lease hold-queue": ("lease_hold_queue", "keep a lease from starting tasks"),
    "lease adopt": ("lease_adopt", "put runners into an allocation made elsewhere"),
    "move": ("move", "pending tasks of one lease become another's"),
    "shell": ("shell", "open a shell, or run a command, in a lease"),
    "daemon start": ("daemon_start", "start this host's runner"),
    "daemon stop": ("daemon_stop", "stop this host's runner; running tasks go on"),
    "daemon status": ("daemon_status", "tell whether this host's runner is alive"),
    "daemon restart": ("daemon_start", "stop the runner and start it again; tasks go on"),
    "clean": ("clean", "remove old results and logs"),
    "doctor": ("doctor", "check that everything works"),
    "config show": ("config_show", "show the settings and where they come from"),
}
"""Words of the command to (module in leaseq.cli, one line of help). A module's COMMANDS holds the rest."""

ALIASES = {"monitor": "tui", "ls": "tasks", "log": "logs", "lease list": "lease ls", "info lease": "lease info"}
GROUP_DEFAULTS = {"lease": "lease ls", "daemon": "daemon status", "config": "config show"}
"""What a group means alone."""

FOREIGN = {
    "tasks": "ps top queue jobs list history squeue qstat",
    "submit": "run start exec batch sbatch srun qsub queue-task enqueue new",
    "cancel": "kill rm stop delete remove abort scancel qdel end",
    "redo": "rerun resubmit again repeat",
    "info": "show describe inspect details stat",
    "follow": "attach watch tail",
    "logs": "cat output",
    "status": "nodes hosts sinfo stats",
    "hold": "pause suspend stash",
    "release": "resume unpause continue unhold",
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
    },
    "daemon": {"daemon start": "up run", "daemon stop": "kill end down", "daemon status": "info show ls"},
    "config": {"config show": "list ls get set edit"},
}
"""The same for the second word of a group."""


def command(name: str) -> Command:
    """The command of that name, from its module."""
    from importlib import import_module

    found: Command = import_module(f"leaseq.cli.{FAMILIES[name][0]}").COMMANDS[name]
    return found


def foreign_hint(word: str, *, group: str = "") -> str:
    """Which command is called so elsewhere, as a question; nothing where none is."""
    words = FOREIGN_IN.get(group, {}) if group else FOREIGN
    for name, others in words.items():
        if word.lower() in others.split():
            return f"did you mean `leaseq {name}`? ({FAMILIES[name][1]})"
    return ""
