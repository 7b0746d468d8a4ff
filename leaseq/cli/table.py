"""Every command, in the order of the help, with the module that holds it. Modules are imported when they are used."""

from __future__ import annotations

FAMILIES: dict[str, tuple[str, str]] = {
    "tui": ("tui", "the monitor: leases, nodes, tasks and their output, live"),
    "submit": ("submit", "queue a task, or a file of tasks"),
    "add": ("add", "ask Slurm for a lease, and open a shell on it"),
    "status": ("look", "counts of tasks and the health of nodes"),
    "tasks": ("look", "list tasks"),
    "info": ("look", "everything known of a task"),
    "logs": ("logs", "show a task's output"),
    "follow": ("logs", "stream a task's output until it ends; gives its exit code"),
    "wait": ("wait", "wait for tasks; gives their exit code"),
    "cancel": ("change", "cancel pending tasks, end running ones"),
    "hold": ("change", "keep pending tasks from starting"),
    "release": ("change", "let held tasks start"),
    "redo": ("redo", "submit tasks again"),
    "recover": ("redo", "list stuck and lost tasks, and queue them again"),
    "lease ls": ("lease", "list leases"),
    "lease info": ("lease", "everything known of a lease"),
    "lease use": ("lease", "choose the lease that commands mean"),
    "lease release": ("give_back", "give a lease back"),
    "lease hold-queue": ("give_back", "keep a lease from starting tasks"),
    "lease adopt": ("carry", "put runners into an allocation made elsewhere"),
    "move": ("carry", "pending tasks of one lease become another's"),
    "shell": ("shell", "open a shell, or run a command, in a lease"),
    "daemon start": ("daemon", "start this host's runner"),
    "daemon stop": ("daemon", "stop this host's runner; running tasks go on"),
    "daemon status": ("daemon", "tell whether this host's runner is alive"),
    "daemon restart": ("daemon", "stop the runner and start it again; tasks go on"),
    "clean": ("clean", "remove old results and logs"),
    "doctor": ("doctor", "look whether everything is as it must be"),
    "config show": ("configure", "show the settings and where they come from"),
}
"""Words of the command to (module in leaseq.cli, one line of help). A module's COMMANDS holds the rest."""

ALIASES = {"monitor": "tui", "ls": "tasks", "log": "logs", "lease list": "lease ls", "info lease": "lease info"}
GROUP_DEFAULTS = {"lease": "lease ls", "daemon": "daemon status", "config": "config show"}
"""What a group means alone."""
