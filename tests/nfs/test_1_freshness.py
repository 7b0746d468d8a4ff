"""Without faults, on default mount options: how soon one client sees what another did, and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

import pytest

from tests.nfs.cluster import GUEST, NODES, Cluster, hold, summary
from tests.nfs.figures import Figures
from tests.nfs.machine import Machine, Said
from tests.patience import wait_until

pytestmark = [pytest.mark.nfs, pytest.mark.timeout(300)]

MEDIAN_SECONDS_MAX = 2.0
WORST_SECONDS_MAX = 5.0
IDLE_CALLS_PER_MINUTE_MAX = 240
"""Of one idle runner."""
QUIET_CALLS_PER_MINUTE_MAX = 600
"""Of a runner with a task that prints nothing: it looks twice a second for what is asked of it."""
CALLS_PER_TASK_MAX = 50
TASKS = 40


def judge(figures: Figures, what: str, values: list[float]) -> None:
    """The delays are noted, and are within the bars; a single one has no median."""
    found = summary(values)
    words = f"median {found['median']} s, worst {found['worst']} s of {found['count']}"
    figures.add(what, words, **found)
    assert len(values) == 1 or found["median"] <= MEDIAN_SECONDS_MAX, (what, values)
    assert found["worst"] <= WORST_SECONDS_MAX, (what, values)


def begun(cluster: Cluster, what: str = "begin") -> dict[str, float]:
    """Task id to the moment by this host's clock."""
    return {task_id: at for each, task_id, _, _, at in cluster.ran() if each == what}


def read(measured: Future[Said]) -> list[Any]:
    found: list[Any] = measured.result(200).json
    return found


def test_a_submitted_task_starts_soon_on_another_client(cluster: Cluster, figures: Figures) -> None:
    beats = cluster.begin("fresh", "beats", "45")
    submitted = read(cluster.begin("fresh", "start", "15"))
    offset = cluster.offset(cluster.desk)
    cluster.until_idle()
    starts = begun(cluster)
    judge(figures, "submit returned -> task started", [starts[task_id] - (at - offset) for task_id, at in submitted])
    offsets = {name: cluster.offset(cluster.nodes[name]) for name in NODES}
    delays = [(at - offset) - (made - offsets[node]) for made, at, node in read(beats)]
    assert len(delays) > 10
    judge(figures, "heartbeat made -> read by a monitor", delays)


def test_an_end_is_seen_soon_by_a_wait_on_another_client(cluster: Cluster, figures: Figures) -> None:
    short = read(cluster.begin("fresh", "end", "2.4", "2.9", "3.3", "3.8", "4.1", "4.6", "5.2"))
    lengths = [f"{17 + 1.3 * number:.1f}" for number in range(8)]
    long = read(cluster.begin("fresh", "ends", *lengths))
    offset, ends = cluster.offset(cluster.desk), begun(cluster, "end")
    for what, found in (("a task of some seconds", short), ("tasks of 17 s and more, eight waits at once", long)):
        delays = [at - offset - ends[task_id] for task_id, at in found]
        judge(figures, f"end of {what} -> `wait` returned", delays)


def test_a_line_of_a_log_is_seen_soon_by_a_follow_on_another_client(cluster: Cluster, figures: Figures) -> None:
    busy = cluster.begin("fresh", "follow", *["0.3", "0.7", "1.1"] * 6)
    quiet = cluster.begin("fresh", "follow", "9", "11", "13")
    node_offset = max(cluster.offset(cluster.nodes[name]) for name in NODES)
    offset = cluster.offset(cluster.desk) - node_offset
    for what, measured in (("a second", busy), ("ten seconds", quiet)):
        shown = [(printed, at - offset) for printed, at in read(measured)]
        # What was printed before `follow` was up tells how long that took to start.
        delays = [at - printed for printed, at in shown if printed > shown[0][1]]
        judge(figures, f"line of a log, one each {what} or so -> `follow` showed it", delays)


def test_what_a_task_and_an_idle_minute_cost_the_server_is_bounded(cluster: Cluster, figures: Figures) -> None:
    cluster.until_idle()
    hold(31)  # Runners that had something to do within half a minute look more often.
    before, served = total(cluster.nodes.values()), cluster.served()
    hold(60)
    idle, all_told = total(cluster.nodes.values()) - before, cluster.served() - served
    per_minute = idle.total() / len(NODES)
    figures.add("calls of an idle runner per minute", f"{per_minute:.0f}: {words(idle, len(NODES))}", calls=dict(idle))
    assert per_minute <= IDLE_CALLS_PER_MINUTE_MAX, idle
    figures.add("calls that the server answered in that minute", f"{all_told}", calls=all_told)
    late = read(cluster.begin("fresh", "start", "1"))
    offset = cluster.offset(cluster.desk)
    cluster.until_idle()
    starts = begun(cluster)
    judge(
        figures, "submit returned -> task started, after a quiet minute", [starts[id] - at + offset for id, at in late]
    )
    said = cluster.leaseq("submit", "--cpus", "1", "--node", "n1", "--", f"{GUEST}/talk", "45")
    wait_until(lambda: cluster.leaseq("info", *said.out.split()).out.count("RUNNING"), "a task that is silent")
    hold(3)
    before = total([cluster.nodes["n1"]])
    hold(30)
    quiet = total([cluster.nodes["n1"]]) - before
    figures.add("the same with one silent task", f"{2 * quiet.total()}: {words(quiet, 0.5)}", calls=dict(quiet))
    assert 2 * quiet.total() <= QUIET_CALLS_PER_MINUTE_MAX, quiet
    cluster.until_idle()
    before, desk = total(cluster.nodes.values()), total([cluster.desk])
    lines = f"{GUEST}/work 0 0.1\n" * TASKS
    said = cluster.leaseq("submit", "--cpus", "1", "--file", "-", input=lines)
    assert len(said.out.split()) == TASKS, said
    submitting = total([cluster.desk]) - desk
    cluster.until_idle()
    running = total(cluster.nodes.values()) - before
    for what, calls in (("to submit it in a file of 40", submitting), ("to run it", running)):
        each = calls.total() / TASKS
        figures.add(f"calls per task {what}", f"{each:.1f}: {words(calls, TASKS)}", calls=dict(calls))
        assert each <= CALLS_PER_TASK_MAX, calls


def total(machines: Iterable[Machine]) -> Counter[str]:
    """Every call that these clients have made, by kind."""
    return sum((Cluster.calls(machine) for machine in machines), Counter())


def words(calls: Counter[str], divisor: float) -> str:
    """The most frequent kinds, each divided."""
    return ", ".join(f"{name} {count / divisor:.1f}" for name, count in calls.most_common(6))
