"""What a hook is told: a JSON document, and a line of text for a person. Values in, values out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from leaseq.dataclass import dataclass
from leaseq.layout import Home, LeaseDir
from leaseq.models import Event, Lease, State
from leaseq.protocol.hooks import Hook
from leaseq.words import visible

EVENTS_MAX = 100
"""So many events are in one document; all are counted."""
NAMED_MAX = 3
CHARS_MAX = 300
WORDS = {State.DONE: "done", State.FAILED: "failed", State.TIMEOUT: "failed", State.CANCELLED: "cancelled"}


@dataclass(frozen=True)
class Notice:
    """One thing that happened."""

    event: str
    words: str = ""
    """What is to be said of it, beside what it is."""
    task: Event | None = None


def of_event(event: Event) -> Notice | None:
    """What a line of history tells hooks; None if another attempt follows."""
    if event.requeued:
        return None
    return Notice(WORDS.get(event.state, "lost"), task=event)


def text(lease: str, notices: Sequence[Notice]) -> str:
    """All of it for a person, in one line."""
    numbers = Counter(each.event for each in notices if each.task is not None)
    said = [", ".join(f"{number} {event}" for event, number in numbers.items())] if numbers else []
    said += [each.words or each.event for each in notices if each.task is None]
    bad = [each.task for each in notices if each.task is not None and each.event in ("failed", "lost")]
    for task in bad[-NAMED_MAX:]:
        code = "" if task.exit_code is None else f" exit code {task.exit_code}"
        said.append(f"{task.id} {task.state.name}{code} {task.name or task.command[:60]}".strip())
    return visible(f"leaseq, lease {lease}: {'; '.join(said)}")[:CHARS_MAX]


def document(
    hook: str, lease: LeaseDir, record: Lease | None, node: str, notices: Sequence[Notice], *, now: float
) -> bytes:
    """All of it for a program."""
    called = record.name if record is not None and record.name else lease.id
    body = {
        "schema": 1,
        "hook": hook,
        "lease": {"id": lease.id, "name": record.name if record is not None else ""},
        "node": node,
        "time": now,
        "text": text(called, notices),
        "counts": dict(Counter(each.event for each in notices)),
        "events": [_event(lease, each) for each in notices[:EVENTS_MAX]],
    }
    return json.dumps(body).encode() + b"\n"


def environment(hook: Hook, home: Home, lease: LeaseDir, body: bytes, environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment of a hook is that is told this document."""
    said = json.loads(body)
    own = {
        "LEASEQ_HOME": home.root,
        "LEASEQ_LEASE": lease.id,
        "LEASEQ_EVENTS": ",".join(said["counts"]),
        "LEASEQ_TEXT": said["text"],
        "LEASEQ_TEXT_JSON": json.dumps(said["text"]),
    }
    return {**environ, **own, **hook.env}


def _event(lease: LeaseDir, each: Notice) -> Mapping[str, object]:
    task = each.task
    if task is None:
        return {"event": each.event, "words": each.words}
    return {
        "event": each.event,
        "id": task.id,
        "attempt": task.attempt,
        "state": task.state.name,
        "reason": task.reason,
        "exit_code": task.exit_code,
        "name": task.name,
        "group": task.group,
        "command": task.command,
        "node": task.node,
        "started": task.started,
        "ended": task.ended,
        "elapsed_seconds": task.elapsed_seconds,
        "counts": dict(task.counts) or None,
        "out": lease.log(task.id, task.attempt, "out"),
        "err": lease.log(task.id, task.attempt, "err"),
    }
