"""What leaseq promises, of a history and of the directory it left.

At any time (`check_now`): nothing acknowledged is lost, every task is in one place, no attempt was started twice,
what was decided stands. At the end (`check`): besides, every task has ended, every result is true, nothing ran more
often than was asked for, and no attempt is LOST whose end somebody could have seen. What a reader saw, what a turn
cost, and what ran beside what was noted as the history went on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from leaseq.indices import Indices
from leaseq.models import Outcome, State, Task
from leaseq.names import parse_id, parse_key
from leaseq.protocol import reports
from leaseq.protocol.edges import BADLY
from leaseq.protocol.facts import Ended
from leaseq.protocol.fate import LOST_ATTEMPTS_MAX
from leaseq.protocol.index_ends import tries_of
from leaseq.reading.find import Search
from leaseq.reading.snapshot import Reader
from leaseq.upstream import Upstream
from leaseq.world import SystemClock
from tests.crash.actors import Key
from tests.crash.check import PENDING, Violated, check_always, check_settled, places
from tests.crash.index_order import ends_of_index
from tests.crash.order import brought_back
from tests.sim.history import History

KNOWN_SECONDS = 3.0
"""After so long a runner that nothing disturbs has written how an index ended."""
UNSEEN = "nobody saw its exit code"


def check_now(history: History) -> None:
    """Everything that must be true at every moment."""
    if history.scheduler.failures:
        name, error = history.scheduler.failures[0]
        raise Violated(f"{name} ended by {error!r}") from error
    if history.truth.violations:
        raise Violated(history.truth.violations[0])
    check_always(history)
    check_each(history, [key for key in history.truth.starts if key not in history.truth.judged])
    history.truth.judged.update(history.truth.starts)


def check_each(history: History, starts: Iterable[Key]) -> None:
    """No index of an array was started before that index of the one that it waits for had ended well, durably."""
    for key in starts:
        task_id, index = parse_id(key[0])
        task = history.truth.offered.get(task_id) if index is not None else None
        for up in map(Upstream.parse, task.after if task is not None else ()):
            ended = ends_of_index(history, history.fs(), up.task, index or 0)
            if State.DONE not in [state for _, state in ended]:
                raise Violated(f"{key[0]}.{key[1]} was started, and {up.task}_{index} had not ended well: {ended}")
            history.truth.done["each"] += 1


def _check_brought_back(history: History) -> None:
    """No index stays cancelled because of one that somebody was told to have retried."""
    fs, lease, truth = history.fs(), history.lease, history.truth
    for task_id in [task_id for task_id, task in truth.offered.items() if task.after]:
        if None in truth.stopped.get(task_id, ()):
            continue  # somebody wanted nothing more of it
        tries = tries_of(fs, lease, task_id) or []
        for number, each in enumerate(tries):
            for index, end in reports.indices(fs, lease, task_id, each.attempt).ended.items():
                if not end.because or any(index in later.indices for later in tries[number + 1 :]):
                    continue
                up = Upstream.parse(end.because)
                told = [attempt for other, attempt in truth.brought_back if other == up.task and attempt >= up.attempt]
                later = [attempt for attempt, _ in ends_of_index(history, fs, up.task, index) if attempt > up.attempt]
                if told and later:
                    raise Violated(f"{task_id}_{index} stays cancelled because of {up}, which was retried: {later}")


def check(history: History) -> None:
    """Everything that must be true once all work is done."""
    check_now(history)
    check_each(history, history.truth.starts)
    _check_brought_back(history)
    check_settled(history)
    outcomes = _outcomes(history)
    pending = _pending(history)
    _check_counts(history, outcomes, pending)
    for (task_id, attempt), outcome in outcomes.items():
        if outcome.counts:
            _check_array(history, task_id, attempt, outcome)
            if attempt == max(number for each, number in outcomes if each == task_id):
                _check_read(history, task_id, outcome.counts)
            continue
        _check_true(history, (task_id, attempt), outcome)
        last = attempt == max(number for each, number in outcomes if each == task_id)
        known = history.truth.last_told.get(task_id) if last and task_id not in pending else None
        if known and known != (outcome.task.argv, outcome.task.name):
            raise Violated(f"{task_id} was acknowledged as {known}, and ended as {outcome.task}")
    for task_id in {task_id for (task_id, _), outcome in outcomes.items() if not outcome.counts}:
        _check_asked_for(history, task_id, outcomes)


def _outcomes(history: History) -> dict[tuple[str, int], Outcome]:
    fs, lease = history.fs(), history.lease
    found = {}
    for shard in fs.names(f"{lease.root}/done"):
        for name in fs.names(f"{lease.root}/done/{shard}"):
            key = parse_key(name)
            outcome = history.p.read_outcome(fs, lease, *key)
            assert outcome is not None
            found[key] = outcome
    return found


def _pending(history: History) -> set[str]:
    """The tasks that rest so."""
    seen = places(history.fs(), history)
    return {task_id for task_id, some in seen.items() if any(each.kind in PENDING for each in some)}


def _check_counts(history: History, outcomes: dict[tuple[str, int], Outcome], pending: set[str]) -> None:
    """Each task counts once, as its last attempt ended, however often it was retried; or as pending, if it rests so."""
    newest = dict(sorted(outcomes))
    ended = Counter(outcomes[key].state for key in newest.items() if key[0] not in pending)
    ended[State.PENDING] = len(pending)
    reader = Reader(history.lease, history.fs(), SystemClock())
    totals = reader.read(recent=0, pending=0).totals
    for state in (State.PENDING, State.DONE, State.FAILED, State.TIMEOUT, State.CANCELLED):
        if totals[state] != ended[state]:
            raise Violated(f"{totals[state]} tasks are counted as {state.name}, and {ended[state]} are")


def _check_array(history: History, task_id: str, attempt: int, outcome: Outcome) -> None:
    """Every index has one end, which is true; or none, if the array was cancelled before it began."""
    truth, task = history.truth, outcome.task
    assert task.array is not None
    every = Indices.parse(task.array.indices)
    told = reports.indices(history.fs(), history.lease, task_id, attempt)
    if told.begun:
        raise Violated(f"{task_id} is over, and some of it is told to run: {told.begun}")
    silent = [index for index in every if index not in told.ended]
    stopped = list(truth.stopped.get(task_id, []))
    failed = sum(each.state in (State.FAILED, State.TIMEOUT) for each in told.ended.values())
    counted, _ = reports.look(history.fs(), history.lease, task_id, attempt)
    if counted.counts != Counter(each.state for each in told.ended.values()):
        raise Violated(f"of {task_id} {told.ended} are told, and the journals count {counted.counts}")
    if task.array.max_fails and failed >= task.array.max_fails:
        stopped.append(None)
        truth.done["stopped by max_fails"] += bool(silent)
        _check_stopped(history, task_id, told.ended, task.array.max_fails)
    if silent and None not in stopped:
        raise Violated(f"{task_id} is over, and nothing is told of {silent}")
    states = Counter(each.state.name for each in told.ended.values())
    states["CANCELLED"] += len(silent)
    states += Counter(task.array.before)
    if +states != Counter(outcome.counts):
        raise Violated(f"of {task_id} {dict(states)} are told, and {dict(outcome.counts)} are counted")
    submitted = truth.offered[task_id].array if task_id in truth.offered else None
    if submitted is None or sum(states.values()) != len(Indices.parse(submitted.indices)):
        raise Violated(f"{task_id} has other indices than it was submitted with: {dict(states)}")
    for index, each in told.ended.items():
        key, name = (f"{task_id}_{index}", each.attempt), f"{task_id}_{index}.{each.attempt}"
        if each.requeued and None not in stopped:
            raise Violated(f"{name} is followed by another attempt, and none is told of")
        if each.state in (State.DONE, State.FAILED, State.TIMEOUT) and key not in truth.exits:
            raise Violated(f"{name} is told to be {each.state.name}, and never ended")
        if each.state in (State.DONE, State.FAILED) and each.exit_code != truth.exits[key]:
            raise Violated(f"{name} exited {truth.exits[key]}, and is told to have exited {each.exit_code}")
        if each.state is State.FAILED and key in truth.ended_by_slurm:
            raise Violated(f"{name} is told to have FAILED, and the end of its job has ended it")
        asked = any(some is None or index in some for some in stopped) or _is_because(history, task, index, each)
        if each.state is State.CANCELLED and not asked and task_id not in truth.forced_arrays:
            raise Violated(f"{name} is told to be CANCELLED, and nobody asked for that")
        allowed = truth.lossy or truth.lease_ended or task_id in truth.forced_arrays or key in truth.unseen
        if each.state is State.LOST and not allowed:
            raise Violated(f"{name} is LOST ({each.reason}), and nothing happened to any node")


def _is_because(history: History, task: Task, index: int, ended: Ended) -> bool:
    """True if the index was cancelled because of that index of another array, which ended as is said, and not well."""
    if not ended.because:
        return False
    up = Upstream.parse(ended.because)
    state = dict(ends_of_index(history, history.fs(), up.task, index)).get(up.attempt)
    if up.task not in [Upstream.parse(word).task for word in task.after] or state not in BADLY:
        raise Violated(f"{task.id}_{index} was cancelled because of {up}, and that ended so: {state}")
    if ended.reason != f"Dependency: {up.task}_{index} {state.name}":
        raise Violated(f"{task.id}_{index} was cancelled because of {up}, and says {ended.reason!r}")
    history.truth.done["cut"] += 1
    return True


def _check_stopped(history: History, task_id: str, ended: Mapping[int, Ended], most: int) -> None:
    """Once as many have failed on a node as may, no more starts there than what had begun, with each of its runners."""
    truth = history.truth
    if task_id in {each for each, _ in truth.retried}:
        return
    keys = {(f"{task_id}_{index}", each.attempt): each.state for index, each in ended.items()}
    for host in history.hosts.values():
        here = {key: state for key, state in keys.items() if truth.hosts.get(key) == host.name}
        failed = sorted(truth.over[key] for key, state in here.items() if state in (State.FAILED, State.TIMEOUT))
        if len(failed) < most:
            continue
        since = failed[most - 1]
        late = [key for key in here if truth.began[key] > since + KNOWN_SECONDS]
        runners = 1 + sum(at > since for at in history.began.get(host.name, ()))
        if len(late) > runners * 2 * host.capacity.cpus:
            raise Violated(f"{len(late)} of {task_id} began on {host.name} after {most} had failed there")


def _check_read(history: History, task_id: str, counts: Mapping[str, int]) -> None:
    """A reader sees each index of the array once, as it ended, whether it looks at all or at one."""
    array = Search(Reader(history.lease, history.fs(), SystemClock())).indexed(task_id)
    found = array.by_state()
    seen = Counter({state.name: len(some) for state, some in found.items()})
    every = array.every
    if seen != Counter(counts):
        raise Violated(f"of {task_id} a reader sees {dict(seen)}, and {dict(counts)} are told")
    rows = list(array.rows())
    by_rows = {parse_id(row.id)[1]: row.state for row in rows}
    if [parse_id(row.id)[1] for row in rows] != list(every) or any(
        by_rows[index] is not state for state, some in found.items() for index in some
    ):
        raise Violated(f"of {task_id} a reader's rows say something else than its counts")
    for index in {every.first, every.last, every[len(every) // 2]}:
        attempt, outcome = array.final(index)
        if outcome is None or outcome.state is not by_rows[index] or attempt != outcome.attempt:
            raise Violated(f"{task_id}_{index} alone is seen as {outcome}, and among all as {by_rows[index].name}")


def _check_true(history: History, key: tuple[str, int], outcome: Outcome) -> None:
    """The outcome says what the process did, and LOST is said only if nobody can know."""
    truth, name, state = history.truth, f"{key[0]}.{key[1]}", outcome.state
    if state in (State.DONE, State.FAILED, State.TIMEOUT) and key not in truth.exits:
        raise Violated(f"{name} stands as {state.name}, and never ended")
    if key in truth.ran and truth.ran[key] != outcome.task.argv:
        raise Violated(f"{name} ran {truth.ran[key]}, and its outcome says {outcome.task.argv}")
    if state is State.DONE and truth.exits[key]:
        raise Violated(f"{name} stands as DONE, and exited {truth.exits[key]}")
    if state is State.FAILED and key in truth.ended_by_slurm:
        raise Violated(f"{name} stands as FAILED ({outcome.reason}), and the end of its job has ended it")
    if state is State.TIMEOUT and outcome.task.need.time_seconds is None:
        raise Violated(f"{name} stands as TIMEOUT, and had no limit")
    if state is State.CANCELLED and not outcome.because and key[0] not in truth.cancelled and key not in truth.forced:
        # A `recover` may have taken the attempt away; its node then ended what still ran.
        raise Violated(f"{name} stands as CANCELLED, and nobody asked for that")
    if state is not State.LOST or key in truth.forced or truth.lease_ended:
        return
    if UNSEEN in outcome.reason:
        if key not in truth.unseen and outcome.node not in truth.lossy:
            raise Violated(f"{name} is LOST ({outcome.reason}), and its parent lived")
    elif outcome.node not in truth.lossy:
        raise Violated(f"{name} is LOST ({outcome.reason}), and nothing happened to {outcome.node}")


def _check_asked_for(history: History, task_id: str, outcomes: dict[tuple[str, int], Outcome]) -> None:
    """No attempt follows another unless its submitter, a `recover`, or the lease's end asked for it."""
    attempts = sorted(attempt for each, attempt in outcomes if each == task_id)
    recovered = history.truth.recovered.get(task_id, 0)
    for attempt in attempts[1:]:
        before = outcomes[task_id, attempt - 1]
        task: Task = before.task
        asked = {
            "retry": attempt - 1 <= task.retries and before.state in (State.FAILED, State.TIMEOUT),
            "lost": before.state is State.LOST
            and (
                attempt - 1 <= task.retries
                if task.on_lost != "requeue"
                else attempt - 1 <= max(task.retries, LOST_ATTEMPTS_MAX)
            ),
            "requeue": history.truth.lease_ended,
            "recover": recovered > 0,
            "": recovered > 0,
        }[before.requeued]
        back = brought_back(history, history.fs(), before)
        if not asked and not back and (task_id, attempt - 1) not in history.truth.retried:
            raise Violated(
                f"{task_id}.{attempt} follows a {before.state.name} ({before.requeued}), and nobody asked for it"
            )
