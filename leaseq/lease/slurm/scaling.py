"""A lease that scales has as many jobs as its backlog needs: what is known is gathered, and so is the next step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import Malformed
from leaseq.heartbeat import Heartbeat
from leaseq.layout import Home
from leaseq.lease.slurm import clusters
from leaseq.lease.slurm.asking import Asker, Asks
from leaseq.lease.slurm.estimate import minutes_of
from leaseq.lease.slurm.keep import EMPTY_SECONDS, FAILED_MAX, NOTHING, Link, Step
from leaseq.lease.slurm.sbatch import Prepared
from leaseq.lease.slurm.want import UNKNOWN, Job, Limits, Place, Wanted, want
from leaseq.models import Lease
from leaseq.names import new_incarnation, new_lease_id
from leaseq.protocol import allocs, files, leaving, records, succession, terms
from leaseq.protocol.succession import How
from leaseq.reading import backlog, beats
from leaseq.room import Room
from leaseq.schema import whole
from leaseq.world import Fs

BEGINS_SECONDS = 300.0
"""How long a node may take from the start of its job until its runner is heard."""
SERVES = ("up", "draining")
"""A node that somebody keeps from starting tasks has its room all the same: no other is asked for in its place."""
HEARD_MAX = 4
"""So many of its last jobs are looked at for what their nodes had."""


def begin(fs: Fs, home: Home, prepared: Prepared) -> Lease:
    """A lease that scales is there, durably: it has no job, and its id is nobody's number.

    Its record comes last: who dies before that leaves a directory that is no lease.
    """
    assert prepared.asked.keep is not None
    record = replace(
        prepared.asked.lease,
        id=new_lease_id(),
        cluster=clusters.here(fs, home),
        job="",
        token=new_incarnation(),
        kept=True,
    )
    lease, alloc = home.lease(record.id), replace(prepared.asked.alloc, lease=record.id)
    for directory in (home.root, home.runs, home.scripts):
        fs.mkdir(directory)
    records.prepare(fs, lease)
    succession.keep_model(fs, lease, alloc, prepared.script)
    succession.keep(fs, lease, replace(prepared.asked.keep, first=""))
    return records.write_first(fs, lease, record)


class Pool(Asker):
    """The jobs of a lease that scales."""

    takes_started = False

    def _step(self, asks: Asks, found: Sequence[str]) -> Step:
        by_token = {each.token: each for each in self.held.allocs if each.token}
        late = self._late(asks, by_token)
        if late:
            return Step(cancel=late)
        jobs = self._jobs(asks, by_token)
        if "stopped" in found:
            return Step(cancel=tuple(each.link.alloc for each in jobs if each.link.waits and each.link.alloc))
        told = self.wanted(asks, jobs, found)
        succession.tell_paused(self.fs, self.lease, told.paused, before="paused" in found)
        if told.ask:
            self._no_longer()
            return Step(ask=_next_of(jobs, asks), stays=told.stays)
        if not told.cancel:
            if "empty" in found:
                self._no_longer()
            return NOTHING
        # Who looks each minute is a node that runs: if there is none, nobody may look again for long.
        runs = any(each.link.started and each.counts for each in jobs)
        return Step(cancel=told.cancel) if not runs or self._for_long(EMPTY_SECONDS) else NOTHING

    def look(self) -> Wanted | None:
        """What is wanted now, by what is known; nothing is done. None if nothing is asked for any more."""
        found = succession.names(self.fs, self.lease)
        if not succession.is_kept(found):
            return None
        asks = self._asks(found)
        by_token = {each.token: each for each in self.held.allocs if each.token}
        return self.wanted(asks, self._jobs(asks, by_token), found)

    def wanted(self, asks: Asks, jobs: Sequence[Job], found: Sequence[str]) -> Wanted:
        """What is to be done; jobs: as `_jobs` gives them."""
        return want(backlog.pending(self.fs, self.lease), jobs, self._limits(asks, jobs, found))

    def _model(self, how: How) -> Allocation | None:
        return succession.model(self.fs, self.lease)

    def _end(self) -> str:
        return succession.why_stopped(self.fs, self.lease)

    def _script(self, model: Allocation) -> str:
        return succession.script_path(self.lease)

    def _idle(self, asks: Asks, model: Allocation, step: Step) -> float | None:
        return None if step.stays else model.idle_seconds

    # -- its jobs ----------------------------------------------------------------------------------

    def _jobs(self, asks: Asks, by_token: Mapping[str, Allocation]) -> list[Job]:
        """Those that count, and the last that are over, in the order in which they were asked for."""
        jobs, over = [], []
        for place, (number, token) in sorted(asks.newest().items()):
            alloc = by_token.get(token)
            if alloc is None:
                jobs.append(Job(Link(place, number, given_up=self._is_lost(token, (place, number)))))
            elif self._is_over(alloc):
                over.append((place, number, alloc))
            else:
                jobs.append(self._job(Link(place, number, alloc, self._started(alloc)), alloc))
        for place, number, alloc in over[-FAILED_MAX:]:
            started = self._started(alloc)
            lived = self._lived(alloc) if started and alloc.ended is not None else None
            jobs.append(Job(Link(place, number, alloc, started, lived), over=True))
        return sorted(jobs, key=lambda job: job.link.place)

    def _is_over(self, alloc: Allocation) -> bool:
        """True if it has ended, or gives back its nodes now, as it has said itself, or will never have any."""
        if alloc.ended is not None:
            return True
        place = allocs.directory(self.lease, alloc)
        there = set(self.fs.names(place.root))
        names = {path.rpartition("/")[2] for path in (place.left, place.told_to_end)}
        return bool(there & names) or ("released" in there and not self._started(alloc))

    def _job(self, link: Link, alloc: Allocation) -> Job:
        place = allocs.directory(self.lease, alloc)
        stays = leaving.limit_of(self.fs, place, alloc) is None
        if not link.started:
            return Job(link, stays=stays)
        nodes, starting, notes = [], 0, None
        for node in allocs.nodes_of(self.fs, self.lease, alloc):
            beat = self._beat(node)
            if beat is None or beat.alloc != alloc.id or (beat.state == "up" and not beat.gpus_known):
                notes = allocs.notes(self.fs, place) if notes is None else notes
                starting += node not in notes and self._named_since(place) < BEGINS_SECONDS
            elif beat.state in SERVES and beats.lives(self.fs, self.lease, node):
                nodes.append(_place(beat))
        return Job(link, tuple(nodes), starting, stays)

    def _named_since(self, place: AllocDir) -> float:
        """How many seconds ago its script named its nodes; it notes the first ones before it notes all it has had."""
        try:
            return self.fs.age(place.named, place.root)
        except FileNotFoundError:
            return self.fs.age(place.node_names, place.root)

    def _beat(self, node: str) -> Heartbeat | None:
        try:
            return terms.read_heartbeat(self.fs, self.lease, node)
        except Malformed:
            return None

    # -- its limits --------------------------------------------------------------------------------

    def _limits(self, asks: Asks, jobs: Sequence[Job], found: Sequence[str]) -> Limits:
        how = asks.how
        refusal = succession.refusal(self.fs, self.lease) if "refused" in found else None
        counts = refusal is not None and (self.on_node or not refusal.on_node)
        seen = self._rooms(jobs)
        return Limits(
            least=how.scale[0],
            most=how.scale[1],
            rooms=seen or (by_options(how),),
            nodes=_nodes(how) or (len(seen) or 1),
            seconds=self._seconds(how, jobs),
            forgiven=how.forgiven[0] if how.forgiven else 0,
            asked_ago=self._asked_ago(asks, jobs),
            refused=refusal.times if refusal and counts else 0,
            refusal=refusal.words if refusal and counts else "",
            again_in=self._again_in("refused" in found),
        )

    def _rooms(self, jobs: Sequence[Job]) -> tuple[Room, ...]:
        """What the nodes of the newest job have, or had, of which any was heard; nothing if none was."""
        for job in reversed(jobs):
            if job.nodes:
                return tuple(each.capacity for each in job.nodes)
        for alloc in [each for each in reversed(self.held.allocs) if each.ended is not None][:HEARD_MAX]:
            if rooms := tuple(self._had(alloc)):
                return rooms
        return ()

    def _had(self, alloc: Allocation) -> Iterator[Room]:
        place = allocs.directory(self.lease, alloc)
        for node in sorted(allocs.ever_named(self.fs, self.lease, alloc) or ()):
            try:
                beat = self._beat(node)
                if beat is None or beat.alloc != alloc.id:
                    beat = Heartbeat.from_json(files.content(self.fs, place.heard(node)))
            except (FileNotFoundError, Malformed):
                continue
            if beat.gpus_known:
                yield Room(beat.cpus, beat.mem_mb, beat.gpus)

    def _seconds(self, how: How, jobs: Sequence[Job]) -> float | None:
        """How long such a job lasts."""
        limit = minutes_of(how.options.get("time") or how.environment.get("SBATCH_TIMELIMIT", ""))
        for job in reversed(jobs if limit is None else ()):
            row = self.queue.row(job.link.alloc) if job.link.alloc else None
            limit = limit or (minutes_of(row.limit) if row else None)
        return None if limit is None else limit * 60.0

    def _asked_ago(self, asks: Asks, jobs: Sequence[Job]) -> float | None:
        """How long ago the last ask was made, by the file server's clock."""
        newest = {job.link.place for job in jobs} | {place for place, _ in asks.tokens}
        last = sorted(newest)[-1:] + [job.link.place for job in jobs if job.link.asks > 1]
        number = {place: often for place, (often, _) in asks.newest().items()}
        paths = [succession.path_of(self.lease, (place, number[place])) for place in dict.fromkeys(last)]
        return min((self.fs.age(path, self.lease.keep) for path in paths), default=None)


def _next_of(jobs: Sequence[Job], asks: Asks) -> tuple[int, int]:
    """Which one is asked for: that of which nothing came, or else one more."""
    lost = next((job.link for job in jobs if job.link.given_up), None)
    return (lost.place, lost.asks + 1) if lost else (max(asks.newest(), default=0) + 1, 1)


def _place(beat: Heartbeat) -> Place:
    capacity = Room(beat.cpus, beat.mem_mb, beat.gpus)
    left = None if beat.ends is None else beat.ends - beat.time
    return Place(capacity, Room(beat.free_cpus, beat.free_mem_mb, beat.free_gpus), bool(beat.running), left)


def _nodes(how: How) -> int | None:
    """How many nodes the options say at least; None if they do not."""
    return whole(how.options.get("nodes", "").partition("-")[0])


def by_options(how: How) -> Room:
    """What a node is to have by what is asked for, as far as that is certain before one was seen."""
    words = [word for word in how.options.get("gres", "").split(",") if word.partition(":")[0] == "gpu"]
    words += how.options.get("gpus-per-node", "").split(",") if "gpus-per-node" in how.options else []
    number = whole(words[0].rpartition(":")[2]) if len(words) == 1 else None
    if number is None:
        return UNKNOWN
    return Room(UNKNOWN.cpus, UNKNOWN.mem_mb, tuple(str(each) for each in range(number)))
