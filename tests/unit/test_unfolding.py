"""Arrays and groups, unit by unit: what a look says is what each index says of itself, and costs what was added."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaseq.dataclass import replace
from leaseq.indices import Indices
from leaseq.models import Array, State
from leaseq.names import Entry
from leaseq.protocol import arrays, chunks, tasks
from leaseq.protocol.facts import Ended
from leaseq.protocol.marks import STATES
from leaseq.protocol.stops import Stop
from leaseq.protocol.tasks import Claim
from leaseq.reading import unfolding
from leaseq.reading.unfolding import Unfolded, Unfolding, of_group
from tests.unit.test_array_reading import Running6, six
from tests.unit.test_snapshot import INC, NODE, Lab

__all__ = ["six"]


def codes(found: Unfolded) -> list[str]:
    return [STATES[code - 1].code for code in found.states]


def look(unfolded: Unfolding, of: Running6) -> Unfolded:
    return unfolded.look({view.node: view for view in of.lab.read().nodes})


def test_a_look_says_of_each_index_what_the_index_says_of_itself(six: Running6) -> None:
    found = Unfolding(six.lab.reader, six.id)

    def agree(*wanted: str) -> None:
        assert codes(look(found, six)) == six.states() == list(wanted)
        assert codes(look(Unfolding(six.lab.reader, six.id), six)) == list(wanted)

    agree(*["PD"] * 6)
    six.begin(0, 1, 2)
    six.beat(0, 1, 2)
    agree("R", "R", "R", "PD", "PD", "PD")
    six.end(0)
    six.end(1, State.FAILED, code=1)
    six.end(2, State.FAILED, code=1, requeued="retry")
    agree("CD", "F", "PD", "PD", "PD", "PD")
    six.begin(2, attempt=2)
    agree("CD", "F", "R", "PD", "PD", "PD")
    arrays.cancel(six.lab.fs, six.lab.lease, six.entry, Stop(Indices.parse("4"), "cancelled"), now=1.0)
    agree("CD", "F", "R", "PD", "CA", "PD")
    six.end(2, State.TIMEOUT)
    agree("CD", "F", "TO", "PD", "CA", "PD")
    arrays.cancel(six.lab.fs, six.lab.lease, six.entry, Stop(None, "cancelled"), now=1.0)
    agree("CD", "F", "TO", "CA", "CA", "CA")


def test_what_a_chunk_that_was_taken_away_says_after_its_cut_does_not_count(six: Running6) -> None:
    found = Unfolding(six.lab.reader, six.id)
    six.begin(0, 1)
    six.beat(0, 1)
    assert codes(look(found, six))[:2] == ["R", "R"]
    held = Claim(six.entry.of_chunk(six.chunk_of(0)).claimed_by(INC), NODE)
    assert chunks.take_away(six.lab.fs, six.lab.lease, held, six.lab.lease.inbox("_any"), reason="its node is gone")
    end = Ended(index=0, attempt=1, chunk=six.chunk_of(0), state=State.FAILED, exit_code=1)
    six.journal.write(ended=[end])
    assert codes(look(found, six)) == six.states()
    assert codes(look(found, six))[0] != "F"


def test_a_quiet_look_reads_nothing_but_the_ends_of_journals_and_changes_nothing(six: Running6) -> None:
    six.begin(0, 1)
    six.end(0)
    six.beat(1)
    nodes = {view.node: view for view in six.lab.read().nodes}
    found = Unfolding(six.lab.reader, six.id)
    first = found.look(nodes)
    six.lab.fs.calls.clear()
    assert found.look(nodes) is first
    calls = dict(six.lab.fs.calls)
    assert calls.pop("names") == 1 and calls.pop("read_range") == 1, calls
    assert not calls


def test_a_big_journal_is_read_in_parts_that_say_how_far_they_are(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    entry, task = lab.task(array=Array("0-99999"), argv=("x", "{i}"))
    many = Running6(lab, Entry(entry.order, entry.id, entry.need, 1, count=100_000), task)
    journal = many.journal
    for first in range(0, 20_000, 1_000):
        states = [State.FAILED if index % 100 == 7 else State.DONE for index in range(first, first + 1_000)]
        some = [Ended(first + n, 1, many.chunk_of(first + n), state, 0) for n, state in enumerate(states)]
        journal.write(begun={many.chunk_of(first): [(each.index, 1) for each in some]}, ended=some)
    found = Unfolding(lab.reader, many.id)
    fractions: list[float] = []
    while not fractions or fractions[-1] < 1:
        body = found.look({}, lambda: True)
        fractions.append(body.fraction)
    assert len(fractions) > 5 and fractions == sorted(fractions)
    assert body.counts() == {State.DONE: 19_800, State.FAILED: 200, State.PENDING: 80_000}
    assert body.counts(0, 100) == {State.DONE: 99, State.FAILED: 1}
    assert (body.name(107), body.label(107), body.place(f"{many.id}_107")) == (f"{many.id}_107", "107", 107)


def test_an_array_with_too_many_indices_is_not_unfolded(six: Running6, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfolding, "PLACES_MAX", 5)
    body = look(Unfolding(six.lab.reader, six.id), six)
    assert body.too_many == 6 and len(body) == 0


def test_a_group_is_its_tasks_in_the_order_of_submission(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.beat()
    ids = []
    for number, group in enumerate(("eval", "other", "eval", "eval"), 1):
        entry, task = lab.task(group=group, submitted=float(number))
        tasks.publish(lab.fs, lab.lease.inbox("_any"), replace(entry, group=group), task)
        ids += [entry.id] if group == "eval" else []
    body = of_group(lab.reader, "eval", recent=100)
    assert [row.id for row in body.rows] == ids and codes(body) == ["PD"] * 3
    assert body.place(ids[1]) == 1 and body.name(2) == ids[2] and not body.recent
