"""One more allocation of a lease is asked for: by exactly one of those who would, whoever dies and whatever is lost.

Whoever has a new answer of Slurm does it: a runner's process, a command. Exactly one job serves for each ask: who asks
has made the exclusive link of that ask, and a job in whose place another was asked for finds that at its start, and
ends (`find_allocation` of the lease script). What is due is another's knowledge: see `successor` and `scaling`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, replace
from leaseq.errors import LeaseqError, SlurmError
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases
from leaseq.lease.leases import Holding
from leaseq.lease.slurm import clusters, sbatch
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.args import Checked
from leaseq.lease.slurm.estimate import minutes_of
from leaseq.lease.slurm.job import SlurmBackend
from leaseq.lease.slurm.keep import LOST_SECONDS, NOTHING, Step, again_in
from leaseq.lease.slurm.sbatch import ALLOC, CLUSTER, JOB, Asked, LeaseRequest, Prepared
from leaseq.names import new_incarnation
from leaseq.protocol import allocs, files, records, succession
from leaseq.protocol.succession import How
from leaseq.world import Clock, Fs

STEPS_MAX = 4
"""So many steps are done of one lease at once."""
LATE_SECONDS = 30.0
"""Who needs longer between its claim and sbatch does not ask."""
LINES = ("lease_id", "lease_token", "lease_record", "alloc_id", "alloc_record", "token", "asked_as")
"""The lines of a lease script that say which allocation of which lease it is of."""


class Hands:
    """What is asked of Slurm for a kept lease."""

    def __init__(self, fs: Fs, home: Home, *, clock: Clock) -> None:
        self.fs, self.home, self.clock = fs, home, clock

    def cluster(self) -> str:
        """The one that commands mean here; empty if it cannot be known."""
        return clusters.here(self.fs, self.home)

    def submit(self, prepared: Prepared, request: LeaseRequest) -> None:
        """It is queued, and has its records; raises LeaseqError."""
        sbatch.submit(self.fs, self.home, prepared, request=request)

    def cancel(self, alloc: Allocation, *, started: bool) -> bool:
        """True if Slurm has been told to end it, False if it has ended, or has started, unless `started`."""
        return SlurmBackend(self.fs, self.home, clock=self.clock).release(alloc, started=started)


@dataclass(frozen=True)
class Asks:
    """What was asked for of a lease, by its files."""

    how: How
    tokens: Mapping[tuple[int, int], str]
    """The token of each ask, in order."""

    def newest(self) -> dict[int, tuple[int, str]]:
        """(how often, by which token last) each of the allocations was asked for."""
        first = {1: (1, self.how.first)} if self.how.first else {}
        return {**first, **{place: (number, token) for (place, number), token in self.tokens.items()}}


class Asker:
    """The allocations of one lease that are asked for one after the other."""

    takes_started = True
    """False if one that is to be cancelled goes on if it has started meanwhile."""

    def __init__(
        self, fs: Fs, home: Home, held: Holding, queue: Queue, *, clock: Clock, on_node: bool, hands: Hands
    ) -> None:
        self.fs, self.home, self.held, self.queue, self.clock, self.on_node = fs, home, held, queue, clock, on_node
        self.hands = hands
        self.lease: LeaseDir = home.lease(held.lease.id)

    def follow(self) -> None:
        """What is due is done; nothing if none is asked for of the lease, or not by the cluster that commands mean."""
        found = succession.names(self.fs, self.lease)
        if "how" not in found or not self._is_here():
            return
        for _ in range(STEPS_MAX):
            asks = self._asks(found)
            step = self._step(asks, found)
            if step == NOTHING or not self._do(step, asks):
                break
            self.held = leases.holding(self.fs, self.home, self.held.lease)
            found = succession.names(self.fs, self.lease)
        if "stopped" in found and all(each.ended is not None for each in self.held.allocs):
            records.mark_ended(self.fs, self.lease, ended=self.clock.now(), reason=self._end())

    # -- what differs ------------------------------------------------------------------------------

    def _step(self, asks: Asks, found: Sequence[str]) -> Step:
        """What is due now, by what is known; found: the names in keep/."""
        raise NotImplementedError

    def _model(self, how: How) -> Allocation | None:
        """The one that the others are to be like; None if it is not known."""
        raise NotImplementedError

    def _script(self, model: Allocation) -> str:
        """The path of the script that theirs are made of."""
        raise NotImplementedError

    def _idle(self, asks: Asks, model: Allocation, step: Step) -> float | None:
        """How long the one that is asked for may stand unused."""
        raise NotImplementedError

    def _end(self) -> str:
        """Why the lease has ended."""
        raise NotImplementedError

    # -- what is known -----------------------------------------------------------------------------

    def _is_here(self) -> bool:
        here = self.hands.cluster()
        its = [each.cluster for each in self.held.living] or [self.held.lease.cluster]
        known = {cluster.casefold() for cluster in its if cluster}
        return not here or not known or here.casefold() in known

    def _asks(self, found: Sequence[str]) -> Asks:
        known = {each.asked_as: each.token for each in self.held.allocs if each.asked_as}
        tokens = {
            ask: known.get(f"{ask[0]}.{ask[1]}") or succession.token_of(self.fs, self.lease, ask)
            for ask in succession.asks_in(found)
        }
        return Asks(succession.read_how(self.fs, self.lease), tokens)

    def _late(self, asks: Asks, by_token: Mapping[str, Allocation]) -> tuple[Allocation, ...]:
        """Those that are queued, and in whose place another was asked for."""
        meant = {token for _, token in asks.newest().values()}
        late = [by_token[token] for token in asks.tokens.values() if token not in meant and token in by_token]
        return tuple(each for each in late if each.ended is None and not self._started(each))

    def _started(self, alloc: Allocation) -> bool:
        return allocs.ever_named(self.fs, self.lease, alloc) != set()

    def _lived(self, alloc: Allocation) -> float | None:
        """From when its script named its nodes until it said its last word, by the file server's clock."""
        place = allocs.directory(self.lease, alloc)
        try:
            return self.fs.age(place.named, place.root) - self.fs.age(place.script_log, place.root)
        except OSError:
            return None

    def _is_lost(self, token: str, ask: tuple[int, int]) -> bool:
        """True if no job came of that ask, as far as Slurm's answer tells that was given long after it."""
        age = self.fs.age(succession.path_of(self.lease, ask), self.lease.keep)
        answer = self.queue
        if answer.failure or not answer.cluster or age - answer.age_seconds < LOST_SECONDS:
            return False
        path = self._script_path(token)
        return all(row.script != path for row in (*answer.rows.values(), *answer.gone.values()))

    def _script_path(self, token: str) -> str:
        return f"{self.home.scripts}/{token}.sh"

    def _again_in(self, refused: bool) -> float:
        said = succession.refusal(self.fs, self.lease) if refused else None
        if said is None or (said.on_node and not self.on_node):
            return 0.0  # what a node may not do this host may
        return again_in(said.times, self.fs.age(f"{self.lease.keep}/refused", self.lease.keep))

    def _for_long(self, seconds: float) -> bool:
        """True if what `empty` says was so for that long, at two looks at least: it is said now, or was before."""
        path = f"{self.lease.keep}/empty"
        try:
            return self.fs.age(path, self.lease.keep) >= seconds
        except FileNotFoundError:
            self.fs.create(path, b"", durable=False)
            return False

    def _no_longer(self) -> None:
        """What `empty` says is not so."""
        files.discard(self.fs, f"{self.lease.keep}/empty")

    # -- what is done ------------------------------------------------------------------------------

    def _do(self, step: Step, asks: Asks) -> bool:
        """True if something has changed."""
        if step.stop:
            succession.stop(self.fs, self.lease, step.stop)
            return True
        if step.cancel:
            told = [
                self.hands.cancel(each, started=self.takes_started)
                for each in step.cancel
                if not self._is_released(each)
            ]
            return any(told)
        return step.ask is not None and self._ask(step.ask, step, asks)

    def _is_released(self, alloc: Allocation) -> bool:
        return allocs.is_released(self.fs, allocs.directory(self.lease, alloc))

    def _ask(self, ask: tuple[int, int], step: Step, asks: Asks) -> bool:
        """True if Slurm has queued it; False if not, or if that is not known, or another asks."""
        how = asks.how
        model = self._model(how)
        if model is None:
            return False
        request = self._request(how)
        try:
            prepared = self._prepared(asks, model, ask, step)
        except (LeaseqError, OSError) as error:  # its script is gone, or another than it was
            succession.refuse(self.fs, self.lease, str(error), on_node=self.on_node)
            return False
        self._forget(self._over_with(asks, ask))
        began = self.clock.monotonic()
        if not self._claim(ask, prepared.asked.alloc.token):
            return False
        if self._is_too_late(ask, asks) or self.clock.monotonic() - began > LATE_SECONDS:
            succession.withdraw(self.fs, self.lease, ask)
            return False
        try:
            self.hands.submit(prepared, request)
        except (LeaseqError, OSError) as error:
            if self._is_certainly_not_queued(prepared):
                succession.withdraw(self.fs, self.lease, ask)
                succession.refuse(self.fs, self.lease, str(error), on_node=self.on_node)
            return False
        succession.accepted(self.fs, self.lease)
        return True

    def _is_certainly_not_queued(self, prepared: Prepared) -> bool:
        """True if its script is gone, and not for a record: what sbatch has been given, or may have been, keeps it."""
        if prepared.path.rpartition("/")[2] in self.fs.names(self.home.scripts):
            return False
        known = allocs.all_of(self.fs, self.lease, self.held.lease)
        return all(each.token != prepared.asked.alloc.token for each in known)

    def _claim(self, ask: tuple[int, int], token: str) -> bool:
        """True if nobody else asks for that one that time."""
        return succession.claim(self.fs, self.lease, ask, token)

    def _is_too_late(self, ask: tuple[int, int], asks: Asks) -> bool:
        """True if it is stopped, another was asked for since, or the job of the ask before this one is there."""
        found, before = succession.names(self.fs, self.lease), asks.tokens.get((ask[0], ask[1] - 1))
        if not succession.is_kept(found) or {*succession.asks_in(found)} - {ask, *asks.tokens}:
            return True
        known = allocs.all_of(self.fs, self.lease, self.held.lease)
        return any(each.token == before and each.ended is None for each in known)

    def _over_with(self, asks: Asks, ask: tuple[int, int]) -> list[str]:
        """The tokens of asks that are given up, or whose jobs have records. Another's may be on its way to sbatch."""
        known = {each.token for each in self.held.allocs}
        open_ = {token for place, (_, token) in asks.newest().items() if place != ask[0]} - known
        return [token for token in asks.tokens.values() if token not in open_]

    def _forget(self, tokens: Iterable[str]) -> None:
        """Nothing of those asks is left in scripts/: they were given up, or their jobs have records."""
        left = {f"{token}{suffix}" for token in tokens for suffix in (".sh", ".json")}
        for name in left.intersection(self.fs.names(self.home.scripts)):
            files.discard(self.fs, f"{self.home.scripts}/{name}")

    def _request(self, how: How) -> LeaseRequest:
        return LeaseRequest(
            tokens=how.argv, checked=Checked(how.options), name=how.name, umask=how.umask, environment=how.environment
        )

    def _prepared(self, asks: Asks, model: Allocation, ask: tuple[int, int], step: Step) -> Prepared:
        how, token = asks.how, new_incarnation()
        alloc = replace(
            model,
            idle_seconds=self._idle(asks, model, step),
            id=ALLOC,
            created=self.clock.now(),
            argv=how.argv,
            options=how.options,
            cluster=CLUSTER,
            job=JOB,
            token=token,
            asked_as=f"{ask[0]}.{ask[1]}",
            ended=None,
            end_reason="",
            in_lease=False,
        )
        asked = Asked(self.held.lease, alloc)
        script = self.fs.read(self._script(model)).decode("utf-8", "surrogateescape")
        options = [f"--dependency={self._dependency(how, step.after)}"] if step.after else []
        options += [f"--chdir={how.cwd}"] if "chdir" not in how.options else []
        argv = ("sbatch", "--parsable", *how.argv, *options, self._script_path(token))
        return Prepared(followed(script, asked, ask), argv, asked)

    def _dependency(self, how: How, after: Allocation) -> str:
        """When the next may start: once that one ends, or so long before that it has begun by then."""
        ends = f"afterany:{after.job}"
        row = self.queue.row(after)
        limit = minutes_of(row.limit if row else "") or minutes_of(how.options.get("time", ""))
        if not how.overlap_minutes or not limit or limit <= how.overlap_minutes:
            return ends
        return f"after:{after.job}+{limit - how.overlap_minutes}?{ends}"


def followed(script: str, asked: Asked, ask: tuple[int, int]) -> str:
    """That lease script as another allocation's of its lease; raises SlurmError if it has not what says whose it is."""
    values = {
        "lease_id": asked.lease.id,
        "lease_token": asked.lease.token,
        "alloc_record": asked.alloc.to_json().decode("ascii").strip(),
        "token": asked.alloc.token,
        "asked_as": f"{ask[0]}.{ask[1]}",
    }
    left, lines = list(LINES), []
    for line in script.split("\n"):
        name = line.partition("=")[0]
        if name in left:
            left.remove(name)
            line = f"{name}={shlex.quote(values.get(name, ''))}"
        lines.append(line)
    if left:
        raise SlurmError(
            f"its script has no line {left[0]}=: it is an older leaseq's, or of a template of its own",
            hint="`leaseq lease release` it and add it again",
        )
    return "\n".join(lines)
