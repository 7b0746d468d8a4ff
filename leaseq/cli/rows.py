"""Tasks, nodes and leases as table rows, as lines and as JSON: the one place that says what is shown of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from leaseq.cli.columns import Column
from leaseq.cli.output import COLOURS, Output, iso, stamp
from leaseq.layout import LeaseDir
from leaseq.models import ALL_GPUS, ANY, Need, Outcome, State, Task
from leaseq.protocol.history import command_text
from leaseq.protocol.submission import environment_known
from leaseq.reading.views import NodeView, Snapshot, TaskView, duration, need_text
from leaseq.words import count, memory, reason_code

if TYPE_CHECKING:
    from leaseq.reading.find import Detail


ID_LETTERS = 8
"""So many letters of an id nearly always name one task alone."""


def short_id(task_id: str) -> str:
    return task_id[:ID_LETTERS]


def _reason(row: TaskView, exit: str) -> str:
    """Why the task is as it is; of one that failed and gave no other reason, its exit code."""
    failed = row.state is State.FAILED and not row.reason and row.exit_code is not None
    return f"{exit} {row.exit_code}" if failed else row.reason


def short_cause(text: str) -> str:
    """A cell of `short_reason` in few letters: a code, and which attempt it is."""
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


def task_table(out: Output, found: Sequence[TaskView]) -> None:
    """The rows as a table."""
    table, grouped = [], not out.watched or any(row.group for row in found)
    for row in found:
        exit_code = "" if row.exit_code is None else str(row.exit_code)
        reason = short_reason(row, whole=not out.watched)
        cells = [row.id, out.state(row.state), reason, "" if row.node == ANY else row.node, gpu_text(row)]
        group = [row.group] if grouped else []
        table.append([*cells, duration(row.elapsed_seconds), exit_code, *group, row.name, row.command])
    out.table(GROUPED_COLUMNS if grouped else TASK_COLUMNS, table, paint=[COLOURS[row.state] for row in found])


def short_reason(row: TaskView, *, whole: bool = False) -> str:
    """The reason in one cell, with the attempt if that is not the first; cut unless `whole`: `info` has all of it."""
    reason = _reason(row, "exit")
    if not whole and len(reason) > 32:
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
        "max_rss_mb": outcome.max_rss_mb,
        "cpu_seconds": outcome.cpu_seconds,
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
        if task.redo_of:
            yield "redo of", task.redo_of
        if each.redone_as:
            yield "redone as", ", ".join(each.redone_as)
        yield "submitted", f"{stamp(task.submitted)} by {task.user or '?'} on {task.host or '?'}"
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
    started = [outcome.attempt for outcome in each.outcomes if outcome.started]
    if row.state is not State.PENDING and not row.state.ended:
        started.append(row.attempt)
    for attempt in started:
        for stream in ("out", "err"):
            yield f"std{stream}" + (f" {attempt}" if len(started) > 1 else ""), lease.log(row.id, attempt, stream)


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
        parts.append(f"{stamp(outcome.started)} to {stamp(outcome.ended)}, {duration(outcome.elapsed_seconds)}")
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
