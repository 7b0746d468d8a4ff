"""The tools: what each of them is for and takes, as agents read it, over functions of `leaseq.api`."""

from __future__ import annotations

from typing import Any

import leaseq
from leaseq.limit_names import ALL_GROUPS
from leaseq.mcp import documents
from leaseq.mcp.documents import Document, known, short
from leaseq.models import State

ROWS, ROWS_MAX = 20, 100
LOOKED_AT = 1000
"""So many of the tasks that ended last are looked through for those of a state, a group or a name."""
WAIT_SECONDS, WAIT_SECONDS_MAX = 50.0, 540.0
"""Many clients give up on an answer after a minute."""
LOOK_SECONDS = 2.0
LINES, LINES_MAX = 40, 400
TAIL_BYTES = 64 << 10
OUTPUT_BYTES_MAX = 12_000
NAMED = 5
"""So many tasks of a kind are named by `status`."""
BAD = (State.FAILED, State.TIMEOUT, State.LOST, State.STUCK)


# -- looks -------------------------------------------------------------------------------------------------------------


def status(lease: str = "") -> Document:
    """How a lease stands: its nodes and what of them is booked, tasks by state, some that run, those that went wrong
    last. Without `lease`: the default one."""
    now = leaseq.snapshot(lease, recent=200, pending=0)
    running = [each for each in now.tasks if each.state is State.RUNNING]
    wrong = [each for each in now.tasks if each.state in BAD]
    return known(
        lease=now.lease_id,
        name=now.lease.name if now.lease else "",
        ended=now.end or (now.lease.end_reason if now.lease and now.lease.ended else ""),
        counts={state.name: number for state, number in now.totals.items() if number},
        paused=["all" if each == ALL_GROUPS else each for each in sorted(now.limits.paused)],
        nodes=[documents.node(each) for each in now.nodes],
        running=[documents.row(each) for each in running[:NAMED]],
        went_wrong=[documents.row(each) for each in wrong[:NAMED]],
    )


def leases() -> Document:
    """All leases, newest first: their state, why they wait, how long they last. Tasks go to the default one unless
    `lease` names another."""
    rows = [
        known(
            id=each.id,
            name=each.name,
            kind=each.kind,
            state=each.word,
            reason=short(each.reason),
            nodes=len(each.nodes),
            seconds_left=None if each.left_seconds is None else round(each.left_seconds),
        )
        for each in leaseq.leases()
    ]
    return {"leases": rows[:ROWS_MAX], **known(left_out=len(rows) - ROWS_MAX if len(rows) > ROWS_MAX else None)}


def tasks(
    ids: list[str] | None = None,
    states: list[str] | None = None,
    group: str = "",
    name: str = "",
    lease: str = "",
    limit: int = ROWS,
) -> Document:
    """List tasks: those of `ids`, or all of a lease (what runs, what is pending, what ended last), of these states
    (pending, running, done, failed, cancelled, timeout, lost, stuck), this group or name; at most `limit` (100).
    Of one array: its counts, and its indices of these states, a row each."""
    most = max(1, min(limit, ROWS_MAX))
    if not ids:
        asked = bool(states or group or name)
        found = leaseq.tasks(
            lease=lease, states=states or (), group=group, name=name, limit=LOOKED_AT if asked else most
        )
        return documents.some(found, most)
    found = leaseq.tasks(*ids, lease=lease)
    if len(found) == 1 and found[0].array is not None:
        rows = leaseq.index_rows(*ids, states=states or (), limit=most, lease=lease)
        return {"array": documents.row(found[0]), **documents.some(rows, most)}
    return documents.some(leaseq.tasks(*ids, states=states or (), group=group, name=name, lease=lease), most)


def info(id: str) -> Document:
    """All about one task, or index of an array: command, directory, need, what it waits for, commit, its attempts."""
    view, detail = leaseq.task(id), leaseq.details(id)
    task = detail.task
    origin = task.origin if task else None
    return {
        **documents.row(view),
        **known(
            cwd=task.cwd if task else "",
            need=documents.need(view),
            after=[str(each) for each in task.after] if task else [],
            commit=origin.commit if origin else "",
            differs_from_commit=origin.dirty if origin else None,
            attempts=[documents.end(each) for each in detail.outcomes[-NAMED:]],
            redone_as=list(detail.redone_as[-NAMED:]),
        ),
    }


def logs(id: str, stream: str = "", lines: int = LINES) -> Document:
    """The last lines that a task, or an index (`ID_3`), wrote, progress bars folded, and the line that says what went
    wrong. stream: out or err; both, if it is not said."""
    most = max(1, min(lines, LINES_MAX))
    names = [stream] if stream else ["out", "err"]
    tails = {name: documents.lines(leaseq.log(id, name, last_bytes=TAIL_BYTES), most) for name in names}
    room = OUTPUT_BYTES_MAX // len(names)
    return {
        **{name: "\n".join(documents.within(tail, room)) for name, tail in tails.items()},
        **known(last_error=leaseq.last_error(id)),
    }


def triage(id: str) -> Document:
    """What went wrong with a task: state, last lines, the likely cause, and what to try. Of an array: of one of its
    indices that went wrong."""
    found = leaseq.triage(id)
    if found is None:
        return {"id": id, "cause": "none of its indices went wrong so far"}
    return {
        **documents.row(found.row),
        **known(
            need=documents.need(found.row),
            stream=found.stream,
            lines="\n".join(documents.within(found.lines, OUTPUT_BYTES_MAX)),
            cause=found.cause or ("not known: its last lines name none" if found.row.state in BAD else ""),
            likely=found.likely or None,
        ),
        **({"try": found.way} if found.way else {}),
    }


def why(id: str) -> Document:
    """Why a task does not run: what it waits for, what would have to end, and when, as far as that is known."""
    found = leaseq.why(id)
    return known(
        id=found.row.id,
        words=list(found.words),
        never=found.never or None,
        ahead=found.ahead,
        seconds=None if found.seconds is None else round(found.seconds),
    )


async def wait(ids: list[str], timeout_seconds: float = WAIT_SECONDS, any: bool = False) -> Document:
    """Wait until all of these tasks have ended, or with `any` one of them. No need to look again and again: if `late`
    is true the time was over first (at most 540 s), the tasks go on, and the same call waits on."""
    from functools import partial

    from anyio import current_time
    from anyio.to_thread import run_sync

    until = current_time() + max(0.0, min(timeout_seconds, WAIT_SECONDS_MAX))
    while True:
        # In short parts: a client that gives up is heard between them.
        left = until - current_time()
        found = await run_sync(partial(leaseq.wait, *ids, any=any, timeout=max(0.0, min(left, LOOK_SECONDS))))
        if not found.late or left <= LOOK_SECONDS:
            break
    ended = [{**documents.end(outcome), "id": task_id} for task_id, outcome in found.ended.items()]
    return {"late": found.late, "ended": ended, **known(left=list(found.left))}


LOOKS = (status, leases, tasks, info, logs, triage, why, wait)
"""Tools that change nothing."""


# -- changes -----------------------------------------------------------------------------------------------------------


def submit(
    command: list[str] | str,
    sweep: dict[str, list[str | int | float]] | None = None,
    indices: str = "",
    throttle: int = 0,
    after: list[str] | None = None,
    gpus: int | None = None,
    cpus: int | None = None,
    mem: str = "",
    time: str = "",
    name: str = "",
    group: str = "",
    cwd: str = "",
    env: dict[str, str] | None = None,
    retries: int = 0,
    hold: bool = False,
    lease: str = "",
) -> Document:
    """Queue a command, words or one line for bash; its id is on disk then. A need (gpus, cpus, mem "8G") lets tasks
    share a node; without any, a task has its node alone. time: its limit, "2h". cwd: a whole path.
    sweep: values of parameters, {"lr": [0.1, 0.3]}: one array, an index for each combination, {lr} in the command is
    the value. indices: "0-99", {i} is the index. throttle: so many at once. after: ids that must have ended well
    before, or "any:ID" however they ended."""
    options: Any = known(
        after=after, gpus=gpus, cpus=cpus, mem=mem, time=time, name=name, group=group, cwd=cwd, env=env, lease=lease
    )
    options |= known(retries=retries or None, hold=hold or None)
    if sweep or indices:
        made = leaseq.submit_array(command, indices=indices, sweep=sweep, throttle=throttle, **options)
    else:
        made = leaseq.submit(command, **options)
    return documents.row(leaseq.task(made))


def cancel(ids: list[str]) -> Document:
    """End tasks, or indices of arrays (`ID_3`), whether or not they have started."""
    leaseq.cancel(*ids)
    return _now(ids)


def retry(ids: list[str], gpus: int | None = None, cpus: int | None = None, mem: str = "", time: str = "") -> Document:
    """Run ended tasks once more under their own ids, with another need if it is said; of arrays the indices that are
    not DONE. What was cancelled because of them follows."""
    options: Any = known(gpus=gpus, cpus=cpus, mem=mem, time=time)
    leaseq.retry(*ids, **options)
    return _now(ids)


def hold(ids: list[str]) -> Document:
    """Keep pending tasks from starting, until they are released."""
    leaseq.hold(*ids)
    return _now(ids)


def release(ids: list[str]) -> Document:
    """Let held tasks start."""
    leaseq.release(*ids)
    return _now(ids)


def change(
    ids: list[str],
    gpus: int | None = None,
    cpus: int | None = None,
    mem: str = "",
    time: str = "",
    priority: int | None = None,
) -> Document:
    """Give pending tasks another need or priority (-499 to 499), under their ids."""
    options: Any = known(gpus=gpus, cpus=cpus, mem=mem, time=time, priority=priority)
    leaseq.change(*ids, **options)
    return _now(ids)


def pause(group: str = "", lease: str = "") -> Document:
    """Start nothing more of a lease, or of a group of it; what runs goes on."""
    leaseq.pause(lease, group=group)
    return {"paused": group or "all"}


def resume(group: str = "", lease: str = "") -> Document:
    """Start tasks of a paused lease, or group, again."""
    leaseq.resume(lease, group=group)
    return {"resumed": group or "all"}


def _now(ids: list[str]) -> Document:
    """The tasks as they are now."""
    return documents.some(leaseq.tasks(*ids), ROWS_MAX)


CHANGES = (submit, cancel, retry, hold, release, change, pause, resume)
"""Tools that change something."""
ENDING = (cancel,)
"""Those of them that end what runs."""
