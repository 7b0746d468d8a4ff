"""A home, a Slurm whose answers are written down, and leases in the home."""

from __future__ import annotations

import os
from pathlib import Path

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.heartbeat import Heartbeat
from leaseq.layout import Home
from leaseq.lease import states, upkeep
from leaseq.lease.slurm import answer, squeue
from leaseq.lease.slurm.text import SEPARATOR
from leaseq.models import Lease
from leaseq.names import Entry
from leaseq.protocol import allocs, files, records, tasks, terms
from leaseq.world import SystemClock, SystemFs
from tests.build import make_alloc, make_entry, make_task
from tests.unit.fake_program import FakeProgram

CLOCK = SystemClock()


HERE = "here"
UNKNOWN_JOB = "slurm_load_jobs error: Invalid job id specified\n"


class World:
    """A home, a Slurm on PATH, and leases in the home."""

    def __init__(self, path: Path) -> None:
        self.fs = SystemFs(remote=False)
        self.home = Home(str(path / "home"))
        self.squeue = FakeProgram(path / "bin", "squeue")
        self.squeue.answer(err=UNKNOWN_JOB, code=1, given="-j")
        self.scontrol = FakeProgram(path / "bin", "scontrol")
        self.on(HERE)
        self.path = path
        for directory in (self.home.root, self.home.runs, self.home.cache):
            os.makedirs(directory)

    def on(self, cluster: str) -> None:
        """Slurm's commands mean that cluster."""
        os.environ["SLURM_CONF"] = f"/etc/{cluster}.conf"
        self.scontrol.answer(f"Configuration data as of ...\nClusterName             = {cluster}\nOther = x\n")

    @property
    def cache(self) -> Path:
        return Path(self.home.cache, HERE)

    def lease(self, job: str, *, age_seconds: float = 3600, cluster: str = HERE, token: str = "") -> Lease:
        token = token or token_of(job)
        record = Lease(job, "slurm", 1.0, allocs=True, cluster=cluster, job=job, token=token)
        lease = records.register(self.fs, self.home, record)
        self.another(lease, job, age_seconds=age_seconds, cluster=cluster, token=token)
        records.prepare_node(self.fs, self.home.lease(lease.id), "node1")
        return lease

    def another(
        self,
        lease: Lease,
        job: str,
        *,
        nodes: str = "",
        age_seconds: float = 3600,
        cluster: str = HERE,
        token: str = "",
    ) -> Allocation:
        """An allocation of the lease that is that job; it has started if it has nodes."""
        directory = self.home.lease(lease.id)
        made = make_alloc(lease.id, job, created=float(job), cluster=cluster, token=token or token_of(job))
        alloc = allocs.register(self.fs, directory, made)
        set_age(directory.alloc(alloc.id).record, age_seconds)
        if nodes:
            files.replace_file(self.fs, self.place(alloc).node_names, nodes.replace(",", "\n").encode() + b"\n")
            names = "".join(f"{each.split()[0]}\n" for each in nodes.split(","))
            files.replace_file(self.fs, self.place(alloc).named, names.encode())
        for node in nodes.split(",") if nodes else ():
            records.prepare_node(self.fs, directory, node.split()[0])
        return alloc

    def place(self, of: Lease | Allocation) -> AllocDir:
        """Where the files of that allocation are, or of the lease's first."""
        lease = self.home.lease(of.id if isinstance(of, Lease) else of.lease)
        return allocs.directory(lease, allocs.all_of(self.fs, lease)[0] if isinstance(of, Lease) else of)

    def beat(
        self, lease: Lease, *, seconds_ago: float = 0.0, state: str = "up", node: str = "node1", alloc: str = ""
    ) -> None:
        """Its runner was heard that long ago."""
        beat = Heartbeat(lease.id, node, "0123456789", 1, 1.0, 5.0, alloc=alloc or lease.job, state=state)
        terms.beat(self.fs, self.home.lease(lease.id), beat)
        set_age(self.home.lease(lease.id).heartbeat(node), seconds_ago)

    def running(self, lease: Lease, *, requeue: bool = True, node: str = "node1") -> Entry:
        """A task that its runner holds; `requeue`: it is to be queued again if the lease ends."""
        directory = self.home.lease(lease.id)
        entry = make_entry()
        task = make_task(entry.id, argv=("true",), requeue=requeue)
        tasks.publish(self.fs, directory.inbox("_any"), entry, task)
        held = tasks.claim(self.fs, directory, directory.inbox("_any"), entry, node=node, incarnation="0123456789")
        assert held is not None
        return held.entry

    def starts(self, lease: Lease) -> list[str]:
        """What would be started again."""
        return os.listdir(self.home.lease(lease.id).inbox("_any"))

    def refresh(self, period_seconds: float = 30.0) -> answer.Queue:
        return squeue.refresh(self.fs, self.home, clock=CLOCK, period_seconds=period_seconds)

    def age(self, seconds: float) -> None:
        """The last answer, and what was missed in it, are that much older, and nobody has asked since."""
        for path in self.cache.iterdir():
            if path.name.startswith(("ask.", "stale.")):
                path.unlink()
            else:
                set_age(str(path), seconds + CLOCK.now() - path.stat().st_mtime)

    def answers(self, *texts: str, apart: float = 31.0) -> None:
        """Slurm is asked again and again, and answers with these, one after the other."""
        for text in texts:
            self.squeue.answer(text)
            upkeep.keep_up(self.fs, self.home, clock=CLOCK, period_seconds=30.0)
            self.age(apart)

    def state(self, lease: Lease) -> tuple[str, str]:
        record = records.read(self.fs, self.home.lease(lease.id))
        state = states.of_lease(self.fs, self.home, CLOCK, record, period_seconds=30.0)
        return state.word, state.reason

    def ended(self, lease: Lease) -> str:
        """Why, by its record; empty if it has not."""
        record = records.read(self.fs, self.home.lease(lease.id))
        return record.end_reason if record.ended is not None else ""


def set_age(path: str, seconds: float) -> None:
    then = CLOCK.now() - seconds
    os.utime(path, (then, then))


def token_of(job: str) -> str:
    return f"t{job:0>9}"


def line(
    job: str,
    state: str,
    *,
    reason: str = "None",
    nodes: str = "",
    left: str = "29:00",
    token: str = "",
    script: str = "",
    comment: str = "(null)",
    name: str = "leaseq",
    user: str = "",
) -> str:
    script = script or f"/home/u/.leaseq/scripts/{token or token_of(job)}.sh"
    values = [job, state, left, "30:00", "N/A", "N/A", "1", "gpu", "1", nodes, reason, user, script, comment, name]
    return SEPARATOR.join(values) + "\n"
