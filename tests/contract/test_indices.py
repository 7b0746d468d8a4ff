"""An array of short indices over two nodes, a runner of which is killed and one of which is lost.

What began and ended is counted by what the indices themselves write; leaseq's word is held against that.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from leaseq.dataclass import dataclass
from leaseq.names import parse_id
from tests.contract.accounts import kill, runner
from tests.contract.site import Site
from tests.contract.test_faults import cancel

COUNT = 2000
SLOTS = 8
"""Of one node."""
AHEAD = 5 * SLOTS
"""So many of a node may have begun by its journal, and have not been told to have ended: as many as end in a moment."""
Attempt = tuple[int, int]
"""An index and its attempt."""
WHO = "$LEASEQ_ARRAY_INDEX $LEASEQ_ATTEMPT $SLURMD_NODENAME"


@dataclass(frozen=True)
class Ran:
    """What the indices have written so far."""

    begun: Counter[Attempt]
    ended: Counter[Attempt]
    nodes: dict[Attempt, str]


def ran(file: Path) -> Ran:
    begun, ended, nodes = Counter[Attempt](), Counter[Attempt](), dict[Attempt, str]()
    for line in file.read_text().splitlines():
        what, index, attempt, node = line.split()
        key = int(index), int(attempt)
        (begun if what == "b" else ended)[key] += 1
        nodes[key] = node
    return Ran(begun, ended, nodes)


def rows(site: Site, task: str) -> dict[int, tuple[str, int]]:
    """(state, attempt) of each index, as `tasks` tells it, in one row."""
    found = {}
    told = json.loads(site.ok("tasks", task, "--all", "--json", seconds_max=60))["tasks"]
    for row in told:
        index = parse_id(row["id"])[1]
        assert index is not None and index not in found, row
        found[index] = str(row["state"]), int(row["attempt"])
    return found


def told_ends(site: Site, lease: str, task: str) -> Counter[Attempt]:
    """How many lines of the array's journals tell an end of each attempt, read without leaseq."""
    found = Counter[Attempt]()
    for journal in (site.lease_dir(lease) / "arrays").glob(f"{task}.*/o.*"):
        for line in journal.read_text().splitlines():
            what, *rest = json.loads(line)
            if what == "e":
                found[rest[0], rest[1]] += 1
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_two_thousand_indices_each_begins_once_whatever_runner_dies_and_whatever_node_is_lost(site: Site) -> None:
    lease = site.add("-N2", "-c", str(SLOTS))
    first, lost = site.nodes(lease)
    file = site.directory / "ran"
    file.touch()
    # Nine of ten are so quick that the keeper runs them by itself; each tenth ends the window that it is in.
    line = f"echo b {WHO} >>{file}; sleep 0.$(( $LEASEQ_ARRAY_INDEX % 10 == 0 ))2; echo e {WHO} >>{file}"
    task = site.ok("submit", "--lease", lease, "-a", f"0-{COUNT - 1}", "--cpus", "1", "--", line)

    def began_on(node: str, number: int) -> None:
        site.wait_until(
            lambda: [*ran(file).nodes.values()].count(node) >= number, f"{number} indices on {node}", seconds_max=90
        )

    began_on(first, 100)
    kill(*runner(site, lease, first))
    began_on(lost, 100)
    began_on(first, 250)
    try:
        site.cluster.kill_node(lost)
        site.slurm("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=gone")
        site.wait_until(lambda: site.squeue("-j", lease, "-o", "%N") == [first], "the loss", seconds_max=90)
        before = ran(file)
        site.let_two_minutes_pass(lease, lost)
        site.keep_up(lease)
        done = site.leaseq("wait", task, seconds_max=200)
        after = ran(file)
        assert max(after.begun.values()) == 1, "an index began twice"
        assert {key for key in after.nodes if after.nodes[key] == lost} <= before.begun.keys()
        states = rows(site, task)
        print(Counter(state for state, _ in states.values()), Counter(after.nodes.values()))
        assert sorted(states) == list(range(COUNT))
        gone = {index for index, (state, _) in states.items() if state == "LOST"}
        assert {state for state, _ in states.values()} <= {"DONE", "LOST"}
        assert {attempt for _, attempt in states.values()} == {1}
        assert len(gone) <= AHEAD, gone
        begun, ended = ({index for index, _ in some} for some in (after.begun, after.ended))
        assert begun - ended <= gone, "begun, and never ended"
        assert set(range(COUNT)) - begun <= gone, "never begun"
        assert all(after.nodes.get((index, 1), lost) == lost for index in gone), "only what was lost with its node"
        assert (done.returncode == 122) == bool(gone), done.stderr
        assert told_ends(site, lease, task) == Counter({(index, 1): 1 for index in range(COUNT)})
        if gone:
            assert site.ok("retry", task) == task
            site.ok("wait", task, seconds_max=60)
        again = ran(file)
        assert max(again.begun.values()) == 1, "an attempt began twice"
        assert again.begun.keys() - after.begun.keys() == {(index, 2) for index in gone}
        assert {state for state, _ in rows(site, task).values()} == {"DONE"}
    finally:
        site.cluster.revive_node(lost)
    cancel(site, lease)
