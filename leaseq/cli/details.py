"""All that is known of one task, as lines and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from leaseq.cli.output import iso, stamp
from leaseq.cli.rows import need_json, reason_of, task_json, values_text
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import ANY, KEEP_FAILED, KEEP_PACKED, Array, Outcome, State, Task
from leaseq.origin import Origin
from leaseq.protocol.edges import BEGIN, OK
from leaseq.protocol.history import command_text
from leaseq.protocol.submission import environment_known
from leaseq.reading.used import used
from leaseq.reading.views import ArrayView, duration, need_text
from leaseq.upstream import Upstream
from leaseq.words import count, memory

if TYPE_CHECKING:
    from leaseq.reading.find import Detail

KEPT = {
    KEEP_FAILED: "kept of indices that are not DONE",
    KEEP_PACKED: "packed into one file for each node, once an index has ended",
}
VALUES_SHOWN, VALUES_WIDTH = 12, 200
"""How many values of a parameter of an array are shown, in how many letters."""


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
            "source": _origin_json(task.origin) if task.origin else None,
            "env_names": sorted(task.env) if environment_known(task) else None,
        }
        if env:
            body["env"] = dict(task.env) if environment_known(task) else None
    body["attempts"] = [attempt_json(lease, outcome) for outcome in each.outcomes]
    body["logs"] = {stream: lease.log(each.view.id, each.view.attempt, stream) for stream in ("out", "err")}
    own = task.array.logs if task is not None and task.array is not None else ""
    body["kept_logs"] = each.kept_logs or own or "all"
    body["packed"] = [
        {"attempt": attempt, "stream": stream, "path": part.path, "offset": part.offset, "bytes": part.length}
        for (attempt, stream), part in each.packed.items()
    ]
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
        "source": _origin_json(outcome.task.origin) if outcome.task.origin else None,
        "out": lease.log(outcome.task.id, outcome.attempt, "out"),
        "err": lease.log(outcome.task.id, outcome.attempt, "err"),
    }


def detail_lines(lease: LeaseDir, each: Detail, *, env: bool) -> Iterable[tuple[str, str]]:
    """What is known of the task as (title, text); a title may be empty. The text is as it was stored."""
    row, task = each.view, each.task
    yield "id", row.id
    yield "lease", lease.id
    reason = reason_of(row, "exit code")
    yield "state", f"{row.state.name} ({row.state.code})" + (f": {reason}" if reason else "")
    if row.error:
        yield "last error", row.error
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
        if task.origin:
            yield from _origin_lines(row.id, task.origin)
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
        if row.array is not None and row.array.fraction is not None:
            yield "progress", row.array.pace
        if row.progress is not None:
            yield "progress", f"{row.progress} (its output says so)"
        if row.gpus:
            yield "gpus", ",".join(row.gpus)
        if row.pid:
            yield "pid", str(row.pid)
        if said := used(row.cpus_used, row.rss_mb):
            yield "uses", said
        if row.place:
            yield "file", shlex.quote(f"{row.place.directory}/{row.place.name}")
    for outcome in each.outcomes:
        yield f"attempt {outcome.attempt}", attempt_text(outcome)
        past = outcome.task.origin
        if past and task is not None and not past.says_as(task.origin):
            yield from _origin_lines(row.id, past, attempt=outcome.attempt)
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
            title = f"std{stream}" + (f" {attempt}" if len(started) > 1 else "")
            yield title, _log_text(lease, each, attempt, stream)


def _log_text(lease: LeaseDir, each: Detail, attempt: int, stream: str) -> str:
    """Where that output is."""
    if part := each.packed.get((attempt, stream)):
        return f"{part.path}: {part.length:,} bytes from byte {part.offset:,} on" if part.length else "empty"
    state = next((outcome.state for outcome in each.outcomes if outcome.attempt == attempt), None)
    if each.kept_logs == KEEP_FAILED and state is State.DONE:
        return "not kept: --logs failed, and it is DONE"
    return lease.log(each.view.id, attempt, stream)


def _array_lines(array: Array) -> Iterable[tuple[str, str]]:
    """What differs between the indices of an array."""
    indices = Indices.parse(array.indices)
    limits = ArrayView(len(indices), throttle=array.throttle, max_fails=array.max_fails).limits
    yield "indices", ", ".join(filter(None, [f"{len(indices):,} ({_shortened(array.indices)})", limits]))
    if array.logs in KEPT:
        yield "output", KEPT[array.logs]
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


def attempt_text(outcome: Outcome) -> str:
    """How an attempt ended, in one line."""
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


COMMIT_LETTERS = 10


def _origin_lines(task_id: str, origin: Origin, *, attempt: int = 0) -> Iterable[tuple[str, str]]:
    """From which code it was queued, and with which Python. attempt: of that one, if not the newest."""
    of = f" {attempt}" if attempt else ""
    if origin.commit or origin.note:
        branch = f" ({origin.branch})" if origin.branch else ""
        said = [f"{origin.commit[:COMMIT_LETTERS]}{branch}" + (" and changes" if origin.dirty else "")]
        said += [f"in {origin.root}"] if origin.root else []
        said += [f"as of {stamp(origin.time)}"] if origin.time else []
        said += [f"`leaseq diff {task_id}{of and f' -k{of}'}` shows them"] if origin.diff else []
        said += [origin.note] if origin.note else []
        yield f"code{of}", ", ".join(each for each in said if each)
    if origin.python:
        environment = f" (environment {origin.environment})" if origin.environment else ""
        yield f"python{of}", f"{origin.python}{environment}"


def _origin_json(origin: Origin) -> dict[str, object]:
    names = ("root", "commit", "branch", "remote", "dirty", "diff", "note", "python", "environment", "tree")
    return {**{name: getattr(origin, name) for name in names}, "time": origin.time or None, "time_at": iso(origin.time)}
