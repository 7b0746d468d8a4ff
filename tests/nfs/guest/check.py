"""check.py FILE: the rules of tests/crash, asked of a real directory by one client that is told what is known.

In:  {"acknowledged": [id], "starts": [[id, attempt]], "exits": [[id, attempt, code]]}
Out: {"violated": "", "states": {id: [state, exit code, attempt]}, "attempts": N, "lost": [[id, reason]]}
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from leaseq.dataclass import dataclass, field
from leaseq.layout import Home, LeaseDir, default_home
from leaseq.models import Outcome, State, Task
from leaseq.names import parse_key
from leaseq.protocol.tasks import read_outcome
from leaseq.reading.snapshot import Reader
from leaseq.world import Fs, SystemClock, SystemFs
from tests.crash.actors import REAL, Protocol, Truth
from tests.crash.check import Violated, check_settled

ALL = 100_000


@dataclass
class Directory:
    """A lease directory as the rules ask for it."""

    lease: LeaseDir
    truth: Truth
    files: Fs = field(default_factory=lambda: SystemFs(remote=True))
    p: Protocol = REAL

    def fs(self) -> Fs:
        return self.files

    def nodes(self) -> list[str]:
        return [name for name in self.files.names(self.lease.claims) if name != "_cli"]


def main(known: dict[str, Any]) -> dict[str, Any]:
    truth = Truth(
        acknowledged={task_id: Task(task_id, ("work",), "/", 0.0) for task_id in known["acknowledged"]},
        starts=[(task_id, attempt) for task_id, attempt in known["starts"]],
        exits={(task_id, attempt): code for task_id, attempt, code in known["exits"]},
    )
    directory = Directory(Home(default_home()).lease(os.environ["LEASEQ_LEASE"]), truth)
    violated = ""
    try:
        check_settled(directory)
    except Violated as error:
        violated = str(error)
    decided = outcomes(directory)
    snapshot = Reader(directory.lease, directory.files, SystemClock()).read(recent=ALL, pending=None)
    return {
        "violated": violated,
        "states": {row.id: (row.state.name, row.exit_code, row.attempt) for row in snapshot.tasks},
        "attempts": len(decided),
        "lost": [(each.task.id, each.reason) for each in decided if each.state is State.LOST],
    }


def outcomes(directory: Directory) -> list[Outcome]:
    """Every outcome that stands."""
    found = []
    for shard in directory.files.names(f"{directory.lease.root}/done"):
        for name in directory.files.names(f"{directory.lease.root}/done/{shard}"):
            outcome = read_outcome(directory.files, directory.lease, *parse_key(name))
            assert outcome is not None, name
            found.append(outcome)
    return found


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps(main(json.load(file))))
