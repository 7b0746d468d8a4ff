"""Server and network fail under load: nothing acknowledged is lost, nothing runs twice, every client sees the same."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest

from tests.nfs.cluster import GUEST, Cluster, hold
from tests.nfs.figures import Figures

pytestmark = [pytest.mark.nfs, pytest.mark.timeout(600)]

CRASHES = 4
LOAD_SECONDS_BETWEEN = (3.0, 9.0)
TASKS_MIN = 200


def test_no_task_is_lost_or_run_twice_whatever_the_server_goes_through(cluster: Cluster, figures: Figures) -> None:
    seed = os.environ.get("LEASEQ_NFS_SEED") or str(random.randrange(10**6))
    print(f"LEASEQ_NFS_SEED={seed} chooses the same order again")
    dice = random.Random(seed)
    earlier = cluster.ids()
    cluster.desk.shell("rm -f /run/enough")
    load, watch = cluster.begin("load"), cluster.begin("watch")
    faults = {
        "server crashes with replies lost": [cluster.crash] * CRASHES,
        "graceful server restart": [cluster.restart],
        "a runner's link cut for 30 s": [lambda: cluster.cut_link(cluster.nodes["n2"], 30)],
        "server hung for 25 s": [lambda: cluster.hang(25)],
        "file system full for 15 s": [lambda: cluster.fill(15)],
        "runner killed": [lambda: cluster.kill_runner("n1")],
    }
    order = [(what, fault) for what, each in faults.items() for fault in each]
    dice.shuffle(order)
    for _, fault in order:
        hold(dice.uniform(*LOAD_SECONDS_BETWEEN))
        fault()
    hold(LOAD_SECONDS_BETWEEN[1])
    cluster.desk.shell("touch /run/enough")
    told, watched = load.result(200).json, watch.result(200).json
    cluster.until_idle(seconds=200)

    acknowledged: dict[str, list[list[Any]]] = told["acknowledged"]
    ran = cluster.ran()
    starts = Counter((task_id, attempt) for what, task_id, attempt, _, _ in ran if what == "begin")
    figures.add(
        "faults, in a random order under load", ", ".join(f"{len(each)} x {what}" for what, each in faults.items())
    )
    figures.add("tasks acknowledged under these faults", str(len(acknowledged)))
    figures.add("commands that were refused (full disk)", str(len(told["refused"])), said=told["refused"])
    figures.add("the slowest command", f"{told['seconds_max']} s")
    figures.add("reads of a monitor meanwhile", f"{watched['reads']}", **watched)
    assert len(acknowledged) >= TASKS_MIN

    known = {
        "acknowledged": [*acknowledged],
        "starts": [key for key, count in starts.items() for _ in range(count)],
        "exits": [(task_id, attempt, code) for what, task_id, attempt, code, _ in ran if what == "end"],
    }
    seen = {client.name: cluster.check(client, known) for client in cluster.clients}
    for name, each in seen.items():
        assert each["violated"] == "", (name, each["violated"])
        assert each["lost"] == [], name
        assert each["states"] == seen["desk"]["states"], name
    states = seen["desk"]["states"]
    wrong = {id: states.get(id) for id, ends in acknowledged.items() if states.get(id, [])[:2] not in ends}
    assert wrong == {}
    told_by_wait = {task_id: states[task_id][1] for task_id in told["waited"]}
    assert told["waited"] == told_by_wait
    assert watched["wrong"] == []
    assert watched["troubles"] == []
    counts = cluster.leaseq("status", "--json").json["tasks"]
    assert sum(counts.values()) == len(states), counts
    assert len(states) >= len(earlier) + len(acknowledged)
    figures.add("attempts decided, each run once with its true exit code", str(seen["desk"]["attempts"]))
    figures.add("lost, run twice, or seen otherwise by another client", "0")
    ended = Counter(state for state, _, _ in states.values())
    figures.add("tasks by state at the end, on each of three clients", ", ".join(f"{n} {s}" for s, n in ended.items()))


def test_a_full_file_system_can_be_looked_at_and_waited_on(cluster: Cluster) -> None:
    first = cluster.leaseq("submit", "--cpus", "1", "--", f"{GUEST}/work", "6", "0.1").out.split()
    cluster.until_idle()
    with cluster.full():
        for words in (("status",), ("tasks",), ("info", *first), ("tui", "--once"), ("wait", *first)):
            said = cluster.leaseq(*words)
            assert said.code == (6 if words[0] == "wait" else 0), (words, said)
        refused = cluster.leaseq("submit", "--", "true")
        assert (refused.code, refused.out) == (75, ""), refused
        assert "No space left" in refused.err
