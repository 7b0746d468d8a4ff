"""Pending tasks are made other than they were, under their own ids."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, Refused, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Located
from leaseq.models import ANY, State, Task
from leaseq.names import Entry, is_node, with_priority
from leaseq.protocol import dependents, edges, edits, records, tasks
from leaseq.reading.views import TaskView
from leaseq.verbs import upstreams
from leaseq.verbs.access import Access
from leaseq.verbs.changes import Changes
from leaseq.verbs.fits import Fits
from leaseq.verbs.moving import act_on


@dataclass(frozen=True)
class Wish:
    """What a pending task is to be."""

    made: Callable[[Task], Task]
    """The task as it is to be, from what it is; its id stays."""
    priority: int | None = None
    """None: as it is."""
    after: tuple[tuple[str, str], ...] | None = None
    """What it is to come after: what is waited for, and the word that names tasks; None: what it does."""
    opened: str = ""
    """The name of the file that the wish was made from; empty: whatever it is now."""


@dataclass(frozen=True)
class Changed:
    """What became of a task that was to be changed."""

    lease: LeaseDir
    task: Task
    entry: Entry
    said: tuple[str, ...]
    """What is different, in words; nothing if it was so already."""


def wish(
    changes: Changes, *, priority: int | None, group: str | None, after: tuple[tuple[str, str], ...] | None = None
) -> Wish:
    """What a line of options asks of any task."""

    def made(task: Task) -> Task:
        changed = changes.applied(task)
        if not (changes.env or changes.export):
            # A pending task's file has its environment, whatever that is.
            changed = replace(changed, env=task.env, export=task.export, env_given=task.env_given)
        return changed if group is None else replace(changed, group=group)

    return Wish(made, priority, after)


def opened(access: Access, each: Located) -> tuple[Task, Entry]:
    """The pending task as it is, and its file's name; raises UsageError if it has started, and Refused."""
    row = each.row
    if row.state is not State.PENDING:
        raise UsageError(f"{row.id} {started(row)}: only pending tasks are changed", hint=way_on(row))
    try:
        if row.place is None:
            raise FileNotFoundError
        entry = Entry.parse(row.place.name)
        return tasks.read_task(access.fs, f"{row.place.directory}/{row.place.name}", entry), entry
    except (FileNotFoundError, Malformed) as error:
        raise Refused(f"{row.id}: its file cannot be read now ({error})", hint="try again") from None


def change(access: Access, each: Located, wished: Wish, *, fits: Fits) -> Changed:
    """The pending task is as wished, durably; raises UsageError if it has started, and what `fits` raises."""
    return act_on(access, each, partial(_change, wished=wished, fits=fits))


def _change(access: Access, each: Located, *, wished: Wish, fits: Fits) -> Changed | None:
    row, lease, fs = each.row, each.reader.lease, access.fs
    if row.state is not State.PENDING:
        raise UsageError(f"{row.id} {started(row)}: nothing of it was changed", hint=way_on(row))
    if row.place is None or not row.place.directory.startswith((lease.inboxes, lease.helds, lease.waitings)):
        return None
    old = Entry.parse(row.place.name)
    if old.count:
        raise Refused(f"{row.id} is an array, which is not changed as a whole", hint=f"`leaseq redo {row.id}`")
    if wished.opened and str(old) != wished.opened:
        raise Refused(f"{row.id} was changed by somebody else meanwhile: it is as that left it")
    try:
        task = tasks.read_task(fs, f"{row.place.directory}/{row.place.name}", old)
    except FileNotFoundError:
        return None
    except Malformed as error:
        raise Refused(f"{row.id}: its file cannot be used ({error})", hint="`leaseq info` says more") from None
    new, ups = wished.made(task), None
    if wished.after is not None:
        new, ups = upstreams.replaced(access, lease, new, wished.after)
    place = old.order if wished.priority is None else with_priority(old.order, wished.priority)
    entry = replace(old, order=place, need=new.need, group=new.group, edited=old.edited + 1)
    said = differences(task, new, old, entry)
    if not said:
        return Changed(lease, task, old, ())
    pinned = row.place.directory.rpartition("/")[2]
    node = new.node if new.node != task.node and (new.node == ANY or is_node(new.node)) else pinned
    fits.refuse(lease, new.need, node, named=node if node not in (ANY, pinned) else "")
    if node != ANY:
        records.prepare_node(fs, lease, node)
    waits = row.place.directory.startswith(lease.waitings) if ups is None else bool(ups)
    held = row.place.directory.startswith(lease.helds)
    directory = lease.held(node) if held else lease.waiting(node) if waits else lease.inbox(node)
    if waits:
        edges.prepare(fs, lease, node)
    done = edits.change(fs, lease, row.place.directory, old, directory, entry, new, ups=ups)
    if waits:
        # What it waits for may have come while it was on its way.
        dependents.look(fs, lease, now=access.clock.now(), only=[entry.key])
    if ups and done:
        # Somebody may have changed another one at the same moment.
        upstreams.refuse_circle(access, lease, new.id, ups, made=True)
    return Changed(lease, new, entry, said) if done else None


FIELDS = ("argv", "name", "group", "after", "cwd", "node", "retries", "on_lost", "requeue", "env", "task_dir")


def differences(old: Task, new: Task, before: Entry, after: Entry) -> tuple[str, ...]:
    """What is different, by the words of options."""
    said = [name.replace("_", "-") for name in FIELDS if getattr(old, name) != getattr(new, name)]
    needs = {"gpus": "gpus", "cpus": "cpus", "mem_mb": "mem", "time_seconds": "time"}
    said += [word for name, word in needs.items() if getattr(old.need, name) != getattr(new.need, name)]
    if before.order != after.order:
        said.append("priority")
    if old.shell != new.shell and "argv" not in said:
        said.append("argv")
    return tuple("command" if word == "argv" else word for word in said)


def started(row: TaskView) -> str:
    """That the task is pending no more, in words."""
    return f"has ended: it is {row.state.name}" if row.state.ended else f"has started: it is {row.state.name}"


def way_on(row: TaskView) -> str:
    """What one may do of a task that is pending no more, and was to be changed."""
    if row.state.ended:
        return f"`leaseq redo {row.id}` with these options, or --edit, submits a new one"
    return f"`leaseq cancel {row.id}`, and then `leaseq redo {row.id}` with these options, or --edit, submits a new one"
