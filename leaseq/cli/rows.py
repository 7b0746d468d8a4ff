"""Tasks, nodes and leases as table rows, as lines and as JSON: the one place that says what is shown of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from leaseq.cli.columns import Column
from leaseq.cli.output import COLOURS, Output, iso
from leaseq.forms import Form
from leaseq.heartbeat import GpuUse
from leaseq.models import ALL_GPUS, ANY, Need, State
from leaseq.reading.views import ArrayView, NodeView, Progress, Snapshot, TaskView, duration
from leaseq.words import about, reason_code, visible

if TYPE_CHECKING:
    pass


ID_LETTERS = 8
"""So many letters of an id nearly always name one task alone."""


def short_id(task_id: str) -> str:
    task, _, index = task_id.partition("_")
    return task[:ID_LETTERS] + (f"_{index}" if index else "")


def reason_of(row: TaskView, exit: str) -> str:
    """Why the task is as it is; of one that failed and gave no other reason, its exit code. Of an array, its counts."""
    if row.array is not None:
        return _array_text(row, row.array)
    failed = row.state is State.FAILED and not row.reason and row.exit_code is not None
    return f"{exit} {row.exit_code}" if failed else row.reason


_COUNTS = Form(r"^([0-9,]+): [0-9,]+ [a-z]")
_PERCENT = Form(r"^(\d+ %)(?:( of )|(?: ·|,)( \S+) left)?")
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
    """A cell of `short_reason` in few letters: a code, and which attempt it is; how far an array is, or what runs."""
    if match := _COUNTS.search(text):
        done, bad = _DONE.search(text), _BAD.search(text)
        return f"{done[1] if done else 0}/{match[1]}" + (f" {bad[1]}F" if bad else "")
    if match := _PERCENT.search(text):
        return match[1] + (" of part" if match[2] else match[3] or "")
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
        reason = short_reason(row, whole=not out.watched, ascii=out.ascii)
        cells = [row.id, out.state(row.state), reason, "" if row.node == ANY else row.node, gpu_text(row)]
        group = [row.group] if grouped else []
        last = values_text(row.values) if values and row.values is not None else row.command
        if row.error and out.watched and not values:
            last = f"{row.error} {'-' if out.ascii else '·'} {last}"
        table.append([*cells, duration(row.elapsed_seconds), exit_code, *group, row.name, last])
    columns = GROUPED_COLUMNS if grouped else TASK_COLUMNS
    columns = (*columns[:-1], Column("VALUES", least=24)) if values else columns
    out.table(columns, table, paint=[COLOURS[row.state] for row in found])


def values_text(values: Mapping[str, str]) -> str:
    """The values of an index in one cell."""
    return " ".join(f"{name}={value}" if name else value for name, value in values.items())


def short_reason(row: TaskView, *, whole: bool = False, ascii: bool = False) -> str:
    """The reason, or how far a running task is, in one cell, with the attempt if that is not the first.

    It is cut unless `whole`: `info` has all of it.
    """
    reason = reason_of(row, "exit") or how_far(row, ascii=ascii)
    if not whole and len(reason) > 32 and row.array is None:
        reason = reason[:31] + "~"
    return f"{reason} (attempt {row.attempt})".strip() if row.attempt > 1 else reason


def how_far(row: TaskView, *, ascii: bool) -> str:
    """How far a running task is, by its output; empty if that says nothing."""
    text = str(row.progress or "")
    return text.replace(" · ", ", ") if ascii else text


def progress_line(row: TaskView, *, ascii: bool) -> str:
    """A running task in a few words: `T7sd008m vit-l 43 % · 1:12 left`."""
    return visible(" ".join(filter(None, [short_id(row.id), row.name, how_far(row, ascii=ascii)])))


def progress_of(row: TaskView) -> dict[str, object]:
    return {"id": row.id, "name": row.name, **(progress_json(row.progress) or {})}


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
        "cpus_used": row.cpus_used,
        "rss_mb": row.rss_mb,
        "progress": progress_json(row.progress),
        "error": row.error or None,
        "waits_for": [wait.up.word for wait in row.waits],
        "array": array_json(row.array),
        "values": None if row.values is None else dict(row.values),
    }


def progress_json(progress: Progress | None) -> dict[str, object] | None:
    if progress is None:
        return None
    return {
        "fraction": round(progress.fraction, 4),
        "part": progress.part or None,
        "left_seconds": progress.left_seconds,
    }


def array_json(array: ArrayView | None) -> dict[str, object] | None:
    if array is None:
        return None
    return {
        "size": array.size,
        "counts": {
            state.name: array.waiting if state is State.PENDING else array.counts.get(state, 0) for state in State
        },
        "throttle": array.throttle,
        "max_fails": array.max_fails,
        "fraction": None if array.fraction is None else round(array.fraction, 4),
        "per_second": array.per_second,
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
            "mem_used_mb": beat.mem_used_mb,
            "gpu_use": [gpu_json(use) for use in beat.gpu_use],
            "idle_seconds": beat.idle_seconds,
            "idle_limit_seconds": beat.idle_limit_seconds,
            "unused_seconds": beat.unused_seconds,
            "used_by": beat.used_by,
        }
    return body


def gpu_json(use: GpuUse) -> dict[str, object]:
    return {
        "token": use.token,
        "uuid": use.uuid,
        "name": use.name,
        "utilisation": use.utilisation,
        "mem_used_mb": use.mem_used_mb,
        "mem_total_mb": use.mem_total_mb,
        "temperature_c": use.temperature_c,
        "power_w": use.power_w,
        "idle_seconds": use.idle_seconds,
        "stranger_mb": use.stranger_mb,
    }


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
