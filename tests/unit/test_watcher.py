"""The thread that learns of the ends of tasks, look by look: on a file system in memory, by a clock of its own."""

from __future__ import annotations

import pytest

from leaseq.api.watcher import SWEEP_SECONDS, LeaseWatch
from leaseq.dataclass import dataclass, field, replace
from leaseq.models import ANY, Outcome, State
from leaseq.names import Entry
from leaseq.protocol import history, records, tasks
from leaseq.reading.snapshot import Reader
from leaseq.verbs.cancel import cancel
from leaseq.verbs.clean import clean, due
from leaseq.verbs.move import Destination, move
from tests.build import make_entry, make_task
from tests.unit.test_verbs import NODE, Lab


@dataclass
class Watched:
    """Somebody who waits for a task."""

    id: str
    lease: str = "1"
    attempt: int = 1
    heard: list[Outcome] = field(default_factory=list)

    def done(self) -> bool:
        return bool(self.heard)

    def settle(self, reader: Reader, outcome: Outcome) -> None:
        self.heard.append(outcome)


@pytest.fixture
def lab() -> Lab:
    return Lab()


def publish(lab: Lab) -> Entry:
    entry = make_entry()
    tasks.publish(lab.fs, lab.lease.inbox(ANY), entry, make_task(entry.id, argv=("true",)))
    return entry


def watching(lab: Lab, *entries: Entry) -> tuple[LeaseWatch, list[Watched]]:
    lease = LeaseWatch(lab.access, lab.lease.id)
    watched = [Watched(entry.id) for entry in entries]
    for each in watched:
        lease.add(each)
    return lease, watched


def end(lab: Lab, entry: Entry, *, told: bool = True, requeued: str = "", state: State = State.DONE) -> None:
    """A runner ends that attempt, and tells it in its history, or does not come to that."""
    held = tasks.claim(lab.fs, lab.lease, lab.lease.inbox(ANY), entry, node=NODE, incarnation="0123456789")
    assert held is not None
    outcome = replace(tasks.cancelled(make_task(entry.id), entry), state=state, node=NODE, requeued=requeued)
    outcome = replace(outcome, attempt=entry.attempt)
    tasks.decide_all(lab.fs, lab.lease, [outcome])
    if told:
        history.record_events(lab.fs, lab.lease, NODE, [history.event_of(outcome)])
    tasks.settle(lab.fs, lab.lease, held, outcome)


def test_who_waits_is_told_by_the_history_once(lab: Lab) -> None:
    one, other = publish(lab), publish(lab)
    lease, (first, second) = watching(lab, one, other)
    assert not lease.look() and not first.heard
    end(lab, one)
    assert lease.look() and [each.state for each in first.heard] == [State.DONE] and not second.heard
    assert not lease.look() and len(first.heard) == 1
    assert lease.watched()
    end(lab, other)
    assert lease.look() and second.heard
    assert not lease.watched()


def test_an_attempt_that_another_follows_is_no_end(lab: Lab) -> None:
    entry = publish(lab)
    lease, (watched,) = watching(lab, entry)
    end(lab, entry, state=State.FAILED, requeued="retry")
    assert not lease.look() and not watched.heard
    (name,) = lab.fs.names(lab.lease.inbox(ANY))
    end(lab, Entry.parse(name))
    assert lease.look() and [(each.attempt, each.state) for each in watched.heard] == [(2, State.DONE)]


def test_what_a_command_has_decided_is_told_before_it_is_in_any_history(lab: Lab) -> None:
    entry = publish(lab)
    lease, (watched,) = watching(lab, entry)
    cancel(lab.access, lab.see(entry.id))
    assert lease.look() and watched.heard[0].state is State.CANCELLED


def test_an_end_that_no_history_tells_is_found_after_a_while(lab: Lab) -> None:
    entry = publish(lab)
    lease, (watched,) = watching(lab, entry)
    end(lab, entry, told=False)
    assert not lease.look() and not watched.heard
    lab.seconds += SWEEP_SECONDS
    assert lease.look() and watched.heard[0].state is State.DONE


def test_a_task_that_was_moved_is_watched_in_the_lease_where_it_is(lab: Lab) -> None:
    entry = publish(lab)
    lease, (watched,) = watching(lab, entry)
    move(lab.access, lab.see(entry.id), Destination(lab.other, lab.access.record(lab.other)))
    lab.seconds += SWEEP_SECONDS
    lease.look()
    assert lease.moved() == [watched] and watched.lease == lab.other.id and not watched.heard
    assert lease.moved() == [] and not lease.watched()


def test_a_task_that_is_about_to_be_queued_is_not_missed(lab: Lab) -> None:
    entry = make_entry()
    lease, (watched,) = watching(lab, entry)
    lab.seconds += SWEEP_SECONDS
    assert not lease.look() and not watched.heard
    tasks.publish(lab.fs, lab.lease.inbox(ANY), entry, make_task(entry.id, argv=("true",)))
    end(lab, entry)
    assert lease.look() and watched.heard


def test_a_task_that_was_cleaned_up_before_anybody_looked_is_told_by_its_line(lab: Lab) -> None:
    entry = publish(lab)
    lease, (watched,) = watching(lab, entry)
    end(lab, entry)
    clean(lab.access, due(lab.access, lab.lease, older_seconds=-1e9))
    lease.look()
    lab.seconds += SWEEP_SECONDS
    lease.look()
    assert [each.state for each in watched.heard] == [State.DONE]


def test_a_new_history_is_read_from_its_beginning(lab: Lab) -> None:
    entry = publish(lab)
    lease, (watched,) = watching(lab, entry)
    records.prepare_node(lab.fs, lab.lease, "n9")
    end(lab, entry, told=False)
    outcome = tasks.read_outcome(lab.fs, lab.lease, entry.id, 1)
    assert outcome is not None
    history.record_events(lab.fs, lab.lease, "n9", [history.event_of(outcome)])
    assert lease.look() and watched.heard


def operations(lab: Lab, lease: LeaseWatch) -> int:
    before = lab.disk.operations
    lease.look()
    return lab.disk.operations - before


def test_a_look_costs_the_same_however_many_are_watched(lab: Lab) -> None:
    entries = [publish(lab) for _ in range(200)]
    lease, _ = watching(lab, entries[0])
    alone = operations(lab, lease)
    lease, watched = watching(lab, *entries)
    assert 0 < operations(lab, lease) == alone <= 3
    for entry in entries[:5]:
        end(lab, entry)
    assert operations(lab, lease) <= alone + 5 * 3
    assert [bool(each.heard) for each in watched] == [True] * 5 + [False] * 195
