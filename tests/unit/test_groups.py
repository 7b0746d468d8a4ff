"""Groups in the names of tasks, and what is paused and limited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from leaseq.dataclass import replace
from leaseq.errors import Malformed, UsageError
from leaseq.layout import LeaseDir
from leaseq.limit_names import Lane, holder_parts
from leaseq.models import Need, State
from leaseq.names import PENDING, Entry, group_of, valid_group
from leaseq.protocol import facts, files, groups, lanes
from leaseq.room import Room
from leaseq.runner.decide import LOOKAHEAD, choose
from leaseq.runner.queue import Queue
from leaseq.world import Fs
from tests.build import make_entry
from tests.faults import Died, Fault, FaultFs, Kind
from tests.memoryfs import Disk, MemoryFs

LEASE = LeaseDir("1", "/home/1")
ROOM = Room(8, 1000, ())


def entry(place: int, group: str = "") -> Entry:
    return replace(make_entry(micros=place, need=Need(cpus=1)), group=group)


def made() -> MemoryFs:
    fs = MemoryFs(Disk())
    files.make(fs, [LEASE.root, LEASE.claims, LEASE.claimed("n1"), LEASE.claimed("n2")])
    return fs


def holder(each: Entry, node: str) -> str:
    return each.claimed_by("0123456789").holder(node)


def claim(fs: MemoryFs, each: Entry, node: str) -> None:
    fs.create(f"{LEASE.claimed(node)}/{each.claimed_by('0123456789')}", b"")


@pytest.mark.parametrize("group", ["eval", "a", "A-1_b", "9", "x" * 32])
def test_a_name_carries_its_group_and_nobody_parses_it_for_that(group: str) -> None:
    each = entry(1, group)
    assert Entry.parse(str(each)) == each and group_of(str(each)) == group
    assert group_of(str(each.claimed_by("0123456789"))) == group
    assert PENDING.fullmatch(str(each)) and each.next_attempt().group == group


@pytest.mark.parametrize("group", ["", ".", "a.b", "-a", "_all", "a b", "x" * 33, "é", "a\n"])
def test_what_is_no_groups_name_is_in_no_file_name(group: str) -> None:
    with pytest.raises(UsageError):
        valid_group(group, what="--group")
    name = str(entry(1, "eval")).replace("~eval", f"~{group}")
    with pytest.raises(Malformed):
        Entry.parse(name)


def test_who_holds_a_lane_is_told_by_its_name() -> None:
    each = entry(1, "eval").claimed_by("0123456789")
    holder = each.holder("node.with-dots")
    assert holder_parts(holder) == (each.key, "0123456789", "node.with-dots")
    assert Lane.parse(str(Lane(3, 2, holder))) == Lane(3, 2, holder)
    for bad in ("x", "T1.1.abc", "T1.1.abc._cli"):
        with pytest.raises(Malformed):
            holder_parts(bad)


def test_limits_are_read_from_names_and_the_smaller_of_two_counts() -> None:
    fs = made()
    assert groups.limits(fs, LEASE) == groups.NONE and not groups.NONE.made
    groups.pause(fs, LEASE, "eval")
    groups.set_parallel(fs, LEASE, "train", 4)
    fs.create(f"{LEASE.groups}/train.parallel.7", b"")
    fs.create(f"{LEASE.groups}/nonsense", b"")
    found = groups.limits(fs, LEASE)
    assert (found.paused, dict(found.parallel), found.groups) == (frozenset({"eval"}), {"train": 4}, ["eval", "train"])
    assert found.stop("eval") and not found.stop("train") and not found.stop("")
    groups.set_parallel(fs, LEASE, "train", 9)
    groups.resume(fs, LEASE, "eval")
    assert dict(groups.limits(fs, LEASE).parallel) == {"train": 9} and not groups.limits(fs, LEASE).paused
    groups.set_parallel(fs, LEASE, "train", None)
    assert not groups.limits(fs, LEASE) and groups.limits(fs, LEASE).made


def test_a_group_whose_name_begins_as_anothers_keeps_its_limit() -> None:
    fs = made()
    groups.set_parallel(fs, LEASE, "a", 1)
    groups.set_parallel(fs, LEASE, "a-b", 2)
    groups.set_parallel(fs, LEASE, "a", 3)
    assert dict(groups.limits(fs, LEASE).parallel) == {"a": 3, "a-b": 2}


def test_two_who_limit_a_group_at_once_leave_a_limit() -> None:
    counted = FaultFs(made())
    groups.set_parallel(counted, LEASE, "eval", 1)
    for at in range(1, len(counted.calls) + 1):
        inner = made()
        groups.set_parallel(inner, LEASE, "eval", 3)
        other = Fault(at, Kind.MEANWHILE, meanwhile=partial(groups.set_parallel, inner, LEASE, "eval", 2))
        groups.set_parallel(FaultFs(inner, other), LEASE, "eval", 1)
        assert groups.limits(inner, LEASE).parallel["eval"] in (1, 2), at


def test_what_is_claimed_when_a_limit_is_made_has_lanes_before_the_limit_is_seen() -> None:
    inner = made()
    for number, node in enumerate(("n1", "n1", "n2")):
        claim(inner, entry(number, "eval"), node)
    claim(inner, entry(9, "other"), "n2")
    fs = FaultFs(inner)
    groups.set_parallel(fs, LEASE, "eval", 2)
    assert len(lanes.held_by(lanes.look(inner, LEASE.group_lanes("eval")))) == 3
    seen = [call[0] for call in fs.calls if any("eval.parallel" in path for path in call[1:])]
    first = next(number for number, call in enumerate(fs.calls) if any("eval.parallel" in p for p in call[1:]))
    assert seen == ["rename"] and sum("/lanes/" in call[-1] for call in fs.calls[:first]) > 3


def test_lanes_of_claims_that_are_gone_are_freed_and_others_are_not() -> None:
    fs = made()
    kept = entry(1, "eval")
    claim(fs, kept, "n1")
    groups.set_parallel(fs, LEASE, "eval", 2)
    lanes.take(fs, LEASE.group_lanes("eval"), holder(entry(2, "eval"), "n9"), limit=2)
    groups.free_gone(fs, LEASE, "eval")
    held = lanes.held_by(lanes.look(fs, LEASE.group_lanes("eval")))
    assert list(held) == [holder(kept, "n1")]
    assert groups.groups_with_lanes(fs, LEASE) == ["eval"]


@pytest.mark.parametrize("beside", [[], [(3, "")], [(3, "eval"), (4, "")], [(3, ""), (4, "other")]])
def test_a_claim_keeps_its_lane_whatever_else_its_node_holds(beside: list[tuple[int, str]]) -> None:
    fs = made()
    kept, gone = entry(1, "eval"), entry(2, "eval")
    claim(fs, kept, "n1")
    claim(fs, gone, "n1")
    groups.set_parallel(fs, LEASE, "eval", 2)
    for place, group in beside:
        claim(fs, entry(place, group), "n1")
    fs.unlink(f"{LEASE.claimed('n1')}/{gone.claimed_by('0123456789')}")
    groups.free_gone(fs, LEASE, "eval")
    held = lanes.held_by(lanes.look(fs, LEASE.group_lanes("eval")))
    assert list(held) == [holder(kept, "n1")]


def array_with_begun(fs: MemoryFs, *, begun: str, claimed: str) -> Entry:
    """An array of the group, whose chunk 0 that incarnation has on n1; another has begun its indices 0 and 1."""
    array = replace(entry(1, "eval"), count=4)
    where = LEASE.array(array.id, 1)
    files.make(fs, [LEASE.arrays, where.root])
    chunk = array.of_chunk(0).claimed_by(claimed)
    fs.create(f"{LEASE.claimed('n1')}/{chunk}", b"")
    fs.create(where.journal("n1", begun), facts.begins(0, [(0, 1), (1, 1)]))
    return array


def test_a_chunk_keeps_its_arrays_lane_under_a_later_runner() -> None:
    fs = made()
    array = array_with_begun(fs, begun="0000000000", claimed="1111111111")
    chunk = array.of_chunk(0).claimed_by("0000000000")
    directory = LEASE.lanes(array.id)
    held = lanes.take(fs, directory, chunk.chunk_lane("n1"), limit=1)
    assert lanes.take(fs, directory, array.of_chunk(1).claimed_by("0000000000").chunk_lane("n1"), limit=None)
    assert lanes.free_gone(fs, directory, stands=groups.standing(fs, LEASE)) == 1
    assert lanes.take(fs, directory, array.of_chunk(0).claimed_by("1111111111").chunk_lane("n1"), limit=None) == held


def test_indices_that_have_begun_when_a_limit_is_made_have_lanes_and_keep_them_under_a_later_runner() -> None:
    fs = made()
    array = array_with_begun(fs, begun="0000000000", claimed="1111111111")
    groups.set_parallel(fs, LEASE, "eval", 1)
    held = lanes.held_by(lanes.look(fs, LEASE.group_lanes("eval")))
    assert list(held) == [array.of_index(index, 1).claimed_by("0000000000").holder("n1") for index in (0, 1)]
    groups.free_gone(fs, LEASE, "eval")
    assert lanes.held_by(lanes.look(fs, LEASE.group_lanes("eval"))) == held
    fs.unlink(f"{LEASE.claimed('n1')}/{array.of_chunk(0).claimed_by('1111111111')}")
    groups.free_gone(fs, LEASE, "eval")
    assert not lanes.held_by(lanes.look(fs, LEASE.group_lanes("eval")))


def test_an_index_that_ends_while_a_limit_is_made_holds_no_lane() -> None:
    for at in range(1, 60):
        fs = made()
        array = array_with_begun(fs, begun="0000000000", claimed="0000000000")
        ends = array.of_index(0, 1).claimed_by("0000000000").holder("n1")

        def end(fs: MemoryFs = fs, array: Entry = array, ends: str = ends) -> None:
            """Its runner writes down how it ended, and frees the lane that it has, if it has one."""
            fs.append(LEASE.array(array.id, 1).journal("n1", "0000000000"), facts.Ended(0, 1, 0, State.DONE).line())
            directory = LEASE.group_lanes("eval")
            if lane := lanes.held_by(lanes.look(fs, directory)).get(ends):
                lanes.free(fs, directory, lane)

        faulty = FaultFs(fs, Fault(at, Kind.MEANWHILE, meanwhile=end))
        groups.set_parallel(faulty, LEASE, "eval", 2)
        held = lanes.held_by(lanes.look(fs, LEASE.group_lanes("eval")))
        stays = array.of_index(1, 1).claimed_by("0000000000").holder("n1")
        assert set(held) == ({stays} if len(faulty.calls) >= at else {stays, ends}), at


def test_a_claim_whose_need_only_a_newer_leaseq_knows_keeps_its_lane() -> None:
    fs = made()
    known = entry(1)
    newer = f"{known.order}.{known.id}.q7~eval.2.0123456789"
    fs.create(f"{LEASE.claimed('n1')}/{newer}", b"")
    held = lanes.take(fs, LEASE.group_lanes("eval"), f"{known.id}.2.0123456789.n1", limit=1)
    groups.free_gone(fs, LEASE, "eval")
    assert lanes.look(fs, LEASE.group_lanes("eval")) == [held]


def test_tasks_of_a_shut_group_stand_in_nobodys_way() -> None:
    queue = Queue("n", ("n",))
    names = [str(entry(place, "eval")) for place in range(3 * LOOKAHEAD)]
    last = str(entry(10_000))
    queue.refresh([*names, last], own=False)
    assert [str(each) for each in queue.candidates(0.0, shut=lambda group: group == "eval")[0]] == [last]
    several = Queue("n", ("m", "n"))
    several.refresh([*names, last], own=False)
    several.candidates(0.0, shut=lambda group: group == "eval")
    assert [str(each) for each in several.candidates(60.0, shut=lambda group: group == "eval")[0]] == [last]


def test_no_more_of_a_group_are_chosen_than_lanes_are_left() -> None:
    pending = [entry(place, "eval") for place in range(3)] + [entry(5, "train"), entry(6)]
    chosen, waiting = choose(pending, ROOM, [], seconds_left=None, lanes_left={"eval": 1})
    assert [each.entry for each in chosen] == [pending[0], pending[3], pending[4]]
    assert set(waiting) == {pending[1].id, pending[2].id}
    assert all(why.startswith("Group: ") for why in waiting.values())


# -- whoever dies while a limit or a pause is made ----------------------------------------------------


def deaths(act: Callable[[Fs], None], before: Callable[[MemoryFs], None]) -> Iterator[MemoryFs]:
    """The file system after the act has died before each of its operations, and as a loss of power then leaves it."""
    at, struck = 0, True
    while struck:
        at += 1
        inner = made()
        before(inner)
        inner.disk.sync_all()
        fs = FaultFs(inner, Fault(at, Kind.DIE_BEFORE))
        try:
            act(fs)
            struck = False
        except Died:
            pass
        yield inner
        yield from (MemoryFs(left) for left in inner.disk.losses())


def three_run(fs: MemoryFs) -> None:
    for number, node in enumerate(("n1", "n1", "n2")):
        claim(fs, entry(number, "eval"), node)


def test_a_limit_that_is_seen_is_seen_by_lanes_of_all_that_run() -> None:
    seen = 0
    for fs in deaths(lambda fs: groups.set_parallel(fs, LEASE, "eval", 2), three_run):
        found = groups.limits(fs, LEASE)
        assert dict(found.parallel) in ({}, {"eval": 2})
        seen += 1
    assert seen > 20
    for fs in deaths(lambda fs: groups.set_parallel(fs, LEASE, "eval", 2), three_run):
        # Lanes are durable by nothing but their renames: a loss of power leaves their runners to take them again.
        if fs.disk.unsynced and groups.limits(fs, LEASE).parallel:
            assert len(lanes.held_by(lanes.look(fs, LEASE.group_lanes("eval")))) == 3


def test_a_limit_that_changes_is_the_old_one_or_the_new_one() -> None:
    def limited(fs: MemoryFs) -> None:
        groups.set_parallel(fs, LEASE, "eval", 2)

    for most in (1, 4):
        for fs in deaths(lambda fs, most=most: groups.set_parallel(fs, LEASE, "eval", most), limited):  # type: ignore[misc]
            assert groups.limits(fs, LEASE).parallel["eval"] in (2, most)


def test_a_pause_is_there_once_it_is_told_and_gone_once_it_is_resumed() -> None:
    *_, last = deaths(lambda fs: groups.pause(fs, LEASE, "eval"), lambda fs: None)
    assert groups.limits(last, LEASE).stop("eval")
    *_, last = deaths(lambda fs: groups.resume(fs, LEASE, "eval"), lambda fs: groups.pause(fs, LEASE, "eval"))
    assert not groups.limits(last, LEASE).stop("eval")
