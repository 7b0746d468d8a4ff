"""How many jobs a lease that scales is to have: the traps that such reckonings are known for, and what always holds.

Most of the traps are HyperQueue's, whose automatic allocation had each of them; its issues are named where they are.
"""

from __future__ import annotations

from random import Random

import pytest

from leaseq.lease.slurm.keep import Link
from leaseq.lease.slurm.want import ASK_SECONDS, REFUSED_MAX, Job, Limits, Place, Wanted, want
from leaseq.models import ALL_GPUS, Need
from leaseq.reading.backlog import Backlog
from leaseq.room import Room
from tests.build import make_alloc

ROOM = Room(8, 64_000, ("0", "1", "2", "3"))
HOUR = 3600.0
ALONE, ONE_GPU, ONE_CPU = Need(), Need(gpus=1), Need(cpus=1)


def queued(place: int, **fields: object) -> Job:
    return Job(Link(place, 1, make_alloc("L", str(place))), **fields)  # type: ignore[arg-type]


def asked(place: int) -> Job:
    """One of which Slurm has not been heard yet."""
    return Job(Link(place, 1))


def runs(place: int, *left: Room, busy: bool = False, seconds: float | None = HOUR, **fields: object) -> Job:
    nodes = tuple(Place(ROOM, each, busy or each != ROOM, seconds) for each in left)
    return Job(Link(place, 1, make_alloc("L", str(place)), started=True), nodes, **fields)  # type: ignore[arg-type]


def over(place: int, reason: str, *, lived: float | None = 20.0, started: bool = True) -> Job:
    alloc = make_alloc("L", str(place), ended=1.0, end_reason=reason)
    return Job(Link(place, 1, alloc, started=started, lived_seconds=lived if started else None), over=True)


def backlog(*tasks: tuple[Need, int], **others: int) -> Backlog:
    return Backlog(tasks, others)


def wanted(tasks: Backlog, *jobs: Job, **fields: object) -> Wanted:
    limits = {"least": 0, "most": 4, "rooms": (ROOM,), "seconds": HOUR, **fields}
    return want(tasks, jobs, Limits(**limits))  # type: ignore[arg-type]


FULL = Room(0, 0, ())


# -- HyperQueue's traps --------------------------------------------------------------------------------


def test_a_task_that_is_longer_than_a_job_never_asks_for_one() -> None:
    """HyperQueue #248: jobs were submitted endlessly for tasks whose time request was above the time limit."""
    long = backlog((Need(cpus=1, time_seconds=7200), 5))
    told = wanted(long)
    assert not told.ask and told.more == 0
    assert told.never == {"needs 2 h, a job has 1 h, with its start": 5}
    assert wanted(long, seconds=None).ask, "what a job lasts is not known: it is asked for"


def test_free_room_is_used_before_a_job_is_asked_for() -> None:
    """HyperQueue #488: jobs were submitted although workers had room."""
    four = backlog((ONE_GPU, 4))
    assert not wanted(four, runs(1, ROOM)).ask
    assert wanted(four, runs(1, ROOM)).on_nodes == 4
    assert wanted(four, runs(1, Room(8, 64_000, ("3",)))).ask
    assert not wanted(backlog((ALONE, 2)), runs(1, ROOM, ROOM)).ask
    assert wanted(backlog((ALONE, 1)), runs(1, ROOM, busy=True)).ask, "it shares its node with nobody"


@pytest.mark.parametrize("reason", ["PREEMPTED", "TIMEOUT (TimeLimit)", "idle for 10 min", "released"])
def test_preemption_and_other_ends_that_are_nobodys_fault_are_no_failure(reason: str) -> None:
    """HyperQueue #501: a queue removed itself on a partition whose jobs are preempted."""
    assert wanted(backlog((ALONE, 1)), *(over(place, reason) for place in (1, 2, 3))).ask


def test_a_task_that_needs_all_of_a_jobs_time_never_asks_for_there_is_a_start() -> None:
    """HyperQueue #600: a time request equal to the limit never ran, for a hidden slack, and jobs came without end."""
    assert not wanted(backlog((Need(cpus=1, time_seconds=3600), 1))).ask
    assert wanted(backlog((Need(cpus=1, time_seconds=3500), 1))).ask


def test_there_are_never_more_jobs_than_the_limit_whatever_their_state() -> None:
    """HyperQueue #705: more workers came than were meant, as queued ones were not counted."""
    many = backlog((ALONE, 100))
    for jobs in ([runs(1, FULL), queued(2)], [asked(1), asked(2)], [runs(1), queued(2)]):
        told = wanted(many, *jobs, most=2)
        assert not told.ask and told.why_not == "it has 2 jobs, and may have 2"
    given_up = Job(Link(2, 1, given_up=True))
    assert wanted(many, runs(1, FULL), given_up, most=2).ask, "an ask that came to nothing is none"
    assert wanted(many, runs(1, FULL), over(2, "TIMEOUT"), most=2).ask


def test_a_task_that_waits_for_another_asks_for_nothing() -> None:
    """HyperQueue #857: jobs were submitted for tasks that waited for others."""
    assert wanted(backlog(waiting=7, held=2, paused=3)) == Wanted()


def test_who_stops_asking_says_so() -> None:
    """HyperQueue #861: the allocator stopped, and nothing said so."""
    one = backlog((ALONE, 1))
    told = wanted(one, refused=REFUSED_MAX, refusal="sbatch: error: Invalid account")
    assert not told.ask
    assert told.why_not == told.paused == "Slurm has refused 3 times in a row: sbatch: error: Invalid account"
    bad = [over(1, "FAILED"), over(2, "CANCELLED", started=False), over(3, "FAILED")]
    words = "the last 3 jobs ended before they started or in less than 5 min: FAILED, CANCELLED"
    assert (wanted(one, *bad).ask, wanted(one, *bad).paused) == (False, words)
    assert wanted(one, *bad, forgiven=1).ask, "somebody has said since that it is to go on"
    assert wanted(one, *bad[:2], over(3, "FAILED", lived=HOUR)).ask


def test_it_asks_again_by_itself_after_a_refusal_and_after_its_jobs_are_over() -> None:
    """HyperQueue #937: after some failed or ended jobs the allocator was silent for ever."""
    one = backlog((ALONE, 1))
    assert not wanted(one, refused=1, refusal="no", again_in=40.0).ask
    assert wanted(one, refused=1, refusal="no", again_in=-1.0).ask
    assert wanted(one, *(over(place, "TIMEOUT", lived=HOUR) for place in range(1, 40))).ask


# -- what else is known of it --------------------------------------------------------------------------


def test_what_no_node_of_such_a_job_can_run_asks_for_nothing() -> None:
    told = wanted(backlog((Need(gpus=8), 2), (Need(cpus=9), 1), (Need(mem_mb=65_000), 1)))
    assert not told.ask
    assert told.never == {
        "needs 8 GPUs, the node has 4": 2,
        "needs 9 CPUs, the node has 8": 1,
        "needs 65000 MiB of memory, the node has 64000": 1,
    }


def test_what_runs_nowhere_in_the_template_may_run_on_a_node_that_is_there() -> None:
    big = Room(64, 64_000, ("0",))
    job = Job(Link(1, 1, make_alloc("L", "1"), started=True), (Place(big, big),))
    assert wanted(backlog((Need(cpus=64), 1)), job) == Wanted(ready=1, on_nodes=1, jobs=1)


def test_a_queued_job_holds_what_it_will_hold() -> None:
    told = wanted(backlog((ONE_GPU, 9)), queued(1))
    assert (told.in_queue, told.more, told.ask) == (4, 2, True)
    assert not wanted(backlog((ONE_GPU, 4)), queued(1)).ask
    assert not wanted(backlog((ONE_GPU, 4)), asked(1)).ask
    assert not wanted(backlog((ONE_GPU, 4)), runs(1, starting=1)).ask, "its runner is about to be heard"
    assert wanted(backlog((Need(gpus=ALL_GPUS), 3)), nodes=2).more == 2


def test_as_long_as_nothing_is_known_of_such_nodes_one_job_tells() -> None:
    fields = {"rooms": Limits(0, 1).rooms}
    many = backlog((ONE_CPU, 10_000), (Need(gpus=2), 1))
    assert wanted(many, **fields).more == 1
    assert not wanted(many, queued(1), **fields).ask
    assert wanted(backlog((ALONE, 3)), queued(1), **fields).more == 2, "alone is alone on any node"


def test_one_is_asked_for_in_a_minute() -> None:
    told = wanted(backlog((ALONE, 4)), queued(1), asked_ago=ASK_SECONDS - 20)
    assert (told.ask, told.more, told.why_not) == (False, 3, "at most one a minute, the next in 20 s")
    assert wanted(backlog((ALONE, 4)), queued(1), asked_ago=ASK_SECONDS + 1).ask


def test_a_task_that_does_not_fit_in_what_is_left_of_a_job_asks_for_another() -> None:
    task = backlog((Need(cpus=1, time_seconds=1800), 1))
    assert wanted(task, runs(1, ROOM, seconds=1000.0)).ask
    assert not wanted(task, runs(1, ROOM, seconds=2000.0)).ask


def test_a_queued_job_that_nothing_needs_is_cancelled_the_newest_first_and_one_that_runs_is_not() -> None:
    told = wanted(backlog((ALONE, 1)), runs(1, FULL), queued(2), queued(3), queued(4))
    assert [each.id for each in told.cancel] == ["4", "3"]
    assert [each.id for each in wanted(backlog(), runs(1, ROOM), queued(2), asked(3)).cancel] == ["2"]
    assert wanted(backlog(), runs(1, ROOM), runs(2, ROOM)).cancel == ()
    above = wanted(backlog((ALONE, 9)), runs(1, FULL), runs(2, FULL), queued(3), most=1)
    assert [each.id for each in above.cancel] == ["3"]


def test_so_many_as_there_are_to_be_at_least_stay_without_any_task() -> None:
    assert wanted(backlog(), least=1).ask and wanted(backlog(), least=1).stays
    assert wanted(backlog(), queued(1, stays=True), least=1) == Wanted(jobs=1)
    assert wanted(backlog(), runs(1, ROOM), least=1).stays, "that one leaves once nothing uses it"
    two = [queued(1, stays=True), queued(2, stays=True)]
    assert [each.id for each in wanted(backlog(), *two, least=1).cancel] == ["2"]


def test_what_always_holds() -> None:
    """Never above the limit, no ask without need, a reason if none is asked for, and at last room for all that fits."""
    for number in range(2000):
        chance = Random(number)
        needs = [ALONE, ONE_GPU, ONE_CPU, Need(gpus=8), Need(cpus=3, time_seconds=chance.randint(60, 9000))]
        tasks = backlog(*((need, chance.randint(1, 30)) for need in chance.sample(needs, chance.randint(0, 4))))
        most = chance.randint(0, 6)
        least = chance.randint(0, most)
        jobs: list[Job] = []
        for place in range(1, 12):
            told = wanted(tasks, *jobs, least=least, most=most)
            fits = told.ready - sum(told.never.values()) - told.on_nodes - told.in_queue
            assert not told.cancel, "nothing is asked for that is not needed"
            assert bool(fits) == bool(told.more)
            assert told.ask or bool(told.why_not) == (bool(fits) or sum(job.stays for job in jobs) < least)
            if not told.ask:
                break
            jobs.append(queued(place, stays=told.stays) if chance.random() < 0.7 else asked(place))
            assert len(jobs) <= most
        else:
            pytest.fail("it asks without end")
