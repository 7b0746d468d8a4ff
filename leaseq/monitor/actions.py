"""The command lines that keys stand for, as a person would type them, and the questions before them."""

from __future__ import annotations

import shlex

from leaseq import commands
from leaseq.lease.lookup import BAD
from leaseq.models import State
from leaseq.monitor.deed import Undo
from leaseq.monitor.effects import Foreground, Run, command_line
from leaseq.monitor.model import Scene
from leaseq.monitor.overlays import Confirm, Field, Form
from leaseq.reading.views import Health, TaskView, duration
from leaseq.words import count

ACTIVE = (State.RUNNING, State.STUCK, State.UNKNOWN)


def on_lease(scene: Scene, verb: str, *words: str) -> tuple[str, ...]:
    return (verb, "--lease", scene.data.lease_id, *words)


# -- tasks -------------------------------------------------------------------------------------------


def cancel(scene: Scene) -> Confirm | str:
    """The question before tasks are cancelled; or why there is nothing to cancel."""
    tasks = [task for task in scene.chosen if not task.state.ended]
    if not tasks:
        return "it has ended already" if scene.chosen else "no task is selected"
    active = [task for task in tasks if task.state in ACTIVE]
    pending = len(tasks) - len(active)
    lines = []
    if active:
        longest = max((scene.elapsed(task) or 0.0 for task in active), default=0.0)
        lines.append(f"ends {count(len(active), 'running task')}: TERM now, KILL if that is not enough")
        lines.append(f"{duration(longest)} of work {'is' if len(active) == 1 else 'at most are'} cut off")
    if pending:
        lines.append(
            f"takes {count(pending, 'pending task')} off the queue; u brings {'it' if pending == 1 else 'them'} back"
        )
    if len(tasks) == 1:
        lines.append(short_command(tasks[0]))
    title = f"cancel {tasks[0].id}" if len(tasks) == 1 else f"cancel {count(len(tasks), 'task')}"
    waiting = {task.id: "held" if task.held else "" for task in tasks if task.state is State.PENDING}
    undo = Undo(scene.data.lease_id, "cancel", tuple(waiting), before=waiting) if waiting else None
    return Confirm(title, tuple(lines), on_lease(scene, "cancel", *(task.id for task in tasks)), undo=undo)


def short_command(task: TaskView) -> str:
    text = f"{task.name}: {task.command}" if task.name else task.command
    return text[:120]


def retry(scene: Scene) -> Confirm | Run | str:
    """One task that went wrong is queued again at once, as its next attempt; several are asked about."""
    bad = [task for task in scene.chosen if BAD.fits(task)]
    if not bad:
        return "it has not gone wrong" if scene.chosen else "no task is selected"
    words = on_lease(scene, "retry", *(task.id for task in bad))
    if len(bad) == 1:
        return Run(words)
    return Confirm(f"retry {len(bad)} tasks", (f"queues {len(bad)} tasks again, as their next attempts",), words)


def redo(scene: Scene) -> Confirm | Run | str:
    """One task is submitted again at once; several are asked about."""
    ended = [task for task in scene.chosen if task.state.ended]
    if not ended:
        return "it has not ended: cancel it first" if scene.chosen else "no task is selected"
    words = on_lease(scene, "redo", *(task.id for task in ended))
    if len(ended) == 1:
        return Run(words)
    return Confirm(f"redo {len(ended)} tasks", (f"submits {len(ended)} new tasks like the marked ones",), words)


def recoverable(task: TaskView) -> bool:
    return task.state is State.STUCK or (task.state is State.LOST and task.place is not None)


def recover(scene: Scene, *, force: bool = False) -> Confirm | str:
    """The question before tasks are put back into the inbox; force: also those that may still run."""
    tasks = [task for task in scene.chosen if recoverable(task)]
    if not tasks:
        return "only a stuck or lost task can be recovered"
    lines: tuple[str, ...] = (
        f"queues {count(len(tasks), 'task')} again, as the next attempt",
        "what was done so far is done twice",
    )
    how = ""
    if force:
        nodes = ", ".join(list(dict.fromkeys(task.node for task in tasks if task.node))[:3])
        lines = (lines[0], f"if {nodes or 'its node'} is up after all, it runs twice at once, on the same files")
        how = " by force"
    title = f"recover {tasks[0].id}{how}" if len(tasks) == 1 else f"recover {len(tasks)} tasks{how}"
    ids = (task.id for task in tasks)
    return Confirm(title, lines, on_lease(scene, "recover", *(["--force"] if force else []), *ids))


def hold(scene: Scene) -> Run | str:
    """Pending tasks are held; held ones are let go."""
    tasks = [task for task in scene.chosen if task.state is State.PENDING]
    if not tasks:
        return "only a pending task can be held"
    verb = "release" if all(task.held for task in tasks) else "hold"
    ids = tuple(task.id for task in tasks if task.held == (verb == "release"))
    return Run(on_lease(scene, verb, *ids), undo=Undo(scene.data.lease_id, verb, ids))


# -- leases ------------------------------------------------------------------------------------------


def release_lease(scene: Scene) -> Confirm | str:
    """The question before a lease is released, with what it costs."""
    row = scene.meant
    if row is None:
        return "no lease is selected"
    title = f"release lease {row.id}" + (f" {row.name}" if row.name else "")
    words = ("lease", "release", row.id, "--yes")
    watched = row.id == scene.data.lease_id
    active, pending = scene.count(*ACTIVE), scene.count(State.PENDING)
    ends = f"ends {count(active, 'running task')}" if watched else "ends every task that runs there"
    stay = (
        f"{count(pending, 'pending task')} stay{'s' * (pending == 1)} queued" if watched else "pending ones stay queued"
    )
    if row.is_of_hosts:
        hosts = f"takes {count(len(row.nodes), 'host')} out of it" if row.nodes else "it has no host now"
        return Confirm(title, (f"{hosts}, {ends};", stay), words)
    if not row.is_borrowed:
        return Confirm(title, (f"stops this host's runner, {ends};", stay), words)
    if row.word == "PENDING":
        return Confirm(title, ("takes it out of Slurm's queue: it holds no node yet;", stay), words)
    held = len(row.nodes) or sum(view.health is not Health.STOPPED for view in scene.nodes)
    return Confirm(title, (f"releases {count(held, 'node')}, {ends};", stay), words)


# -- forms -------------------------------------------------------------------------------------------


def submit_form(scene: Scene) -> Form:
    fields = (
        Field("command", hint="python train.py --epochs 100"),
        Field("GPUs", hint="a number or all; empty: the whole node, alone"),
        Field("CPUs", hint="a number"),
        Field("memory", hint="8G"),
        Field("time", hint="2h, 90m, 1-00:00:00"),
        Field("name", hint="for tables"),
        Field("node", hint="empty: whichever has room first"),
        Field("directory", hint="empty: where the monitor was started"),
        Field("more", hint="any other options of submit: --group eval --retries 2"),
    )
    return Form("submit", f"submit to {scene.data.lease_id}", fields, lease=scene.data.lease_id)


def add_form(scene: Scene) -> Form:
    fields = (
        Field("profile", hint="from config.yaml; empty: none"),
        Field("partition", hint="-p, as sbatch takes it"),
        Field("nodes", hint="-N"),
        Field("time", hint="-t 4:00:00"),
        Field("GPUs", hint="per node, or type:count"),
        Field("name", hint="a name for the lease"),
        Field("more", hint="any other sbatch options"),
    )
    return Form("add", "new Slurm lease", fields)


SUBMIT_OPTIONS = {
    "GPUs": "--gpus",
    "CPUs": "--cpus",
    "memory": "--mem",
    "time": "--time",
    "name": "--name",
    "node": "--node",
    "directory": "--cwd",
}


def form_words(form: Form) -> tuple[str, ...]:
    """The command line that the form stands for; raises ValueError if quotes do not match."""
    if form.kind == "submit":
        given = _options(form, SUBMIT_OPTIONS)
        more = shlex.split(form.value("more"))
        return ("submit", "--lease", form.lease, *given, *more, "--", form.value("command"))
    own = _options(form, {"profile": "--profile", "name": "--name"})
    slurm = [f"--{label}={form.value(label)}" for label in ("partition", "nodes", "time") if form.value(label)]
    slurm += [f"--gres=gpu:{form.value('GPUs')}"] if form.value("GPUs") else []
    return ("add", "--detach", *own, "--", *slurm, *shlex.split(form.value("more")))


def _options(form: Form, options: dict[str, str]) -> list[str]:
    return [word for label, flag in options.items() if form.value(label) for word in (flag, form.value(label))]


def form_line(form: Form) -> str:
    try:
        return command_line(form_words(form))
    except ValueError as error:
        return f"quotes do not match: {error}"


def form_trouble(form: Form) -> str:
    """Why the form cannot be carried out yet; empty if it can."""
    if form.kind == "submit" and not form.value("command"):
        return "which command?"
    try:
        form_words(form)
    except ValueError as error:
        return f"quotes do not match: {error}"
    return ""


def preview(form: Form) -> Run:
    """The script that the lease would have."""
    words = form_words(form)
    return Run((words[0], "--dry-run", *words[2:]), whole=True, back=form)


def typed(text: str, *, readonly: bool) -> Run | Foreground | str:
    """What a typed command line means; or why it cannot be run here."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        return f"quotes do not match: {error}"
    words = words[1:] if words[:1] == ("leaseq",) else words
    if not words:
        return ""
    command = commands.known(words)
    if readonly and (command is None or command.changes):
        return f"read-only: `{words[0]}` is not run"
    if words[0] in ("tui", "monitor"):
        return "this is the monitor"
    waits = words[0] == "add" and not {"--detach", "--dry-run"} & set(words)
    if waits or (command is not None and command.terminal):
        return Foreground(words, pause=True)
    return Run(words)
