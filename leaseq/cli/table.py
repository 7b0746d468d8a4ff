"""Every command, in the order of the help, with the module that holds it. Modules are imported when they are used."""

from __future__ import annotations

FAMILIES: dict[str, tuple[str, str]] = {
    "tui": ("tui", "the monitor: leases, nodes, tasks and their output, live"),
    "submit": ("submit", "queue a task, or a file of tasks"),
    "add": ("add", "ask Slurm for a lease, and open a shell on it"),
    "status": ("look", "counts of tasks and the health of nodes"),
    "tasks": ("look", "list tasks"),
    "info": ("look", "details of tasks"),
    "logs": ("logs", "show a task's output"),
    "follow": ("logs", "stream a task's output until it ends; gives its exit code"),
    "wait": ("wait", "wait for tasks; gives their exit code"),
    "cancel": ("change", "cancel pending tasks, end running ones"),
    "hold": ("change", "keep pending tasks from starting"),
    "release": ("change", "let held tasks start"),
    "redo": ("redo", "submit tasks again"),
    "retry": ("retry", "queue ended tasks again, as their next attempt"),
    "recover": ("redo", "list stuck and lost tasks, and queue them again"),
    "lease ls": ("lease", "list leases"),
    "lease info": ("lease", "details of a lease"),
    "lease use": ("lease", "choose the default lease"),
    "lease release": ("give_back", "release a lease"),
    "lease hold-queue": ("give_back", "keep a lease from starting tasks"),
    "lease adopt": ("carry", "put runners into an allocation made elsewhere"),
    "move": ("carry", "pending tasks of one lease become another's"),
    "shell": ("shell", "open a shell, or run a command, in a lease"),
    "daemon start": ("daemon", "start this host's runner"),
    "daemon stop": ("daemon", "stop this host's runner; running tasks go on"),
    "daemon status": ("daemon", "tell whether this host's runner is alive"),
    "daemon restart": ("daemon", "stop the runner and start it again; tasks go on"),
    "clean": ("clean", "remove old results and logs"),
    "doctor": ("doctor", "check that everything works"),
    "config show": ("configure", "show the settings and where they come from"),
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


def foreign_hint(word: str, *, group: str = "") -> str:
    """Which command is called so elsewhere, as a question; nothing where none is."""
    words = FOREIGN_IN.get(group, {}) if group else FOREIGN
    for name, others in words.items():
        if word.lower() in others.split():
            return f"did you mean `leaseq {name}`? ({FAMILIES[name][1]})"
    return ""
