"""What a reader makes of a lease directory, over real files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaseq.dataclass import replace
from leaseq.errors import NotFound, UsageError
from leaseq.heartbeat import Heartbeat, Running
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Event, Need, Outcome, State, Task
from leaseq.names import CLI, Entry, new_incarnation, new_task_id
from leaseq.protocol import concluding, history, records, tasks, terms
from leaseq.protocol.tasks import Claim
from leaseq.reading.find import detail, find
from leaseq.reading.sightings import STATES, Rank
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import Health, Snapshot
from leaseq.world import SystemClock, SystemFs, boot_id, hostname, process_start
from tests.build import allocate, make_entry, make_task

NODE = "n1"
INC = "0123456789"
NOTHING = Need()


class CountingFs(SystemFs):
    """The real file system, with a count of what was asked of it."""

    def __init__(self) -> None:
        super().__init__(remote=False)
        self.calls: dict[str, int] = {}
        self.before_names: dict[str, list[object]] = {}
        self.after_read: dict[str, Callable[[], object]] = {}

    def names(self, directory: str) -> list[str]:
        self.calls["names"] = self.calls.get("names", 0) + 1
        found = super().names(directory)
        for action in self.before_names.pop(directory, []):
            action()  # type: ignore[operator]
        return found

    def read(self, path: str) -> bytes:
        self.calls["read"] = self.calls.get("read", 0) + 1
        try:
            return super().read(path)
        finally:
            self.after_read.pop(path, int)()

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        self.calls["read_range"] = self.calls.get("read_range", 0) + 1
        return super().read_range(path, offset, length)


class Lab:
    """A lease directory with one node, and the moves that a test makes in it."""

    def __init__(self, root: Path) -> None:
        self.fs = CountingFs()
        self.lease = LeaseDir("local:lab", str(root / "runs" / "local:lab"))
        os.makedirs(root / "runs")
        records.prepare(self.fs, self.lease)
        records.prepare_node(self.fs, self.lease, NODE)
        self.reader = Reader(self.lease, self.fs, SystemClock())
        self.sequence = 0
        self.totals: dict[str, int] = {}

    def task(self, *, node: str = ANY, need: Need = NOTHING, **options: object) -> tuple[Entry, Task]:
        self.sequence += 1
        entry = make_entry(micros=(10**9 + self.sequence) * 10**6, need=need)
        words = ("echo", str(self.sequence))
        task = make_task(entry.id, argv=words, submitted=1e9 + self.sequence, node=node, need=need)
        return entry, replace(task, **options)  # type: ignore[arg-type]

    def pending(self, *, node: str = ANY, held: bool = False, **options: Any) -> Entry:
        entry, task = self.task(node=node, **options)
        tasks.publish(self.fs, (self.lease.held if held else self.lease.inbox)(node), entry, task)
        return entry

    def claimed(self, entry: Entry | None = None) -> Claim:
        entry = entry or self.pending()
        won = tasks.claim(self.fs, self.lease, self.lease.inbox(ANY), entry, node=NODE, incarnation=INC)
        assert won
        return won

    def outcome(self, claim: Claim, state: State, **options: object) -> Outcome:
        task = tasks.read_task(self.fs, claim.path(self.lease), claim.entry)
        made = Outcome(task=task, attempt=claim.entry.attempt, state=state, node=NODE, incarnation=INC, ended=2e9)
        return replace(made, **options)  # type: ignore[arg-type]

    def finished(self, state: State = State.DONE, *, claim: Claim | None = None, **options: object) -> str:
        claim = claim or self.claimed()
        outcome = self.outcome(claim, state, **options)
        tasks.decide_all(self.fs, self.lease, [outcome])
        self.record(outcome)
        tasks.settle(self.fs, self.lease, claim, outcome)
        return claim.entry.id

    def record(self, outcome: Outcome) -> None:
        if not outcome.requeued:
            self.totals[outcome.state.name] = self.totals.get(outcome.state.name, 0) + 1
        history.record_events(self.fs, self.lease, NODE, [history.event_of(outcome, self.totals)])

    def beat(self, **options: object) -> None:
        here = Heartbeat(
            lease=self.lease.id,
            node=NODE,
            incarnation=INC,
            counter=1,
            time=0.0,
            interval_seconds=2.0,
            host=hostname(),
            boot=boot_id(),
            pid=os.getpid(),
            pid_start=process_start(os.getpid()),
        )
        terms.beat(self.fs, self.lease, replace(here, **options))  # type: ignore[arg-type]

    def silent_for(self, seconds: float) -> None:
        """The last heartbeat, of some other host, is that old."""
        self.beat(host="elsewhere", boot="other")
        then = os.stat(self.lease.heartbeat(NODE)).st_mtime - seconds
        os.utime(self.lease.heartbeat(NODE), (then, then))

    def read(self, **options: object) -> Snapshot:
        return self.reader.read(**options)  # type: ignore[arg-type]

    def states(self) -> dict[str, tuple[State, str]]:
        return {row.id: (row.state, row.reason) for row in self.read().tasks}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_an_empty_lease_is_an_empty_snapshot(lab: Lab) -> None:
    snapshot = lab.read()
    assert snapshot.tasks == ()
    assert set(snapshot.totals.values()) == {0}


def test_a_lease_that_does_not_exist_is_an_empty_snapshot(tmp_path: Path) -> None:
    lease = LeaseDir("none", str(tmp_path / "none"))
    snapshot = Reader(lease, SystemFs(remote=False), SystemClock()).read()
    assert (snapshot.tasks, snapshot.nodes, snapshot.lease) == ((), (), None)


def test_every_stage_of_a_task_is_one_row_with_its_state(lab: Lab) -> None:
    lab.beat()
    pending, running = lab.pending(), lab.claimed()
    done, failed = lab.finished(), lab.finished(State.FAILED, exit_code=3)
    cancelled = lab.pending()
    concluding.cancel_pending(lab.fs, lab.lease, lab.lease.inbox(ANY), cancelled, ended=1.0, reason="asked")
    assert {task_id: state for task_id, (state, _) in lab.states().items()} == {
        pending.id: State.PENDING,
        running.entry.id: State.RUNNING,
        done: State.DONE,
        failed: State.FAILED,
        cancelled.id: State.CANCELLED,
    }
    totals = {state: count for state, count in lab.read().totals.items() if count}
    assert totals == {
        State.PENDING: 1,
        State.RUNNING: 1,
        State.DONE: 1,
        State.FAILED: 1,
        State.CANCELLED: 1,
    }


def test_a_booked_outcome_that_reached_the_history_counts_once(lab: Lab) -> None:
    entry = lab.pending()
    outcome = concluding.cancel_pending(lab.fs, lab.lease, lab.lease.inbox(ANY), entry, ended=1.0, reason="")
    assert outcome
    lab.record(outcome)
    snapshot = lab.read()
    assert snapshot.totals[State.CANCELLED] == 1
    assert [row.id for row in snapshot.tasks] == [entry.id]


def test_a_claim_of_a_command_counts_as_cancelled(lab: Lab) -> None:
    entry = lab.pending()
    tasks.claim(lab.fs, lab.lease, lab.lease.inbox(ANY), entry, node=CLI, incarnation=new_incarnation())
    assert lab.states()[entry.id][0] is State.CANCELLED


def test_done_wins_over_a_claim_that_is_not_settled_yet(lab: Lab) -> None:
    lab.beat()
    claim = lab.claimed()
    outcome = lab.outcome(claim, State.DONE, exit_code=0)
    tasks.decide_all(lab.fs, lab.lease, [outcome])
    lab.record(outcome)
    assert lab.states() == {claim.entry.id: (State.DONE, "")}
    assert find(lab.reader, claim.entry.id)[0].state is State.DONE


def test_a_higher_attempt_wins_over_the_outcome_of_the_one_before(lab: Lab) -> None:
    lab.beat()
    task_id = lab.finished(State.FAILED, requeued="retry")
    rows = lab.read().tasks
    assert [(row.id, row.attempt, row.state) for row in rows] == [(task_id, 2, State.PENDING)]
    assert find(lab.reader, task_id)[0].attempt == 2


def test_a_requeue_that_was_decided_and_not_yet_moved_is_pending(lab: Lab) -> None:
    claim = lab.claimed()
    outcome = lab.outcome(claim, State.FAILED, requeued="retry")
    tasks.decide_all(lab.fs, lab.lease, [outcome])
    lab.record(outcome)
    assert lab.states() == {claim.entry.id: (State.PENDING, "Requeue")}
    assert find(lab.reader, claim.entry.id)[0].state is State.PENDING


def test_a_task_that_moves_back_while_the_directories_are_listed_is_seen(lab: Lab) -> None:
    lab.beat()
    claim = lab.claimed()

    def unclaim() -> None:
        tasks.unclaim(lab.fs, lab.lease, claim, lab.lease.inbox(ANY))

    # After the first listing of the inboxes, before that of the node's claims.
    lab.fs.before_names[lab.lease.claims] = [unclaim]
    assert lab.states()[claim.entry.id][0] is State.PENDING


def test_a_lost_task_stays_listed_until_it_is_recovered(lab: Lab) -> None:
    task_id = lab.finished(State.LOST, reason="NodeFail")
    (row,) = lab.read().tasks
    assert (row.state, row.place and row.place.directory) == (State.LOST, lab.lease.lost)
    assert lab.read(recent=0).totals[State.LOST] == 1
    assert row.place
    assert tasks.recover_lost(lab.fs, lab.lease, Entry.parse(row.place.name), lab.lease.inbox(ANY))
    assert lab.states()[task_id][0] is State.PENDING
    assert lab.read().totals[State.LOST] == 0


# -- health ----------------------------------------------------------------------------------------


def health(lab: Lab) -> Health:
    (view,) = lab.read().nodes
    return view.health


def test_a_lease_without_any_node_runs_nothing_yet_and_says_so(lab: Lab) -> None:
    entry = lab.pending()
    for parent in (lab.lease.inboxes, lab.lease.helds, lab.lease.claims):
        for node in os.listdir(parent):
            if node != ANY:
                os.rmdir(f"{parent}/{node}")
    assert lab.read().nodes == ()
    assert lab.states()[entry.id] == (State.PENDING, "NoRunner: the lease has no node yet")


def test_a_node_without_heartbeat_is_unknown_and_its_tasks_have_no_runner(lab: Lab) -> None:
    entry = lab.pending()
    assert health(lab) is Health.UNKNOWN
    assert lab.states()[entry.id] == (State.PENDING, "NoRunner")


def test_a_dead_runner_of_this_host_is_down_at_once_and_its_claim_stuck(lab: Lab) -> None:
    lab.beat(pid_start=1)
    claim = lab.claimed()
    assert health(lab) is Health.DOWN
    assert lab.states()[claim.entry.id] == (State.STUCK, "RunnerDown")


def test_a_heartbeat_of_this_host_before_its_last_boot_is_down(lab: Lab) -> None:
    lab.beat(boot="earlier", host=hostname())
    os.utime(lab.lease.heartbeat(NODE), (1.0, 1.0))
    assert lab.reader.runners.of(NODE).why == "this host was rebooted since"


def test_a_fresh_heartbeat_of_another_host_of_the_same_name_is_not_down(lab: Lab) -> None:
    lab.beat(boot="elsewhere")
    assert health(lab) is Health.OK


def test_a_silent_node_elsewhere_is_late_then_down_and_late_is_never_stuck(lab: Lab) -> None:
    claim = lab.claimed()
    for seconds, expected, state in (
        (5, Health.OK, State.RUNNING),
        (59, Health.OK, State.RUNNING),
        (61, Health.LATE, State.UNKNOWN),
        (119, Health.LATE, State.UNKNOWN),
        (121, Health.DOWN, State.STUCK),
    ):
        lab.silent_for(seconds)
        lab.reader = Reader(lab.lease, lab.fs, SystemClock())
        assert (health(lab), lab.states()[claim.entry.id][0]) == (expected, state), seconds


def test_a_watched_node_is_young_again_as_soon_as_its_counter_changes(lab: Lab) -> None:
    lab.silent_for(500)
    assert health(lab) is Health.DOWN
    lab.beat(host="elsewhere", boot="other", counter=2)
    then = 1.0
    os.utime(lab.lease.heartbeat(NODE), (then, then))
    assert health(lab) is Health.OK


def test_a_runner_that_stopped_on_purpose_is_stopped(lab: Lab) -> None:
    lab.beat(state="stopped", pid_start=1)
    assert health(lab) is Health.STOPPED


# -- pending reasons -------------------------------------------------------------------------------


def test_a_pending_task_says_why(lab: Lab) -> None:
    held = lab.pending(held=True)
    blocked, free, pinned = lab.pending(), lab.pending(), lab.pending(node=NODE)
    records.prepare_node(lab.fs, lab.lease, "n2")
    elsewhere = lab.pending(node="n2")
    lab.beat(waiting={blocked.id: "GPU: needs 1, 0 free"})
    assert lab.states() == {
        held.id: (State.PENDING, "Held"),
        blocked.id: (State.PENDING, "GPU: needs 1, 0 free"),
        free.id: (State.PENDING, "Queued: 1 ahead"),
        pinned.id: (State.PENDING, "Queued: 2 ahead"),
        elsewhere.id: (State.PENDING, "NoRunner"),
    }
    assert find(lab.reader, free.id)[0].reason == "Queued: 1 ahead", "one task tells what the list tells"


@pytest.mark.parametrize(("told", "reason"), [("draining", "Draining"), ("ending", "Ending")])
def test_a_pending_task_says_that_its_nodes_take_nothing_more(lab: Lab, told: str, reason: str) -> None:
    task = lab.pending()
    lab.beat(state=told)
    assert lab.states() == {task.id: (State.PENDING, reason)}
    assert next(iter(lab.read().nodes)).takes_nothing == told


def test_a_task_behind_others_that_is_longer_than_the_lease_is_told_so(lab: Lab) -> None:
    first = lab.pending()
    long, short = lab.pending(need=Need(time_seconds=7200)), lab.pending(need=Need(time_seconds=600))
    lab.beat(ends=3600.0)  # the heartbeat was written at 0, by its own clock
    states = lab.states()
    assert states[first.id][1] == "Queued: next"
    assert re.fullmatch(r"LeaseTime: needs 2:00:00, (1:00:00|59:\d\d) left", states[long.id][1])
    assert states[short.id][1] == "Queued: 2 ahead"


def test_of_several_nodes_the_reason_says_on_which(lab: Lab) -> None:
    records.prepare_node(lab.fs, lab.lease, "n2")
    blocked = lab.pending()
    lab.beat(waiting={blocked.id: "GPU: needs 1, 0 free"})
    lab.beat(node="n2")
    assert lab.states()[blocked.id][1] == f"GPU: needs 1, 0 free on {NODE}"


def test_of_nodes_that_take_nothing_the_most_hopeful_says_why(lab: Lab) -> None:
    records.prepare_node(lab.fs, lab.lease, "n2")
    waits, pinned = lab.pending(), lab.pending(node=NODE)
    lab.beat(pid_start=1)
    assert re.fullmatch(r"RunnerDown: its process \d+ is gone", lab.states()[pinned.id][1])
    lab.beat(node="n2", state="stopped")
    assert lab.states()[waits.id][1] == "RunnerStopped"


def test_a_node_that_the_lease_no_longer_has_says_so_and_one_that_beats_is_believed(lab: Lab) -> None:
    records.prepare_node(lab.fs, lab.lease, "n2")
    pinned, claim = lab.pending(node=NODE), lab.claimed()
    allocate(lab.fs, lab.lease, nodes=("n2",))
    lab.beat()
    assert lab.states()[claim.entry.id] == (State.RUNNING, "")
    lab.beat(pid_start=1, counter=2)
    assert lab.states()[pinned.id] == (State.PENDING, "NodeDown: no longer part of the lease")
    assert lab.states()[claim.entry.id] == (State.STUCK, "NodeDown")


def test_a_running_task_is_described_by_the_heartbeat_without_opening_its_file(lab: Lab) -> None:
    claim = lab.claimed()
    run = Running(id=claim.entry.id, attempt=1, gpus=("3",), pid=7, elapsed_seconds=4.0, name="x", command="sleep 1")
    lab.beat(running=(run,))
    (row,) = lab.read().tasks
    assert (row.command, row.gpus, row.pid, row.name) == ("sleep 1", ("3",), 7, "x")
    assert row.elapsed_seconds is not None and row.elapsed_seconds >= 4.0


# -- bounded cost ----------------------------------------------------------------------------------


def test_a_task_that_leaves_while_a_name_that_is_none_appears_is_not_pending_any_more(lab: Lab) -> None:
    gone, stays = lab.pending(), lab.pending()
    lab.reader.read()
    os.rename(f"{lab.lease.inbox(ANY)}/{gone}", f"{lab.lease.inbox(ANY)}/strange")
    assert list(lab.reader.listing().pending) == [str(stays)]


def test_only_the_asked_for_pending_files_are_read_and_each_once(lab: Lab) -> None:
    for _ in range(50):
        lab.pending()
    lab.fs.calls.clear()
    snapshot = lab.read(pending=5)
    assert snapshot.totals[State.PENDING] == 50
    assert [row.command for row in snapshot.tasks] == [f"echo {n}" for n in range(1, 6)]
    first = lab.fs.calls["read"]
    assert first <= 5 + 2
    lab.fs.calls.clear()
    lab.read(pending=5)
    assert lab.fs.calls.get("read", 0) <= 2


def test_the_cost_of_a_read_does_not_depend_on_how_much_is_finished(lab: Lab) -> None:
    claim = lab.claimed()
    outcome = lab.outcome(claim, State.DONE)
    for count in (10, 3000):
        lines = [replace(outcome, task=replace(outcome.task, id=new_task_id())) for _ in range(count)]
        events = [history.event_of(line, {"DONE": n}) for n, line in enumerate(lines, 1)]
        history.record_events(lab.fs, lab.lease, NODE, events)
    reader = Reader(lab.lease, lab.fs, SystemClock())
    lab.fs.calls.clear()
    snapshot = reader.read(recent=50)
    assert snapshot.totals[State.DONE] == 3000
    assert sum(1 for row in snapshot.tasks if row.state is State.DONE) == 50
    assert lab.fs.calls["read_range"] == 1
    assert len(reader.read(recent=3010).tasks) == 3011


def test_the_last_ended_are_found_whichever_histories_hold_them(lab: Lab) -> None:
    # Of the first node all that is new, of the second every other one of what is older, of the third nothing new.
    ends = {"n1": range(900, 1000), "n2": range(700, 900, 2), "n3": range(100), "n4": range(701, 900, 20)}
    for node, times in ends.items():
        events = [Event(new_task_id(), 1, State.DONE, float(time), node) for time in times]
        history.record_events(lab.fs, lab.lease, node, events)
    newest = sorted((time for times in ends.values() for time in times), reverse=True)
    for recent in (1, 20, 120, 10**9):
        assert [row.ended for row in lab.read(recent=recent).tasks] == newest[:recent]


def test_last_looks_at_the_ended_tasks_of_all_nodes(lab: Lab) -> None:
    for number in range(5):
        outcome = Outcome(task=lab.task()[1], attempt=1, state=State.DONE, node=f"n{number}", ended=2e9)
        tasks.decide_all(lab.fs, lab.lease, [outcome])
        history.record_events(lab.fs, lab.lease, outcome.node, [history.event_of(outcome)])
    assert [find(lab.reader, f"last-{back}")[0].node for back in range(5)] == ["n4", "n3", "n2", "n1", "n0"]


def test_history_is_read_on_from_where_the_last_read_ended(lab: Lab) -> None:
    first = lab.finished()
    assert [row.id for row in lab.read().tasks] == [first]
    second = lab.finished(ended=2.1e9)
    assert [row.id for row in lab.read().tasks] == [second, first]


def test_a_torn_last_line_waits_and_a_bad_line_is_a_note(lab: Lab) -> None:
    first = lab.finished()
    path = Path(lab.lease.events(NODE))
    whole = path.read_bytes()
    path.write_bytes(whole + b"not json\n" + whole[:20])
    snapshot = lab.read()
    assert [row.id for row in snapshot.tasks] == [first]
    assert any("history" in note for note in snapshot.notes)


# -- files that are not what they should be --------------------------------------------------------


def test_malformed_files_are_rows_and_notes_and_never_stop_a_read(lab: Lab) -> None:
    entry, _ = lab.task()
    Path(lab.lease.inbox(ANY), str(entry)).write_bytes(b"\xff{")
    Path(lab.lease.inbox(ANY), "README").write_text("x")
    Path(lab.lease.claimed(NODE), "junk").write_text("x")
    Path(lab.lease.booking, "junk").write_text("x")
    Path(lab.lease.heartbeat(NODE)).write_text("{")
    Path(lab.lease.record).write_text("[]")
    snapshot = lab.read()
    (row,) = snapshot.tasks
    assert row.id == entry.id and "unreadable" in row.command
    assert len(snapshot.notes) >= 4


# -- selectors -------------------------------------------------------------------------------------


def test_ids_are_found_whole_by_prefix_in_any_case_and_in_any_stage(lab: Lab) -> None:
    lab.beat()
    ids = [lab.pending().id, lab.claimed().entry.id, lab.finished(), lab.finished(State.LOST)]
    for task_id in ids:
        for word in (task_id, task_id[:8], task_id[:8].upper(), task_id[1:8]):
            assert [row.id for row in find(lab.reader, word)] == [task_id]


def test_an_ambiguous_prefix_names_the_candidates(lab: Lab) -> None:
    first, second = lab.pending(), lab.pending()
    with pytest.raises(UsageError) as raised:
        find(lab.reader, "T")
    assert first.id in raised.value.message and second.id in raised.value.message


def test_last_counts_back_from_the_newest_submission_and_lists_join(lab: Lab) -> None:
    ids = [lab.finished(), lab.pending().id, lab.finished()]
    assert [row.id for row in find(lab.reader, "last,last-1,last-2")] == ids[::-1]
    with pytest.raises(NotFound):
        find(lab.reader, "last-3")


@pytest.mark.parametrize("word", ["T00000000000", "T0zz", "nonsense!", "../x", "T00000000000extra"])
def test_what_names_no_task_is_not_found(lab: Lab, word: str) -> None:
    lab.pending()
    with pytest.raises(NotFound):
        find(lab.reader, word)


def test_detail_tells_all_attempts_of_a_task(lab: Lab) -> None:
    lab.beat()
    task_id = lab.finished(State.FAILED, requeued="retry", exit_code=3)
    second = next(entry for entry in map(Entry.parse, lab.fs.names(lab.lease.inbox(ANY))) if entry.id == task_id)
    lab.finished(State.DONE, claim=lab.claimed(second), exit_code=0)
    found = detail(lab.reader, task_id)
    assert [(outcome.attempt, outcome.exit_code) for outcome in found.outcomes] == [(1, 3), (2, 0)]
    assert found.view.state is State.DONE
    assert found.task and found.task.argv == ("echo", "1")


def test_detail_tells_all_of_a_task_that_ends_while_it_is_looked_at(lab: Lab) -> None:
    lab.beat()
    claim = lab.claimed()
    lab.fs.after_read[lab.lease.outcome(claim.entry.id, 1)] = lambda: lab.finished(claim=claim)
    found = detail(lab.reader, claim.entry.id)
    assert not lab.fs.after_read
    assert found.task and found.task.argv == ("echo", "1")
    assert (found.view.state, len(found.outcomes)) == (State.DONE, 1)


def test_what_is_waited_for_has_a_word_wherever_it_is_seen() -> None:
    assert STATES.keys() == set(Rank) - {Rank.ENDED}


def test_two_attempts_of_one_task_that_wait_to_be_booked_each_count_by_themselves(lab: Lab) -> None:
    entry, task = lab.task()
    retried = replace(task, retried={lab.lease.id: State.CANCELLED.name})
    for each, made in ((entry, task), (entry.next_attempt(), retried)):
        tasks.publish(lab.fs, lab.lease.inbox(ANY), each, made)
        concluding.cancel_pending(lab.fs, lab.lease, lab.lease.inbox(ANY), each, ended=1.0, reason="")
    totals = lab.read().totals
    assert {state: number for state, number in totals.items() if number} == {State.CANCELLED: 1}


def test_a_cancelled_task_whose_next_attempt_is_held_counts_as_pending_alone(lab: Lab) -> None:
    entry, task = lab.task()
    tasks.publish(lab.fs, lab.lease.inbox(ANY), entry, task)
    concluding.cancel_pending(lab.fs, lab.lease, lab.lease.inbox(ANY), entry, ended=1.0, reason="")
    lab.fs.mkdir(lab.lease.held(ANY))
    retried = replace(task, retried={lab.lease.id: State.CANCELLED.name})
    tasks.publish(lab.fs, lab.lease.held(ANY), entry.next_attempt(), retried)
    totals = lab.read().totals
    assert {state: number for state, number in totals.items() if number} == {State.PENDING: 1}


@pytest.mark.parametrize(("counts", "changed"), [({}, [("LOST", 1)]), ({"LOST": 2}, [("LOST", 1), ("FAILED", -1)])])
def test_what_is_lost_once_more_counts_as_before_unless_it_is_an_array(
    counts: dict[str, int], changed: list[tuple[str, int]]
) -> None:
    event = Event(id="Tabcdefghijk", attempt=2, state=State.LOST, ended=1.0, retried="FAILED", counts=counts)
    assert history.counted(event) == changed


def test_an_attempt_that_waits_to_be_booked_counts_though_the_next_one_is_told(lab: Lab) -> None:
    entry, task = lab.task()
    tasks.publish(lab.fs, lab.lease.inbox(ANY), entry, task)
    concluding.cancel_pending(lab.fs, lab.lease, lab.lease.inbox(ANY), entry, ended=1.0, reason="")
    again, retried = entry.next_attempt(), replace(task, retried={lab.lease.id: State.CANCELLED.name})
    tasks.publish(lab.fs, lab.lease.inbox(ANY), again, retried)
    lab.totals[State.CANCELLED.name] = -1  # as the runner counts that tells of it
    lab.finished(claim=lab.claimed(again))
    seen = lab.read()
    assert {state: number for state, number in seen.totals.items() if number} == {State.DONE: 1}
    assert [(row.state, row.attempt) for row in seen.tasks] == [(State.DONE, 2)]
    lab.record(tasks.outcome_in(lab.fs, lab.lease.outcome(entry.id, 1)))
    assert {state: number for state, number in lab.read().totals.items() if number} == {State.DONE: 1}
