"""Tasks whose every attempt leaves a trace, and the check that each promise about them was kept, whatever happened."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from pathlib import Path

from tests.contract.site import Site
from tests.patience import wait_until

FINISHED = ("DONE", "FAILED", "TIMEOUT", "CANCELLED")
END_SECONDS_MAX = 4.0
"""How long a task's process may outlive its lease by Slurm's word: Slurm has waited for KillWait by then."""
LEAVE_SECONDS_MAX = 15.0
"""The same for keepers, who look every 5 s whether anybody needs them."""

POLITE = "exec sleep 600"
STUBBORN = "trap '' TERM; while :; do sleep 0.2; done"
DAEMON = "(setsid bash -c \"trap '' TERM HUP; while :; do sleep 0.2; done\" >/dev/null 2>&1 & ); exec sleep 600"
"""Its daemon was forked twice, has a session of its own, holds none of its files and ignores TERM."""
WRITER = "trap '' TERM XFSZ; ulimit -f 8192; exec 2>/dev/null; while :; do printf '%01000d\\n' 0 || sleep 0.1; done"
"""Prints as fast as it can, until 8 MiB: then every write fails, as on a full disk."""
RUDE = (STUBBORN, DAEMON, WRITER)


class Accounts:
    """The tasks of one test."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.ran = site.directory / "ran"
        self.ran.touch()
        self.gate = site.directory / "gate"
        self.submitted: dict[str, str] = {}

    @property
    def gated(self) -> str:
        """A task that goes on to its end once the gate is open."""
        return f"until [ -e {self.gate} ]; do sleep 0.1; done"

    def submit(self, lease: str, *lines: str, options: tuple[str, ...] = ("--cpus", "1")) -> list[str]:
        """The ids of the tasks, one for each line of bash; each notes its attempt first."""
        file = self.site.directory / "lines"
        file.write_text("".join(f"echo $LEASEQ_TASK_ID.$LEASEQ_ATTEMPT >>{self.ran}; {line}\n" for line in lines))
        ids = self.site.ok("submit", "--lease", lease, *options, "--file", str(file)).split()
        assert len(set(ids)) == len(lines)
        self.submitted |= dict.fromkeys(ids, lease)
        return ids

    def attempts(self) -> Counter[str]:
        """How often each ID.ATTEMPT has run."""
        return Counter(self.ran.read_text().split())

    def started(self, *ids: str) -> None:
        """Each of these tasks has begun to run, in some attempt."""
        self.site.wait_until(
            lambda: set(ids) <= {key.partition(".")[0] for key in self.attempts()}, f"the start of {len(ids)} tasks"
        )

    def rows(self, lease: str) -> dict[str, dict[str, object]]:
        """Every task of the lease by id, as `leaseq tasks --json` tells it."""
        document = json.loads(self.site.ok("tasks", "--lease", lease, "--json", "--all"))
        return {row["id"]: row for row in document["tasks"]}

    def states(self, lease: str, *ids: str) -> list[str]:
        rows = self.rows(lease)
        return [str(rows[task]["state"]) for task in ids]

    def wait_states(self, lease: str, ids: list[str], *states: str, seconds_max: float = 30.0) -> None:
        """Every one of these tasks is in one of the states."""
        self.site.wait_until(
            lambda: set(self.states(lease, *ids)) <= set(states), f"{states} of {ids}", seconds_max=seconds_max
        )

    # -- after the faults ------------------------------------------------------------------------

    def check_ended(self, *leases: str) -> None:
        """These leases have ended, and left nothing behind: no process, no task without a fate, nothing run twice."""
        self.no_process_is_left()
        self.site.ask_slurm_anew()
        for lease in leases:
            self.site.let_two_minutes_pass(lease)
        for lease in leases:
            self.site.keep_up(lease)
            assert self.site.record(lease).get("ended"), f"the record of {lease} does not say that it has ended"
        self.check_fates()

    def check_fates(self) -> None:
        """Every task is pending, finished, or LOST with a reason; every attempt that ran did so once, and was told."""
        attempts = self.attempts()
        assert [key for key, times in attempts.items() if times > 1] == [], "ran twice"
        rows = {task: row for lease in set(self.submitted.values()) for task, row in self.rows(lease).items()}
        assert self.submitted.keys() <= rows.keys(), f"vanished: {self.submitted.keys() - rows.keys()}"
        for task in self.submitted:
            row = rows[task]
            state, last = row["state"], int(str(row["attempt"]))
            assert state in (*FINISHED, "PENDING") or (state == "LOST" and row["reason"]), row
            ran = {int(key.partition(".")[2]) for key in attempts if key.startswith(f"{task}.")}
            assert max(ran, default=0) < last + (state != "PENDING"), f"an attempt ran that nobody tells of: {row}"
            assert state != "DONE" or last in ran, f"DONE and never ran: {row}"
            for attempt in ran:
                assert self._outcome(task, attempt).exists(), f"{task}.{attempt} has no outcome: {row}"
        claims = [path for lease in set(self.submitted.values()) for path in self._claims(lease)]
        assert claims == [], "claims that nobody settled"

    def no_process_is_left(self) -> None:
        """No task, runner or keeper of this home is alive on any node, nor on none."""
        home = str(self.site.home)
        wait_until(
            lambda: not tasks_of(home),
            "the end of every task's processes",
            seconds=END_SECONDS_MAX,
            seen=lambda: f"{tasks_of(home)}\n{self.site.seen()}",
        )
        wait_until(
            lambda: not self._servants(),
            "the end of runners and keepers",
            seconds=LEAVE_SECONDS_MAX,
            seen=lambda: f"{self._servants()}\n{self.site.seen()}",
        )

    def _servants(self) -> list[tuple[int, str]]:
        found = [each for node in self.site.cluster.nodes for each in self.site.cluster.processes(node)]
        keepers = tuple(f"/{lease}/node" for lease in set(self.submitted.values()))
        return [
            (pid, line)
            for pid, line in found
            if str(self.site.home) in line or ("leaseq.runner" in line and any(each in line for each in keepers))
        ]

    def _outcome(self, task: str, attempt: int) -> Path:
        return self.site.lease_dir(self.submitted[task]) / "done" / task[1] / f"{task}.{attempt}"

    def _claims(self, lease: str) -> list[Path]:
        return list((self.site.lease_dir(lease) / "claimed").glob("*/[!.]*"))


def tasks_of(home: str) -> list[tuple[int, str]]:
    """(pid on this host, command line) of the processes that carry a task's marks, with that home."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = b"\0" + (entry / "environ").read_bytes()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        if b"\0LEASEQ_TASK_ID=" in environ and f"\0LEASEQ_HOME={home}\0".encode() in environ and line:
            found.append((int(entry.name), line))
    return found


# -- whom to kill ------------------------------------------------------------------------------------


def runner(site: Site, lease: str, node: str) -> list[int]:
    return _first_of(site, node, f"run --lease {lease} --node {node}")


def keeper(site: Site, lease: str, node: str) -> list[int]:
    return _first_of(site, node, f"/{lease}/{node} ", "leaseq.node.keeper")


def batch_script(site: Site, node: str) -> list[int]:
    return _first_of(site, node, "slurm_script")


def srun(site: Site, lease: str, batch_host: str, node: str) -> list[int]:
    """srun and its helper, which ends the step when srun is killed."""
    return sorted(_matching(site, batch_host, f"srun --jobid={lease} ", f"-w {node}"))


def kill(*pids: int) -> None:
    """They were sent KILL, or have ended because another of them was; there is at least one."""
    assert pids, "nobody to kill"
    os.kill(pids[0], signal.SIGKILL)
    for pid in pids[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _matching(site: Site, node: str, *words: str) -> dict[int, str]:
    return {pid: line for pid, line in site.cluster.processes(node) if all(word in line for word in words)}


def _first_of(site: Site, node: str, *words: str) -> list[int]:
    """Of the processes with these words in their command line, those that none of the others has started."""
    found = _matching(site, node, *words)
    return [pid for pid in found if _parent(pid) not in found]


def _parent(pid: int) -> int:
    """The pid of its parent; 0 if it has ended meanwhile."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
