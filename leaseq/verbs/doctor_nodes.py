"""The nodes of a Slurm lease, as a step on each of them sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from leaseq.allocation import Allocation
from leaseq.errors import LeaseqError
from leaseq.lease.slurm import steps
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.reach import STEP_SECONDS_MAX, fresh_file
from leaseq.models import Lease
from leaseq.protocol import allocs
from leaseq.reading.views import Health, NodeView
from leaseq.verbs.access import Access
from leaseq.verbs.findings import SKEW_SECONDS_MAX, Finding

NODES_MAX = 32
"""More nodes than these are not stepped onto one after another."""
_PROBE = """
date +%s.%N
echo "$(hostname)"
command -v tmux || echo
printf '%s\\n' "${CUDA_VISIBLE_DEVICES-${ROCR_VISIBLE_DEVICES-${ZE_AFFINITY_MASK-}}}"
{ nvidia-smi -L 2>/dev/null || true; } | grep -c '^GPU'
[ -r "$1" ] && echo sees || echo blind
[ -e "$2" ] && echo sees || echo blind
"""


def nodes(access: Access, record: Lease, granted: tuple[str, ...]) -> Iterator[Finding]:
    """What is right and wrong on each node. granted: the nodes by Slurm's word."""
    reader = access.reader_of(access.home.lease(record.id))
    views = {view.node: view for view in reader.read(recent=0, pending=0).nodes}
    notes = allocs.notes_of(access.fs, reader.lease)
    # A lease whose nodes have another directory under the home's path has written nothing here: Slurm knows them.
    names = allocs.members(access.fs, reader.lease) or granted or tuple(views)
    for alloc in allocs.living_of(access.fs, reader.lease, record):
        yield from _steps(alloc)
    for node in names[:NODES_MAX]:
        yield from _node(access, record, node, views.get(node), notes.get(node, ""))
    if len(names) > NODES_MAX:
        yield Finding("nodes", "note", f"{len(names) - NODES_MAX} more were not looked at")


def _steps(alloc: Allocation) -> Iterator[Finding]:
    """Who starts the lease's steps, if that is not the controller."""
    job = steps.told(alloc)
    if steps.step_manager_is_lost(job):
        words = "none can be started: the lease's first node, which manages them (stepmgr), is lost"
        yield Finding("steps", "bad", words, "its runners go on: submit tasks, or drain it and add another")
    elif steps.has_step_manager(job):
        words = f"managed by {job.get('BatchHost', '')}, the lease's first node (stepmgr)"
        yield Finding(
            "steps", "note", words, "if that node is lost, tasks go on, but `leaseq shell` and srun do not start"
        )


def _node(access: Access, record: Lease, node: str, view: NodeView | None, note: str) -> Iterator[Finding]:
    health = view.health if view else Health.UNKNOWN
    if note and health is not Health.OK:
        yield Finding(node, "bad", note, f"`leaseq lease info {record.id}` says more")
    elif health is not Health.OK:
        yield Finding(node, "bad", f"its runner is {health.value}", f"see {_log_of(access, record, node)}")
    elif note:
        yield Finding(node, "note", note)
    before, began = time.time(), time.monotonic()
    try:
        main = access.serving(record, node).alloc.main
        with fresh_file(access.fs, access.home.lease(record.id)) as mark:
            words = ["/bin/sh", "-c", _PROBE, "probe", main, mark]
            answer = ask(access.attach(record, node, words, tty=False), seconds_max=STEP_SECONDS_MAX)
    except LeaseqError as error:
        yield Finding(node, "bad", f"no step could be started: {error.message}", error.hint)
        return
    took = time.monotonic() - began
    lines = answer.out.splitlines()
    if answer.code != 0 or len(lines) < 7:
        yield Finding(
            node, "bad", f"a step beside the runner does not start: {answer.words}", "see `man srun`, --overlap"
        )
        return
    yield from _seen(node, lines, view, before=before, took=took)


def _log_of(access: Access, record: Lease, node: str) -> str:
    """What the lease script that serves the node had to say, as a path."""
    lease = access.home.lease(record.id)
    serving = allocs.serving(access.fs, lease, node)
    return allocs.directory(lease, serving.alloc).script_log if serving else lease.root


def _seen(node: str, lines: list[str], view: NodeView | None, *, before: float, took: float) -> Iterator[Finding]:
    clock, host, tmux, visible_devices, driver, main, home = lines[:7]
    skew = float(clock) - before
    off = skew - took if skew > took else min(skew, 0.0)
    yield Finding(node, "ok", f"a step starts in {took * 1000:.0f} ms ({host})")
    if abs(off) > SKEW_SECONDS_MAX:
        yield Finding(f"{node} clock", "note", f"{off:+.1f} s against this host's", "times in tables differ")
    granted = len(view.heartbeat.gpus) if view and view.heartbeat else 0
    seen = int(driver) if driver.isdigit() else 0
    shown = len([token for token in visible_devices.split(",") if token])
    if granted or seen:
        fine = seen >= granted or not seen
        words = f"{granted} granted to the runner, {shown} to a step, {seen} seen by the driver"
        advice = "" if fine else "a GPU is lost or hidden: tell the site, or leave the node out with --exclude"
        verdict = "bad" if not fine else "ok" if seen else "note"
        yield Finding(f"{node} GPUs", verdict, words, advice)
    if not tmux:
        yield Finding(
            f"{node} tmux", "note", "none: `leaseq shell` there ends with its terminal", "load it in a prologue"
        )
    if "blind" in (main, home):
        what = "the installation" if main == "blind" else "the home"
        yield Finding(
            f"{node} files", "bad", f"does not see {what}", "both must be on a file system that all nodes share"
        )
