"""Tasks, nodes and leases as table rows, as lines and as JSON: the one place that says what is shown of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from leaseq.cli.columns import Column
from leaseq.cli.output import COLOURS, Output, iso, stamp
from leaseq.forms import Form
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import ALL_GPUS, ANY, Array, Need, Outcome, State, Task
from leaseq.protocol.edges import BEGIN, OK
from leaseq.protocol.history import command_text
from leaseq.protocol.submission import environment_known
from leaseq.reading.views import ArrayView, NodeView, Snapshot, TaskView, duration, need_text
from leaseq.upstream import Upstream
from leaseq.words import about, count, memory, reason_code

if TYPE_CHECKING:
    from leaseq.reading.find import Detail


VALUES_SHOWN, VALUES_WIDTH = 12, 200
"""How many values of a parameter of an array are shown, in how many letters."""
ID_LETTERS = 8
"""So many letters of an id nearly always name one task alone."""


def short_id(task_id: str) -> str:
    task, _, index = task_id.partition("_")
    return task[:ID_LETTERS] + (f"_{index}" if index else "")


def _reason(row: TaskView, exit: str) -> str:
    """Why the task is as it is; of one that failed and gave no other reason, its exit code. Of an array, its counts."""
    if row.array is not None:
        return _array_text(row, row.array)
    failed = row.state is State.FAILED and not row.reason and row.exit_code is not None
    return f"{exit} {row.exit_code}" if failed else row.reason


_COUNTS = Form(r"^([0-9,]+): [0-9,]+ [a-z]")
_DONE, _BAD = Form(r"([0-9,]+) done"), Form(r"([0-9,]+) failed")


def _array_text(row: TaskView, array: ArrayView) -> str:
    """The counts of an array, when it will be over, and why nothing of it runs."""
    left = array.left_seconds
    said = [str(array)]
    said += [f"{about(left)} left"] if left is not None and not row.state.ended else []
    # That of one that has ended says the counts again, perhaps with why it was ended before.
    why, colon, _ = row.reason.partition(": ")
    reason = (why if colon else "") if row.state.ended else row.reason
    said += [reason] if reason and not array.counts.get(State.RUNNING) else []
    return ", ".join(said)


def short_cause(text: str) -> str:
    """A cell of `short_reason` in few letters: a code, and which attempt it is; of an array how far it is."""
    if match := _COUNTS.search(text):
        done, bad = _DONE.search(text), _BAD.search(text)
        return f"{done[1] if done else 0}/{match[1]}" + (f" {bad[1]}F" if bad else "")
    reason, attempt, number = text.rpartition("(attempt ")
    if not attempt:
        return reason_code(text)
    return f"{reason_code(reason.strip())} #{number[:-1]}".strip()


TASK_COLUMNS = (
    Column("ID", code=short_id),
    Column("ST"),
    Column("REASON", code=short_cause, least=12, rank=6),
    Column("NODE", least=8, rank=4, ending=True),
    Column("GPUS", least=7, rank=2),
    Column("ELAPSED", right=True, rank=5),
    Column("EXIT", right=True, rank=1),
    Column("NAME", least=10, rank=3, into="COMMAND"),
    Column("COMMAND", least=24),
)
GROUP_AT = 7
GROUPED_COLUMNS = (*TASK_COLUMNS[:GROUP_AT], Column("GROUP", least=6, rank=3), *TASK_COLUMNS[GROUP_AT:])
"""Where there are groups, and for a pipe, whose reader counts columns."""


def task_table(out: Output, found: Sequence[TaskView], *, values: bool = False) -> None:
    """The rows as a table. values: of indices, in the place of their commands."""
    table, grouped = [], not out.watched or any(row.group for row in found)
    for row in found:
        exit_code = "" if row.exit_code is None else str(row.exit_code)
        reason = short_reason(row, whole=not out.watched)
        cells = [row.id, out.state(row.state), reason, "" if row.node == ANY else row.node, gpu_text(row)]
        group = [row.group] if grouped else []
        last = values_text(row.values) if values and row.values is not None else row.command
        table.append([*cells, duration(row.elapsed_seconds), exit_code, *group, row.name, last])
    columns = GROUPED_COLUMNS if grouped else TASK_COLUMNS
    columns = (*columns[:-1], Column("VALUES", least=24)) if values else columns
    out.table(columns, table, paint=[COLOURS[row.state] for row in found])


def values_text(values: Mapping[str, str]) -> str:
    """The values of an index in one cell."""
    return " ".join(f"{name}={value}" if name else value for name, value in values.items())


def short_reason(row: TaskView, *, whole: bool = False) -> str:
    """The reason in one cell, with the attempt if that is not the first; cut unless `whole`: `info` has all of it."""
    reason = _reason(row, "exit")
    if not whole and len(reason) > 32 and row.array is None:
        reason = reason[:31] + "~"
    return f"{reason} (attempt {row.attempt})".strip() if row.attempt > 1 else reason


def gpu_text(row: TaskView) -> str:
    """Which GPUs it has (`#0,1`), or while it waits how many it needs (`2`)."""
    if row.gpus:
        return f"#{','.join(row.gpus)}"
    if row.need is None or row.need.gpus is None:
        return ""
    return "all" if row.need.gpus == ALL_GPUS else str(row.need.gpus)


def task_json(row: TaskView) -> dict[str, object]:
    return {
        "id": row.id,
        "attempt": row.attempt,
        "state": row.state.name,
        "code": row.state.code,
        "reason": row.reason,
        "node": "" if row.node == ANY else row.node,
        "name": row.name,
        "group": row.group,
        "command": row.command,
        "need": need_json(row.need),
        "gpus": list(row.gpus),
        "submitted": row.submitted,
        "submitted_at": iso(row.submitted),
        "started": row.started,
        "started_at": iso(row.started),
        "ended": row.ended,
        "ended_at": iso(row.ended),
        "elapsed_seconds": row.elapsed_seconds,
        "exit_code": row.exit_code,
        "pid": row.pid,
        "waits_for": [wait.up.word for wait in row.waits],
        "array": array_json(row.array),
        "values": None if row.values is None else dict(row.values),
    }


def array_json(array: ArrayView | None) -> dict[str, object] | None:
    if array is None:
        return None
    return {
        "size": array.size,
        "counts": {
            state.name: array.waiting if state is State.PENDING else array.counts.get(state, 0) for state in State
        },
        "mean_seconds": array.mean_seconds,
        "left_seconds": array.left_seconds,
    }


def need_json(need: Need | None) -> dict[str, object] | None:
    if need is None:
        return None
    gpus = "all" if need.gpus == ALL_GPUS else need.gpus
    return {"gpus": gpus, "cpus": need.cpus, "mem_mb": need.mem_mb, "time_seconds": need.time_seconds}


def node_json(view: NodeView) -> dict[str, object]:
    beat = view.heartbeat
    body: dict[str, object] = {
        "node": view.node,
        "health": view.health.value,
        "age_seconds": view.age_seconds,
        "why": view.why,
        "pending": view.pending,
        "claimed": view.claimed,
    }
    if beat is not None:
        body |= {
            "state": beat.state,
            "pid": beat.pid,
            "host": beat.host,
            "cpus": beat.cpus,
            "free_cpus": beat.free_cpus,
            "mem_mb": beat.mem_mb,
            "free_mem_mb": beat.free_mem_mb,
            "gpus": list(beat.gpus),
            "gpus_known": beat.gpus_known,
            "free_gpus": list(beat.free_gpus),
            "load": beat.load,
            "idle_seconds": beat.idle_seconds,
        }
    return body


def status_json(snapshot: Snapshot) -> dict[str, object]:
    record = snapshot.lease
    return {
        "lease": snapshot.lease_id,
        "name": record.name if record else "",
        "kind": record.kind if record else "",
        "ended": bool((record and record.ended) or snapshot.end),
        "tasks": {state.name: snapshot.totals[state] for state in State},
        "nodes": [node_json(view) for view in snapshot.nodes],
        "notes": list(snapshot.notes),
        "paused": snapshot.limits.stop(""),
        "groups": {
            group: {"paused": snapshot.limits.stop(group), "parallel": snapshot.limits.parallel.get(group)}
            for group in snapshot.limits.groups
        },
    }


# -- one task --------------------------------------------------------------------------------------


def detail_json(lease: LeaseDir, each: Detail, *, env: bool) -> dict[str, object]:
    """Everything known of the task; the values of its environment only if they were asked for."""
    body = {**task_json(each.view), "lease": lease.id, "cleaned": each.view.cleaned}
    body["redone_as"] = list(each.redone_as)
    task = each.task
    if task is not None:
        body |= {
            "argv": list(task.argv),
            "shell": task.shell,
            "command": command_text(task),
            "cwd": task.cwd,
            "need": need_json(task.need),
            "retries": task.retries,
            "on_lost": task.on_lost,
            "requeue": task.requeue,
            "key": task.key,
            "user": task.user,
            "host": task.host,
            "redo_of": task.redo_of,
            "after": [Upstream.parse(word).word for word in task.after],
            "on_dep": task.on_dep or "cancel",
            "export": task.export,
            "env_given": list(task.env_given),
            "env_names": sorted(task.env) if environment_known(task) else None,
        }
        if env:
            body["env"] = dict(task.env) if environment_known(task) else None
    body["attempts"] = [attempt_json(lease, outcome) for outcome in each.outcomes]
    body["logs"] = {stream: lease.log(each.view.id, each.view.attempt, stream) for stream in ("out", "err")}
    body["task_dir"] = lease.results(each.view.id)
    body["file"] = f"{each.view.place.directory}/{each.view.place.name}" if each.view.place else None
    return body


def attempt_json(lease: LeaseDir, outcome: Outcome) -> dict[str, object]:
    return {
        "attempt": outcome.attempt,
        "state": outcome.state.name,
        "reason": outcome.reason,
        "requeued": outcome.requeued,
        "node": outcome.node,
        "gpus": list(outcome.gpus),
        "pid": outcome.pid,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "started": outcome.started,
        "ended": outcome.ended,
        "ended_at": iso(outcome.ended),
        "elapsed_seconds": outcome.elapsed_seconds,
        "because": Upstream.parse(outcome.because).word if outcome.because else "",
        "max_rss_mb": outcome.max_rss_mb,
        "cpu_seconds": outcome.cpu_seconds,
        "counts": dict(outcome.counts) or None,
        "out": lease.log(outcome.task.id, outcome.attempt, "out"),
        "err": lease.log(outcome.task.id, outcome.attempt, "err"),
    }


def detail_lines(lease: LeaseDir, each: Detail, *, env: bool) -> Iterable[tuple[str, str]]:
    """What is known of the task as (title, text); a title may be empty. The text is as it was stored."""
    row, task = each.view, each.task
    yield "id", row.id
    yield "lease", lease.id
    reason = _reason(row, "exit code")
    yield "state", f"{row.state.name} ({row.state.code})" + (f": {reason}" if reason else "")
    if row.name:
        yield "name", row.name
    if row.group:
        yield "group", row.group
    if task is not None and not task.shell:
        yield "command", command_text(task)
    else:
        yield "command", row.command + ("   (bash -c)" if task else "")
    if task is not None:
        if task.array is not None:
            yield from _array_lines(task.array)
        yield "directory", task.cwd
        if task.task_dir:
            yield "task dir", lease.results(task.id)
        yield "need", need_text(task.need)
        if task.retries or task.on_lost or task.requeue:
            again = [count(task.retries, "retry", "retries")] if task.retries else []
            again += [f"on loss {task.on_lost}"] if task.on_lost else []
            again += ["requeued when the lease ends"] if task.requeue else []
            yield "again", ", ".join(again)
        yield "env", _environment_text(task)
        for name in sorted(task.env) if env else ():
            yield "", f"{name}={task.env[name]}"
        if task.after:
            yield (
                "after",
                ", ".join(said_after(word) for word in task.after)
                + ("; held if that never comes" if task.on_dep else ""),
            )
        if task.redo_of:
            yield "redo of", task.redo_of
        if each.redone_as:
            yield "redone as", ", ".join(each.redone_as)
        yield "submitted", f"{stamp(task.submitted)} by {task.user or '?'} on {task.host or '?'}"
    for number, wait in enumerate(row.waits):
        yield "" if number else "waits for", wait.text
    if not row.state.ended:
        if row.node and row.node != ANY:
            yield "node", row.node
        if row.started:
            yield "started", f"{stamp(row.started)} ({duration(row.elapsed_seconds)} ago)"
        if row.gpus:
            yield "gpus", ",".join(row.gpus)
        if row.pid:
            yield "pid", str(row.pid)
        if row.place:
            yield "file", shlex.quote(f"{row.place.directory}/{row.place.name}")
    for outcome in each.outcomes:
        yield f"attempt {outcome.attempt}", _attempt_text(outcome)
    if row.cleaned:
        yield "cleaned", "`leaseq clean` has removed its results and its output; this is its line of history"
        return
    if row.values:
        yield "values", values_text(row.values)
    if row.array is not None:
        one = f"{row.id}_{Indices.parse(task.array.indices).first}" if task and task.array else f"{row.id}_INDEX"
        yield "each", f"`leaseq tasks {row.id}` lists its indices, `leaseq logs {one}` shows the output of one"
        return
    started = [outcome.attempt for outcome in each.outcomes if outcome.started]
    if row.state is not State.PENDING and not row.state.ended:
        started.append(row.attempt)
    for attempt in started:
        for stream in ("out", "err"):
            yield f"std{stream}" + (f" {attempt}" if len(started) > 1 else ""), lease.log(row.id, attempt, stream)


def _array_lines(array: Array) -> Iterable[tuple[str, str]]:
    """What differs between the indices of an array."""
    indices = Indices.parse(array.indices)
    limits = [f"at most {array.throttle:,} at once"] if array.throttle else []
    limits += [f"none starts once {count(array.max_fails, 'index', 'indices')} failed"] if array.max_fails else []
    yield "indices", ", ".join([f"{len(indices):,} ({_shortened(array.indices)})", *limits])
    for axis in array.axes:
        for number, (name, values) in enumerate(axis.items()):
            text = values if isinstance(values, str) else _shortened(", ".join(values[:VALUES_SHOWN]))
            more = "" if isinstance(values, str) or len(values) <= VALUES_SHOWN else f" … ({len(values):,})"
            yield "values" if not number else "  with", f"{name or '{}'} = {text}{more}"


def _shortened(text: str) -> str:
    return text if len(text) <= VALUES_WIDTH else f"{text[:VALUES_WIDTH]} …"


def said_after(word: str) -> str:
    """What a task is to come after, as `--after` says it; of a time, the time."""
    up = Upstream.parse(word)
    return f"not before {stamp(float(up.id))}" if up.kind == BEGIN else up.id if up.kind == OK else up.word


def _environment_text(task: Task) -> str:
    """What of its submitter's environment the task has: names that were said, and how many there are."""
    if not environment_known(task):
        return "not known: an older leaseq wrote down how it ended"
    said = [f"--export {task.export}"] if task.export else []
    said += [f"--env {' '.join(task.env_given)}"] if task.env_given else []
    return ", ".join([count(len(task.env), "variable"), *said])


def _attempt_text(outcome: Outcome) -> str:
    # The lease ended under it, and it is known how it ended itself: nothing was lost.
    interrupted = outcome.requeued == "requeue" and outcome.exit_code is not None
    parts = ["interrupted" if interrupted else outcome.state.name]
    if outcome.exit_code is not None:
        parts.append(f"exit code {outcome.exit_code}" + (f" (signal {outcome.signal})" if outcome.signal else ""))
    if outcome.reason:
        parts.append(outcome.reason)
    if outcome.started:
        parts.append(f"{stamp(outcome.started)} to {stamp(outcome.ended)}")
        if outcome.elapsed_seconds is not None:
            parts.append(duration(outcome.elapsed_seconds))
    elif outcome.ended:
        parts.append(stamp(outcome.ended))
    if outcome.node:
        parts.append(f"on {outcome.node}" + (f" pid {outcome.pid}" if outcome.pid else ""))
    if outcome.gpus:
        parts.append(f"GPU{'s' * (len(outcome.gpus) > 1)} {','.join(outcome.gpus)}")
    if outcome.max_rss_mb is not None:
        parts.append(f"peak memory {memory(outcome.max_rss_mb)}")
    if outcome.requeued:
        parts.append(f"queued again ({outcome.requeued})")
    return ", ".join(parts)
