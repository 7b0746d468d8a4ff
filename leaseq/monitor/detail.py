"""The detail pane: all that is known of the selected task, node or lease."""

from __future__ import annotations

import time

from leaseq.lease import wording
from leaseq.lease.view import LeaseView
from leaseq.models import State
from leaseq.monitor.gpus import detail_row, left_unused
from leaseq.monitor.model import Scene
from leaseq.monitor.pane import Pane
from leaseq.monitor.panes import Rows, node_age, why
from leaseq.monitor.remedies import next_step
from leaseq.monitor.text import pad, wrap
from leaseq.monitor.theme import (
    HEALTH_STYLES,
    STATE_STYLES,
    age,
    health_glyph,
    state_glyph,
)
from leaseq.reading.used import gpu_notes, used
from leaseq.reading.views import NodeView, TaskView, duration, need_text
from leaseq.widths import cells
from leaseq.words import filled, memory, visible

LABEL = 11
BAR_MIN, BAR_MAX = 8, 20
"""How wide the bar of how far a task is may be."""
STYLES_OF_JOBS = {"PENDING": "wait", "ENDED": "dim"}


def detail(scene: Scene, columns: int, height: int) -> Rows:
    """The rows from the pane's top on."""
    rows = content(scene, columns)
    top = min(scene.ui.tops.get(Pane.DETAIL, 0), max(0, len(rows) - height))
    return [pad(row, columns) for row in rows[top : top + height]]


def content(scene: Scene, columns: int) -> Rows:
    """Every row of the detail."""
    if scene.ui.last_list is Pane.NODES and scene.node:
        return _node(scene, scene.node, columns)
    if scene.ui.last_list is Pane.LEASES and scene.lease:
        return _lease(scene, columns)
    return _task(scene, scene.task, columns) if scene.task else [[(" nothing selected", "dim")]]


def heading(scene: Scene) -> str:
    if scene.ui.last_list is Pane.NODES and scene.node:
        return scene.node.node
    if scene.ui.last_list is Pane.LEASES and scene.lease:
        return scene.lease.id
    return scene.task.id if scene.task else ""


def _pairs(pairs: list[tuple[str, str, str]], columns: int) -> Rows:
    rows: Rows = []
    for label, text, style in pairs:
        if not text:
            continue
        for index, part in enumerate(wrap(visible(text), columns - LABEL - 2)):
            rows.append([(f" {label if not index else '':<{LABEL}}", "dim"), (part, style)])
    return rows


def _block(label: str, text: str, columns: int) -> Rows:
    return [[], [(f" {label}", "dim")], *([(f" {part}", "")] for part in wrap(visible(text), columns - 2))]


def clock(epoch: float | None, wall: float) -> str:
    """The local time of day, with the date if it is another day."""
    if not epoch:
        return ""
    stamp, today = time.localtime(epoch), time.localtime(wall or epoch)
    day = "" if stamp[:3] == today[:3] else time.strftime("%Y-%m-%d ", stamp)
    return day + time.strftime("%H:%M:%S", stamp)


def _task(scene: Scene, task: TaskView, columns: int) -> Rows:
    glyph = state_glyph(task.state, ascii_only=scene.ui.ascii)
    reason = why(task) if task.array is None else str(task.array)
    head = f"{glyph} {task.state.name}" + (f" ({reason})" if reason else "")
    waited = ""
    if task.started and task.submitted and task.started >= task.submitted:
        waited = f"after {duration(task.started - task.submitted)}"
    elapsed = duration(scene.elapsed(task))
    pairs = [
        ("state", head, STATE_STYLES[task.state]),
        ("progress", _progress(task, columns - LABEL - 2), "run"),
        ("last error", scene.data.errors.get((task.id, task.attempt), ""), "bad"),
        ("name", task.name, "bold"),
        ("group", task.group, ""),
        ("node", "any" if task.node == "_any" else task.node, ""),
        ("GPUs", ", ".join(task.gpus), ""),
        ("limits", task.array.limits if task.array else "", ""),
        ("books", need_text(task.need) if task.need else "", ""),
        ("uses", used(task.cpus_used, task.rss_mb), ""),
        ("unused GPU", left_unused(scene, task), "warn"),
        ("waits" if task.state is State.PENDING else "runs" if not task.state.ended else "ran", elapsed, ""),
        ("submitted", clock(task.submitted, scene.wall), ""),
        ("started", " ".join(filter(None, [clock(task.started, scene.wall), waited])), ""),
        ("ended", clock(task.ended, scene.wall), ""),
        ("exit code", "" if task.exit_code is None else str(task.exit_code), ""),
        ("attempt", str(task.attempt) if task.attempt > 1 else "", ""),
        ("process", "" if task.pid is None or task.state.ended else str(task.pid), ""),
        ("next step", next_step(scene, task), "warn"),
    ]
    rows = _pairs(pairs, columns)
    view = next((view for view in scene.nodes if view.node == task.node), None)
    if view and view.heartbeat and not task.state.ended:
        tokens = [use.token for use in view.heartbeat.gpu_use if use.token in task.gpus]
        rows += [[], *(detail_row(scene, view, token, columns) for token in tokens)] if tokens else []
    return rows + _block("command", task.command, columns)


def _progress(task: TaskView, columns: int) -> str:
    """A bar and words: of a task that runs by its output, of an array by its indices that have ended."""
    done, text = (None, "") if task.progress is None else (task.progress.fraction, str(task.progress))
    if task.array is not None and not task.state.ended:
        done, text = task.array.fraction, task.array.pace
    if done is None:
        return ""
    room = min(BAR_MAX, columns - cells(text) - 1)
    return f"{filled(done, room)} {text}" if room >= BAR_MIN else text


def _node(scene: Scene, view: NodeView, columns: int) -> Rows:
    beat = view.heartbeat
    glyph = health_glyph(view.health, ascii_only=scene.ui.ascii)
    silent = node_age(scene, view)
    note = scene.data.lease.notes.get(view.node, "")
    pairs = [
        ("runner", f"{glyph} {view.health.value}" + (f", {view.why}" if view.why else ""), HEALTH_STYLES[view.health]),
        ("heartbeat", "" if silent is None else f"{age(silent)} ago", ""),
        ("note", note, "warn"),
        ("tasks", f"{view.claimed} here, {view.pending} pending for it alone", ""),
    ]
    if beat:
        taken = "" if beat.mem_used_mb is None else f", {memory(beat.mem_used_mb)} used"
        pairs += [
            ("CPUs", f"{view.booked_cpus} of {beat.cpus} booked", ""),
            ("memory", f"{memory(view.booked_mem_mb)} of {memory(beat.mem_mb)} booked{taken}", ""),
            ("GPUs", f"{len(view.booked_gpus)} of {len(beat.gpus)} booked" if beat.gpus else "none", ""),
            ("load", "" if beat.load is None else f"{beat.load:.1f}", ""),
            ("idle", duration(beat.idle_seconds) if beat.idle_seconds >= 1 and not beat.running else "", ""),
            ("driver", beat.gpu_error, "bad"),
            *(("", note, "warn") for note in gpu_notes(beat)),
        ]
    rows = _pairs(pairs, columns)
    if beat and beat.gpu_use:
        rows += [[], *(detail_row(scene, view, use.token, columns) for use in beat.gpu_use)]
    if beat and beat.running:
        rows += [[], [(" running", "dim")]]
        for run in beat.running:
            uses = used(run.cpus_used, run.rss_mb)
            spans = [(f" {run.id[:8]} ", "run"), (f"{uses} " if uses else "", "dim")]
            rows.append([*spans, (visible(run.name or run.command), "")])
    return rows


def _lease(scene: Scene, columns: int) -> Rows:
    row = scene.lease
    assert row is not None
    left = row.left_seconds
    if left is not None and scene.data.leases.at is not None:
        left = max(0.0, left - (scene.now - scene.data.leases.at))
    watched = row.id == scene.data.lease_id
    counts = [f"{scene.count(state)} {state.name.lower()}" for state in State if scene.count(state)]
    pairs = [
        ("lease", row.id, "bold"),
        ("name", row.name, ""),
        ("kind", row.kind if row.is_borrowed or row.is_of_hosts else "this host", ""),
        ("state", wording.of_state(row.state), ""),
        ("time left", duration(left), ""),
        *_jobs(scene, row),
        ("next", wording.following(row.kept, row.allocs), ""),
        ("nodes", "" if row.is_borrowed else " ".join(row.nodes), ""),
        ("created", clock(row.created, scene.wall), ""),
        ("options", " ".join(row.argv), ""),
        ("tasks", ", ".join(counts) if watched else "Enter shows them", ""),
        ("note", scene.data.lease.notes.get("_lease", "") if watched else "", "warn"),
    ]
    return _pairs(pairs, columns)


def _jobs(scene: Scene, row: LeaseView) -> list[tuple[str, str, str]]:
    """Its Slurm jobs: those that it has, then those that have ended, the last one first."""
    if not row.is_borrowed:
        return []
    living = [each for each in row.allocs if each not in row.ended]
    return [
        (
            "" if place else "jobs",
            f"{alloc.id}  {wording.of_alloc(state, scene.data.had.get((row.id, alloc.id), ()), now=scene.wall)}",
            STYLES_OF_JOBS.get(state.word, ""),
        )
        for place, (alloc, state) in enumerate((*living, *reversed(row.ended)))
    ]
