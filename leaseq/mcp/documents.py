"""What tools answer, as documents that stay short however many tasks there are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leaseq.models import ALL_GPUS, ANY, Outcome
from leaseq.reading.logtail import folded
from leaseq.reading.views import NodeView, TaskView
from leaseq.words import visible

BYTES_MAX = 16_000
"""No answer is longer."""
WORDS_MAX = 160
"""So many letters of a command, a reason, a path are shown."""
LINE_MAX, VALUES_MAX = 400, 20
Document = dict[str, Any]


def text_of(document: Mapping[str, Any]) -> str:
    """The document as JSON. If it is too long its longest part is cut, and `left_out` says by how much of a list."""
    cut = dict(document)
    while (size := len((text := _json(cut)).encode())) > BYTES_MAX:
        name = max(
            (name for name, value in cut.items() if isinstance(value, (list, str))), key=lambda at: len(_json(cut[at]))
        )
        kept = len(cut[name]) * BYTES_MAX // (size + BYTES_MAX // 4)
        if isinstance(cut[name], list):
            cut["left_out"] = cut.get("left_out", 0) + len(cut[name]) - kept
        cut[name] = cut[name][:kept]
    return text


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def known(**fields: Any) -> Document:
    """The fields, but for those of which nothing is known or to be said."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


def short(text: str) -> str:
    """The text in one line, cut."""
    whole = " ".join(text.split())
    line = visible(whole[: 2 * WORDS_MAX])  # of a long text only what may be shown
    return line if len(line) <= WORDS_MAX and len(whole) <= 2 * WORDS_MAX else f"{line[: WORDS_MAX - 2]}.."


def row(view: TaskView) -> Document:
    """A task, or an index of an array, in a line."""
    counts = {state.name: number for state, number in view.array.counts.items() if number} if view.array else {}
    return known(
        id=view.id,
        state=view.state.name,
        attempt=view.attempt if view.attempt > 1 else None,
        name=view.name,
        group=view.group,
        node="" if view.node == ANY else view.node,
        reason=short(view.reason),
        exit_code=view.exit_code,
        seconds=None if view.elapsed_seconds is None else round(view.elapsed_seconds, 1),
        indices=view.array.size if view.array else None,
        counts=counts,
        values={short(name): short(value) for name, value in list((view.values or {}).items())[:VALUES_MAX]},
        error=short(view.error),
        command=short(view.command),
    )


def some(rows: Sequence[TaskView], most: int, *, total: int | None = None) -> Document:
    """The first rows, and how many were left out."""
    left = (len(rows) if total is None else total) - min(len(rows), most)
    return {"tasks": [row(each) for each in rows[:most]], **known(left_out=left if left > 0 else None)}


def end(outcome: Outcome) -> Document:
    """How a task has ended."""
    return known(
        id=outcome.task.id,
        attempt=outcome.attempt if outcome.attempt > 1 else None,
        state=outcome.state.name,
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        reason=short(outcome.reason),
        node=outcome.node,
        seconds=round(outcome.elapsed_seconds, 1) if outcome.elapsed_seconds is not None else None,
    )


def node(view: NodeView) -> Document:
    """A node, and what of it is booked."""
    beat = view.heartbeat
    return known(
        node=view.node,
        runner=view.health.value,
        why=short(view.why),
        tasks=view.claimed or None,
        cpus=f"{view.booked_cpus} of {beat.cpus} booked" if beat else "",
        gpus=f"{len(view.booked_gpus)} of {len(beat.gpus)} booked" if beat and beat.gpus else "",
    )


def lines(text: str, most: int) -> list[str]:
    """The last lines of an output, as a terminal would have left them, each cut."""
    found = [folded(line) for line in text.encode("utf-8", "surrogateescape").split(b"\n")]
    shown = [visible(line.decode("utf-8", "replace")).rstrip()[:LINE_MAX] for line in found]
    while shown and not shown[-1]:
        shown.pop()
    return shown[-most:]


def within(texts: Iterable[str], size: int) -> list[str]:
    """The last of the texts, as many as have so many bytes together."""
    kept: list[str] = []
    for each in reversed(list(texts)):
        size -= len(each.encode("utf-8", "replace")) + 3
        if size < 0:
            break
        kept.append(each)
    return kept[::-1]


def need(view: TaskView) -> Document:
    """What a task books."""
    of = view.need
    if of is None:
        return {}
    gpus = "all" if of.gpus == ALL_GPUS else of.gpus
    return known(gpus=gpus, cpus=of.cpus, mem_mb=of.mem_mb, time_seconds=of.time_seconds)
