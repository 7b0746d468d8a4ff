"""GPUs that are booked and idle, or free and used, by what the driver says over time."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.heartbeat import GpuUse, Heartbeat
from leaseq.node.gpu_watch import SETTLED_SECONDS, GpuMarks
from leaseq.reading.used import gpu_notes, used

BUSY = GpuUse("0", utilisation=93.0, mem_used_mb=40_000.0)
IDLE = replace(BUSY, utilisation=0.0)


def test_a_booked_gpu_is_idle_since_the_first_answer_that_says_so() -> None:
    marks = GpuMarks()
    held = {"0": "Ta.1"}
    assert marks.marked((100.0, (BUSY,)), held, (), now=101.0) == (BUSY,)
    assert marks.marked((110.0, (IDLE,)), held, (), now=111.0)[0].idle_seconds == 0
    assert marks.marked((110.0, (IDLE,)), held, (), now=116.0)[0].idle_seconds == 0, "no answer since"
    assert marks.marked((170.0, (IDLE,)), held, (), now=171.0)[0].idle_seconds == 60
    assert marks.marked((180.0, (BUSY,)), held, (), now=181.0)[0].idle_seconds is None
    assert marks.marked((190.0, (IDLE,)), held, (), now=191.0)[0].idle_seconds == 0


def test_what_a_gpu_did_before_it_was_booked_is_not_held_against_its_task() -> None:
    marks = GpuMarks()
    marks.marked((100.0, (IDLE,)), {}, ("0",), now=101.0)
    assert marks.marked((110.0, (IDLE,)), {"0": "Ta.1"}, (), now=112.0)[0].idle_seconds is None, "asked before"
    assert marks.marked((120.0, (IDLE,)), {"0": "Ta.1"}, (), now=121.0)[0].idle_seconds == 0
    assert marks.marked((180.0, (IDLE,)), {"0": "Ta.1"}, (), now=181.0)[0].idle_seconds == 60
    assert marks.marked((180.0, (IDLE,)), {"0": "Tb.1"}, (), now=182.0)[0].idle_seconds is None, "another's now"


def test_a_driver_that_does_not_say_the_load_marks_nothing() -> None:
    unknown = replace(BUSY, utilisation=None)
    marks = GpuMarks()
    for asked in (100.0, 200.0, 900.0):
        assert marks.marked((asked, (unknown,)), {"0": "Ta.1"}, (), now=asked + 1) == (unknown,)


def test_memory_on_a_free_gpu_is_a_strangers_once_its_task_is_long_gone() -> None:
    marks = GpuMarks()
    marks.marked((100.0, (BUSY,)), {"0": "Ta.1"}, (), now=101.0)
    # The task has ended; the last answer is from before, and the next from soon after.
    assert marks.marked((100.0, (BUSY,)), {}, ("0",), now=105.0)[0].stranger_mb is None
    assert marks.marked((110.0, (BUSY,)), {}, ("0",), now=111.0)[0].stranger_mb is None
    later = 105.0 + SETTLED_SECONDS
    assert marks.marked((later, (BUSY,)), {}, ("0",), now=later + 1)[0].stranger_mb == 40_000.0
    little = replace(IDLE, mem_used_mb=450.0)
    assert marks.marked((later + 10, (little,)), {}, ("0",), now=later + 11) == (little,), "a driver's own"


def test_a_gpu_of_tasks_that_are_not_told_one_by_one_is_neither() -> None:
    marks = GpuMarks()
    for asked in (100.0, 200.0, 900.0):
        assert marks.marked((asked, (IDLE,)), {}, (), now=asked + 1) == (IDLE,)


def test_it_is_said_from_five_minutes_on() -> None:
    idle = replace(IDLE, idle_seconds=299.0)
    beat = Heartbeat("1", "n1", "abc", 1, 0.0, 5.0, gpu_use=(idle, replace(BUSY, token="1", stranger_mb=30720.0)))
    assert list(gpu_notes(beat)) == ["GPU 1 is free, and 30G of it are used by no task here"]
    beat = replace(beat, gpu_use=(replace(idle, idle_seconds=360.0),))
    assert list(gpu_notes(beat)) == ["GPU 0 is booked, and at 0 % for 6 min"]
    several = tuple(replace(IDLE, token=str(n), idle_seconds=300.0 + 60 * n, stranger_mb=None) for n in range(3))
    strange = tuple(replace(BUSY, token=str(n), stranger_mb=2048.0 * n) for n in (3, 4))
    assert list(gpu_notes(replace(beat, gpu_use=(*several, *strange)))) == [
        "GPUs 0, 1, 2 are booked, and at 0 % for 5 min",
        "GPUs 3, 4 are free, and 6.0G, 8.0G of them are used by no task here",
    ]
    assert used(3.94, 12_345.0) == "3.9 CPUs, 12G memory"
    assert used(None, None) == ""


def test_a_heartbeat_of_before_says_nothing_of_it() -> None:
    old = {"v": 1, "lease": "1", "node": "n", "incarnation": "a", "counter": 1, "time": 1.0, "interval_seconds": 5.0}
    old |= {"running": [{"id": "T1", "attempt": 1}], "gpu_use": [{"token": "0", "utilisation": 0.0}]}
    beat = Heartbeat.from_record(old)
    assert list(gpu_notes(beat)) == []
    assert (beat.running[0].cpus_used, beat.running[0].rss_mb, beat.gpu_use[0].power_w) == (None, None, None)
