"""Server and network fail under load: nothing acknowledged is lost, nothing runs twice, every client sees the same."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.nfs.cluster import EXPORTED, GUEST, Cluster, hold
from tests.nfs.figures import Figures
from tests.patience import wait_until

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


INDICES, OF_GROUP, AT_ONCE = 120, 8, 2


def test_an_array_a_group_and_what_comes_after_them_go_through_a_crash_of_the_server(
    cluster: Cluster, figures: Figures
) -> None:
    """A runner is killed, too. What is packed of the array is read by the client that ran none of it."""

    def begun() -> int:
        return sum(what == "begin" and task.partition("_")[0] == array for what, task, *_ in cluster.ran())

    said = f"echo says {{i}}; exec {GUEST}/work 0 0.3"
    (array,) = submitted(cluster, "-a", f"0-{INDICES - 1}", "--logs", "packed", "--", said)
    limited = cluster.leaseq("group", "narrow", "--parallel", str(AT_ONCE))
    assert limited.code == 0, limited
    lines = f"{GUEST}/work 0 1\n" * OF_GROUP
    group = submitted(cluster, "-g", "narrow", "--file", "-", input=lines)
    (last,) = submitted(cluster, "--after", array, "--after", "group:narrow", "--", f"{GUEST}/work", "0", "0.1")
    wait_until(lambda: begun() >= INDICES // 8, "some indices to run", seconds=60, seen=cluster.complaints)
    crashed = time.time()
    cluster.crash()
    cluster.kill_runner("n1")
    assert cluster.leaseq("wait", last, array, *group).code == 0, cluster.leaseq("tasks", "--all").out
    cluster.until_idle()

    ran = cluster.ran()
    own = {array, last, *group}
    starts = Counter(task for what, task, *_ in ran if what == "begin" and task.partition("_")[0] in own)
    assert starts == Counter([last, *group, *(f"{array}_{index}" for index in range(INDICES))])
    ends = {task: at for what, task, _, _, at in ran if what == "end"}
    begins = {task: at for what, task, _, _, at in ran if what == "begin"}
    assert max(ends[task] for task in starts if task != last) < begins[last] + CLOCKS_APART
    times = sorted((round(begins[task] - begins[last], 2), round(ends[task] - begins[last], 2)) for task in group)
    for begin, _ in times:
        at = begin + CLOCKS_APART
        assert sum(first < at < end - CLOCKS_APART for first, end in times) <= AT_ONCE, (times, crashed - begins[last])
    for client in cluster.clients:
        (row,) = cluster.leaseq("info", array, "--json", on=client).json["tasks"]
        assert (row["state"], row["array"]["counts"]["DONE"]) == ("DONE", INDICES), client.name
    shown = {index: cluster.leaseq("logs", f"{array}_{index}").out for index in (0, 17, INDICES - 1)}
    assert shown == {index: f"says {index}\n" for index in shown}
    files = cluster.server.shell(f"find {EXPORTED}/logs -path '*{array}*' -type f").split()
    assert all("/pack." in path for path in files), files
    known: dict[str, Any] = {
        "acknowledged": [last, *group],
        "starts": [(task, attempt) for what, task, attempt, _, _ in ran if what == "begin"],
        "exits": [(task, attempt, code) for what, task, attempt, code, _ in ran if what == "end"],
    }
    for client in cluster.clients:
        assert cluster.check(client, known)["violated"] == "", client.name
    figures.add("an array of 120, a group and a task after them, a server crash and a killed runner", "nothing lost")


CLOCKS_APART = 0.3
"""So much the clocks of two guests may differ, as far as they are known."""


def submitted(cluster: Cluster, *words: str, input: str = "") -> list[str]:
    """The ids of those tasks, each of which needs one CPU."""
    said = cluster.leaseq("submit", "--cpus", "1", *words, input=input)
    assert said.code == 0, said
    return said.out.split()


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


def test_a_runner_that_was_cut_off_gives_way_to_the_one_that_took_its_place(cluster: Cluster, figures: Figures) -> None:
    node = cluster.nodes["n2"]

    def served_by(name: str) -> bool:
        return any(
            (each["node"], each["host"], each["health"]) == ("n2", name, "OK")
            for each in cluster.leaseq("status", "--json").json["nodes"]
        )

    (task,) = cluster.leaseq("submit", "--cpus", "1", "--node", "n2", "--", f"{GUEST}/work", "3", "300").out.split()
    wait_until(lambda: "RUNNING" in cluster.leaseq("info", task).out, "a task on n2")
    with ThreadPoolExecutor() as pool:
        cut = pool.submit(cluster.cut_link, node, 40)
        rival = cluster.start_rival("n2")
        wait_until(lambda: served_by("desk"), "another runner of n2", seconds=60, seen=cluster.complaints)
        cut.result()
    wait_until(
        lambda: "has begun to serve n2" in node.shell("cat /run/runner"),
        "the end of the runner that was cut off",
        seconds=120,
        seen=cluster.complaints,
    )
    assert cluster.leaseq("wait", task).code == 122, "LOST: nobody on the other host can know"
    assert "RUNNING" not in node.shell("ps ax -o args | grep -q '[w]ork 3 300' && echo RUNNING || :")
    (here,) = cluster.leaseq("submit", "--cpus", "1", "--node", "n2", "--", f"{GUEST}/work", "0", "0.1").out.split()
    assert cluster.leaseq("wait", here).code == 0
    cluster.desk.shell("kill $(cat /run/rival.pid)")
    assert rival.result(60).code == 0, cluster.desk.shell("tail -n 30 /run/rival")
    wait_until(lambda: served_by("n2"), "the node's own runner", seconds=60, seen=cluster.complaints)
    (again,) = cluster.leaseq("submit", "--cpus", "1", "--node", "n2", "--", f"{GUEST}/work", "0", "0.1").out.split()
    assert cluster.leaseq("wait", again).code == 0
    begun = Counter(task_id for what, task_id, *_ in cluster.ran() if what == "begin")
    assert (begun[task], begun[again]) == (1, 1)
    figures.add("a runner that was cut off for 40 s, and another host's", "one of the two serves within two minutes")
