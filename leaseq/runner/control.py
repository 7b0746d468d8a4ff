"""What commands ask of a node's runner: files in control/NODE, each carried out once and removed.

cancel.ID.ATTEMPT.X   that attempt ends; where it is not running, whatever of the task is pending here ends
signal.ID.ATTEMPT.X   its processes are sent body["signal"]; body["to"]: `all`, or `leader`
drain.X  resume.X     nothing new starts; starts again
stop.X   kill.X       the runner leaves its tasks to the keeper and ends; ends them first
ending.X              every task is sent body["signal"] (a name): the lease ends soon; body["to"] as above
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from leaseq.errors import Malformed
from leaseq.layout import Entry, parse_key, parse_request
from leaseq.models import ANY, Why
from leaseq.protocol import files, requests, tasks

if TYPE_CHECKING:
    from leaseq.runner.loop import Runner

AGAIN_BY_ITSELF = ("retry", "lost", "requeue")
"""An attempt that follows for one of these was not asked for after the cancel, as one by `recover` may be."""


def serve(runner: Runner) -> bool:
    """The requests were carried out; False where one has to wait for an outcome that is being written."""
    directory = runner.lease.control(runner.node)
    all_done = True
    for name in sorted(runner.fs.names(directory)):
        path = f"{directory}/{name}"
        try:
            files.content(runner.fs, path)  # whoever's name it has: another user's request is refused by its owner
            done = _carry_out(runner, *parse_request(name), path)
            if done:
                files.discard(runner.fs, path)
        except FileNotFoundError:
            continue  # carried out before, and this listing is older
        except (Malformed, ValueError, KeyError, IndexError, IsADirectoryError) as error:
            files.set_aside(runner.fs, runner.lease, path, f"not a request: {error!r:.200}")
            continue
        all_done = all_done and done
        runner.changed = True
    return all_done


def _carry_out(runner: Runner, verb: str, key: str, path: str) -> bool:
    if verb == "cancel":
        return _cancel(runner, *parse_key(key))
    if verb == "signal":
        body = requests.read_request(runner.fs, path)
        number = signal.Signals(int(str(body["signal"])))
        if key in runner.held:
            runner.procs.signal(key, number, to=_whom(body, otherwise="all"))
    elif verb == "ending":
        body = requests.read_request(runner.fs, path)
        number = signal.Signals["SIG" + str(body["signal"]).removeprefix("SIG")]
        runner.warn(number, to=_whom(body, otherwise="leader"))
    elif verb == "drain":
        if runner.state == "up":
            runner.state = "draining"
    elif verb == "resume":
        if runner.state == "draining" and not runner.superseded:
            runner.state = "up"
    elif verb == "stop":
        runner.state = "stopping"
    elif verb == "kill":
        runner.end_all(Why.KILL, runner.options.grace_seconds)
    else:
        raise Malformed(f"unknown request {verb!r:.40}")
    return True


def _whom(body: dict[str, object], *, otherwise: str) -> str:
    """Who gets the signal, of a request that may be an older leaseq's."""
    to = str(body.get("to", otherwise))
    if to not in ("all", "leader"):
        raise Malformed(f"neither all nor leader: {to!r:.40}")
    return to


def _cancel(runner: Runner, task_id: str, attempt: int) -> bool:
    """The task is being ended, or has been; False while it may become pending again by what is being written."""
    key = f"{task_id}.{attempt}"
    if key in runner.held:
        runner.stop(runner.held[key], Why.CANCEL)
        return True
    if key in runner.won:
        runner.cancel_won(key)
        return True
    if any(item.claim.entry.key == key for item in list(runner.ledger.open)):
        return False
    try:
        decided = tasks.read_outcome(runner.fs, runner.lease, task_id, attempt)
    except Malformed:
        return True  # it has ended, and what follows cannot be told
    if decided is None or decided.requeued in AGAIN_BY_ITSELF:
        _cancel_later(runner, task_id, attempt)
    return True


def _cancel_later(runner: Runner, task_id: str, attempt: int) -> None:
    """The attempt that was running, or seemed to, has been put back or failed and is retried: it ends as it is now."""
    for held in list(runner.held.values()):
        if held.claim.entry.id == task_id and held.claim.entry.attempt > attempt:
            runner.stop(held, Why.CANCEL)
    for directory in (runner.lease.inbox(runner.node), runner.lease.inbox(ANY)):
        for name in runner.fs.names(directory):
            if f".{task_id}." in name:
                try:
                    entry = Entry.parse(name)
                except Malformed:
                    continue
                if entry.id == task_id and entry.attempt >= attempt and not entry.owner:
                    now = runner.clock.now()
                    with contextlib.suppress(Malformed):  # it cannot be started either
                        tasks.cancel_pending(runner.fs, runner.lease, directory, entry, ended=now, reason="cancelled")
