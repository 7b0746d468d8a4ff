"""Slurm as commands hear of it: what it has, and answers of squeue that are empty, partial, old, or of somebody else.

There are the jobs of the history's lease, one for both of its nodes or one for each, and one that waits for nodes all
the time. Commands ask now and then, and draw from the answer what leaseq draws; two of three act, the third looks and
leaves it to the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from leaseq.layout import Home
from leaseq.lease import upkeep
from leaseq.lease.slurm.answer import Queue, cache_of
from leaseq.lease.slurm.text import Row
from leaseq.lease.slurm.verdict import Judge
from leaseq.models import Lease
from leaseq.world import Clock, Fs
from tests.sim.truth import SimTruth

HOME = Home("/home")
HERE = "here"
TOKENS = {"1": "aaaaaaaaaa", "2": "bbbbbbbbbb"}
SECOND = "3"
"""The job that has the second node of the lease, if there is one."""
MARKS = {**TOKENS, SECOND: "dddddddddd"}
WAITS = "2"
"""The lease that waits for nodes."""
KINDS = ("empty", "partial", "partial, denied", "another's", "of another cluster", "repeated")
"""How an answer can be wrong. `denied`: asked for the one job, Slurm is wrong, too."""
SHORT_SECONDS = 45.0
"""So long at most Slurm denies a job that it has: what is silent, denied, and absent for longer, is gone for all that
anybody can know."""
REMEMBERED_SECONDS = 40.0
"""How long Slurm knows of a job that has ended."""


def record(lease: str, created: float) -> Lease:
    return Lease(lease, "slurm", created, cluster=HERE, job=lease, token=TOKENS[lease])


def row(job: str, state: str, *, token: str = "") -> Row:
    return Row(job, state, script=f"/home/scripts/{token or MARKS[job]}.sh", name="leaseq")


class Slurm:
    """The truth, and what is said."""

    def __init__(self, now: Callable[[], float], all_heard: Callable[[], bool], jobs: Sequence[str]) -> None:
        self.now, self.all_heard, self.jobs = now, all_heard, jobs
        self.ended_at: dict[str, float] = {}
        """When jobs of the lease ended, while they do not run."""
        self.ending: set[str] = set()
        """Those whose processes are being signalled: once their runners have left, they may be called ended."""
        self.wrong = ""
        self.wrong_since, self.wrong_until = 0.0, -1e9
        self.may_deny = False
        self.kept: dict[str, Queue] = {}
        self.under_way: list[set[str]] = []
        """Of each look that goes on, the jobs that it may call ended, or another that went on meanwhile."""

    def go_wrong(self, kind: str, seconds: float) -> bool:
        """True if answers are wrong like that from now on, for so long; False if they are wrong already."""
        if self.now() < self.wrong_until:
            return False
        self.may_deny = self.now() - self.wrong_until > 150.0
        self.wrong, self.wrong_since, self.wrong_until = kind, self.now(), self.now() + seconds
        return True

    def is_wrong(self, *kinds: str) -> bool:
        return self.now() < self.wrong_until and self.wrong in kinds

    def answer(self) -> tuple[str, list[Row]]:
        """(which cluster answers, its lines)"""
        waits = row(WAITS, "PENDING")
        if self.is_wrong("empty"):
            return HERE, []
        if self.is_wrong("partial", "partial, denied"):
            return HERE, self._lease()
        if self.is_wrong("another's", "of another cluster"):
            states = dict.fromkeys(self.jobs, "CANCELLED") | {WAITS: "COMPLETED"}
            rows = [row(job, state, token="cccccccccc") for job, state in states.items()]
            return HERE if self.wrong == "another's" else "there", rows
        if self.is_wrong("repeated") and self.all_heard():
            return HERE, [*(row(job, "NODE_FAIL") for job in self.jobs), waits]
        return HERE, [*self._lease(), waits]

    def _lease(self) -> list[Row]:
        running = [row(job, "RUNNING") for job in self.jobs if job not in self.ended_at]
        lately = [job for job, at in self.ended_at.items() if self.now() - at < REMEMBERED_SECONDS]
        return running + [row(job, "TIMEOUT") for job in lately]

    def denies(self, job: str) -> bool:
        """True if Slurm says, asked for that job alone, that there is none."""
        if self.is_wrong("of another cluster"):
            return True
        if self.is_wrong("partial, denied"):
            return self.may_deny and self.now() - self.wrong_since < SHORT_SECONDS
        if self.is_wrong("another's"):
            return self.all_heard()
        return job in self.ended_at and job not in {each.id for each in self._lease()}

    def look(
        self,
        fs: Fs,
        clock: Clock,
        judge: type[Judge],
        truth: SimTruth,
        called_ended: Callable[[str], bool],
        jobs_ended: Callable[[], set[str]],
        *,
        acts: bool,
    ) -> None:
        """A command has asked, and shows what follows; one that acts has written it, too."""
        asked, (cluster, rows) = self.now(), self.answer()
        with self._looking() as ended:
            for directory in (HOME.cache, cache_of(HOME, cluster)):
                fs.mkdir(directory)
            before, jobs_before = {lease: called_ended(lease) for lease in TOKENS}, jobs_ended()
            made = judge(fs, HOME, cluster, unknown_to_slurm=self.denies, asked_ago=lambda: self.now() - asked)
            answer = self.kept[cluster] = made.learn(self.kept.get(cluster, Queue()), rows)
            if acts:
                upkeep.apply_all(fs, HOME, answer, clock=clock, is_silent=made.is_silent)
            over = Counter(each.lease for each in answer.verdicts if each.over)
            shown = {lease for lease, number in over.items() if number == (len(self.jobs) if lease == "1" else 1)}
            ended |= self.ended_at.keys() | self.ending  # some of it may run again by now
            for lease in TOKENS:
                newly = not before[lease] and (lease in shown or (acts and called_ended(lease)))
                if newly and (lease == WAITS or len(ended) < len(self.jobs)):
                    truth.violated(f"lease {lease} was called ended, and it had not: {rows}")
            if false := jobs_ended() - jobs_before - ended:
                truth.violated(f"jobs {false} were called ended, and they had not: {rows}")

    @contextmanager
    def _looking(self) -> Iterator[set[str]]:
        """What may be called ended by this look, or by another one that goes on meanwhile."""
        now = self.ended_at.keys() | self.ending
        ended = now.union(*self.under_way)
        for others in self.under_way:
            others.update(now)
        self.under_way.append(ended)
        try:
            yield ended
        finally:
            self.under_way = [each for each in self.under_way if each is not ended]
