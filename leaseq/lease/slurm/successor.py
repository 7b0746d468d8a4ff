"""One allocation of a kept lease follows the other: what is known of that is gathered, and so is the next step."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import Refused
from leaseq.layout import Home
from leaseq.lease import leases
from leaseq.lease.slurm.asking import Asker, Asks, followed
from leaseq.lease.slurm.keep import EMPTY_SECONDS, Known, Link, Step, like, next_step
from leaseq.lease.slurm.sbatch import Asked
from leaseq.models import Lease
from leaseq.protocol import allocs, leaving, succession
from leaseq.protocol.succession import How
from leaseq.reading.backlog import is_empty
from leaseq.world import Fs


class Chain(Asker):
    """The allocations of one lease that follow each other."""

    def _step(self, asks: Asks, found: Sequence[str]) -> Step:
        return next_step(self._known(asks, found))

    def _model(self, how: How) -> Allocation | None:
        return next((each for each in self.held.allocs if each.token == how.first), None)

    def _end(self) -> str:
        return allocs.last_end(self.fs, self.lease)

    def _script(self, model: Allocation) -> str:
        return allocs.directory(self.lease, model).script

    def _idle(self, asks: Asks, model: Allocation, step: Step) -> float | None:
        last = [each for each in self.held.allocs if each.token in {asks.how.first, *asks.tokens.values()}][-1]
        return leaving.limit_of(self.fs, allocs.directory(self.lease, last), last)

    def _known(self, asks: Asks, found: Sequence[str]) -> Known:
        by_token = {each.token: each for each in self.held.allocs if each.token}
        newest = asks.newest()
        links = tuple(
            replace(
                self._link(place, number, token, by_token.get(token)),
                never_started=self._never_started(asks, place, by_token),
            )
            for place, (number, token) in sorted(newest.items())
        )
        over, next_is_over = self._over(asks.how, links)
        empty = asks.how.while_busy and not over and self._is_empty()
        return Known(
            links,
            forgiven=asks.how.forgiven[0] if asks.how.forgiven else 0,
            stopped="stopped" in found,
            late=self._late(asks, by_token),
            over="nothing is left to run" if empty else over,
            for_good=not empty,
            next_is_over=next_is_over,
            again_in_seconds=self._again_in("refused" in found),
        )

    def _link(self, place: int, number: int, token: str, alloc: Allocation | None) -> Link:
        if alloc is None:
            return Link(place, number, given_up=place > 1 and self._is_lost(token, (place, number)))
        started = self._started(alloc)
        return Link(place, number, alloc, started, self._lived(alloc) if started and alloc.ended is not None else None)

    def _never_started(self, asks: Asks, place: int, by_token: Mapping[str, Allocation]) -> int:
        counted = {ask: token for ask, token in asks.tokens.items() if ask[0] == place and ask > asks.how.forgiven}
        known = [by_token[token] for token in counted.values() if token in by_token]
        ended = [each for each in known if each.ended is not None and each.end_reason != "released"]
        return sum(not self._started(each) for each in ended)

    def _over(self, how: How, links: Sequence[Link]) -> tuple[str, bool]:
        """(why none is to follow now, whether none will be when the next begins)"""
        now = self.clock.now()
        if how.seconds is not None and links[0].started:
            succession.begin(self.fs, self.lease, now=now)
        until = succession.until(self.fs, self.lease, how)
        if until is None:
            return "", False
        if now >= until:
            return "its time is over", True
        left = [each.alloc for each in links[-1:] if each.alloc and each.started and each.alloc.ended is None]
        seconds = allocs.seconds_left(self.fs, allocs.directory(self.lease, left[0])) if left else None
        return "", seconds is not None and now + seconds >= until

    def _is_empty(self) -> bool:
        """True if nothing has been left to run for a while, at two looks at least."""
        if not is_empty(self.fs, self.lease):
            self._no_longer()
            return False
        return self._for_long(EMPTY_SECONDS)


def as_before(fs: Fs, home: Home, lease: Lease, alloc: Allocation, how: How, *, umask: int) -> How:
    """How the lease is kept by others like that job of it; raises LeaseqError if none can be made like it."""
    try:
        script = fs.read(allocs.directory(home.lease(lease.id), alloc).script).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise Refused(
            f"{leases.part(lease, alloc)} was made elsewhere, and what it was asked for with is not known",
            hint="`leaseq add --keep` asks for a lease of its own",
        ) from None
    followed(script, Asked(lease, alloc), (2, 1))
    kept = like(how, tokens=alloc.argv, name=alloc.name, umask=umask, environment=os.environ)
    return replace(kept, first=alloc.token, cwd=lease.cwd)
