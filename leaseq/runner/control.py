"""What commands ask of a node's runner: files in control/NODE, each carried out once and removed, in every phase.

cancel.ID.ATTEMPT.X   that attempt ends; if it is not running, whatever of the task is pending here ends; of an array
                      what its directory says is to end
signal.ID.ATTEMPT.X   its processes are sent body["signal"]; body["to"]: `all`, or `leader`
drain.X  resume.X     nothing new starts; starts again
stop.X   kill.X       the runner leaves its tasks to the keeper and ends; ends them first
idle.X                how long the allocation may stand unused was set
leave.X               its first node asks whether all of its nodes leave; body["alloc"], body["round"]
tell.ID.ATTEMPT.X     its outcome, which this node took upon itself to tell, stands in its history
release.X             the node is given back: its tasks end as at the end of the lease, and the runner ends
ending.X              every task is sent body["signal"] (a name): the lease ends soon; body["to"] as above
"""

from __future__ import annotations

import contextlib
import signal

from leaseq.errors import Malformed
from leaseq.models import ANY, Why
from leaseq.names import Entry, is_node, parse_key, parse_request
from leaseq.protocol import concluding, files, requests, tasks
from leaseq.runner import ends, leaving, lots, telling
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports

AGAIN_BY_ITSELF = ("retry", "lost", "requeue")
"""Reasons of attempts that follow by themselves: a cancel ends these too, but not one that `recover` asked for."""


def serve(state: NodeState, ports: Ports) -> bool:
    """The requests were carried out; False if one has to wait for an outcome that is being written."""
    directory = ports.lease.control(ports.node)
    all_done = True
    for name in sorted(ports.fs.names(directory)):
        path = f"{directory}/{name}"
        try:
            files.content(ports.fs, path)  # its name may say anything: another user's request is refused by its owner
            done = _carry_out(state, ports, *parse_request(name), path)
            if done:
                files.discard(ports.fs, path)
        except FileNotFoundError:
            continue  # carried out before, and this listing is older
        except (Malformed, ValueError, KeyError, IndexError, IsADirectoryError) as error:
            files.set_aside(ports.fs, ports.lease, path, f"not a request: {error!r:.200}")
            continue
        all_done = all_done and done
        state.changed = True
    return all_done


def _carry_out(state: NodeState, ports: Ports, verb: str, key: str, path: str) -> bool:
    if verb == "cancel":
        return _cancel(state, ports, *parse_key(key))
    if verb == "signal":
        body = requests.read_request(ports.fs, path)
        number = signal.Signals(int(str(body["signal"])))
        if state.is_in_window(key):
            return False  # a moment later it is known whether it goes on
        if key in state.running:
            ports.procs.signal(key, number, to=_whom(body, otherwise="all"))
    elif verb == "ending":
        body = requests.read_request(ports.fs, path)
        number = signal.Signals["SIG" + str(body["signal"]).removeprefix("SIG")]
        ends.warn_all(state, ports, number, to=_whom(body, otherwise="leader"))
    elif verb == "drain":
        state.phase.drain()
    elif verb == "resume":
        state.phase.resume()
    elif verb == "stop":
        state.phase.leave()
    elif verb == "kill":
        state.phase.leave()
        ends.stop_all(state, ports, Why.KILL, state.options.grace_seconds)
    elif verb == "idle":
        leaving.learn(state, ports)
    elif verb == "leave":
        body = requests.read_request(ports.fs, path)
        leaving.asked(state, ports, str(body["alloc"]), _round(body))
    elif verb == "tell":
        if not state.phase.superseded:
            telling.tell(ports, [key])
    elif verb == "release":
        state.phase.release()
    else:
        raise Malformed(f"unknown request {verb!r:.40}")
    return True


def _round(body: dict[str, object]) -> str:
    """The name of the round; raises Malformed."""
    round_id = str(body["round"])
    if not is_node(round_id) or "." in round_id:
        raise Malformed(f"not the name of a round: {round_id!r:.40}")
    return round_id


def _whom(body: dict[str, object], *, otherwise: str) -> str:
    """Who gets the signal, of a request that may be an older leaseq's."""
    to = str(body.get("to", otherwise))
    if to not in ("all", "leader"):
        raise Malformed(f"neither all nor leader: {to!r:.40}")
    return to


def _cancel(state: NodeState, ports: Ports, task_id: str, attempt: int) -> bool:
    """The task is being ended, or has been; False while it may become pending again by what is being written."""
    key = f"{task_id}.{attempt}"
    if key in state.lots:
        lots.look_for_stops(state, ports, state.lots[key])
        return True
    if key in state.running:
        ends.stop(state, ports, state.running[key], Why.CANCEL)
        return True
    if key in state.won:
        ends.cancel_won(state, ports, key)
        return True
    if state.is_in_window(key) or key in ports.ledger.unwritten():
        return False
    try:
        decided = tasks.read_outcome(ports.fs, ports.lease, task_id, attempt)
    except Malformed:
        return True  # it has ended, and what follows cannot be told
    if decided is None or decided.requeued in AGAIN_BY_ITSELF:
        _cancel_later(state, ports, task_id, attempt)
    return True


def _cancel_later(state: NodeState, ports: Ports, task_id: str, attempt: int) -> None:
    """The attempt that was running, or seemed to, has been put back or failed and is retried: it ends as it is now."""
    for each in list(state.running.values()):
        if each.entry.id == task_id and each.entry.attempt > attempt:
            ends.stop(state, ports, each, Why.CANCEL)
    for directory in (ports.lease.inbox(ports.node), ports.lease.inbox(ANY)):
        for name in ports.fs.names(directory):
            if f".{task_id}." in name:
                try:
                    entry = Entry.parse(name)
                except Malformed:
                    continue
                if entry.id == task_id and entry.attempt >= attempt and not entry.owner and not entry.count:
                    now = ports.clock.now()
                    with contextlib.suppress(Malformed):  # it cannot be started either
                        concluding.cancel_pending(
                            ports.fs, ports.lease, directory, entry, ended=now, reason="cancelled"
                        )
