"""The indices of an array, one by one: out of its journals, the nodes' heartbeats and what it was submitted as.

An array that has ended may have been queued again, for some of its indices: each such try is an attempt of the array,
and of an index the newest try that has it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

from leaseq.array_names import ArrayNames
from leaseq.arrays import Expansion
from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed, NotFound
from leaseq.indices import Indices
from leaseq.layout import ArrayDir, LeaseDir
from leaseq.models import KEEP_PACKED, Outcome, State, Task
from leaseq.names import is_each, parse_id
from leaseq.protocol import index_logs, journal, reports
from leaseq.protocol.edges import OK, each_of
from leaseq.protocol.facts import Begun, Ended
from leaseq.protocol.history import command_text
from leaseq.protocol.index_ends import of_indices, state_of_silent
from leaseq.protocol.index_logs import Part
from leaseq.protocol.marks import CODES, Marks, fill, having
from leaseq.protocol.plan import Plan
from leaseq.protocol.stops import Stop
from leaseq.reading.merge import PAUSED, from_heartbeat
from leaseq.reading.sightings import names_in
from leaseq.reading.views import HELD, Health, NodeView, TaskView
from leaseq.reading.waits import Wait
from leaseq.reading.waits import reason as waits_reason
from leaseq.world import Fs

TEXT_MAX = 60


@dataclass(frozen=True)
class Try:
    """One attempt of an array: the indices that it runs, and how that ended."""

    attempt: int
    task: Task
    outcome: Outcome | None = None
    """None while it has not ended."""

    @cached_property
    def expansion(self) -> Expansion:
        """Raises Malformed."""
        if self.task.array is None:
            raise Malformed("it has no indices")
        return Expansion(self.task, self.task.array)

    @property
    def indices(self) -> Indices:
        return self.expansion.indices

    def of_index(self, index: int) -> Task:
        """What that index runs, as a task of its own."""
        instance = self.expansion.at(index)
        env = {**self.task.env, **instance.env}
        return replace(self.task, id=f"{self.task.id}_{index}", argv=instance.argv, env=env, array=None)

    def outcome_of(self, index: int, ended: Ended, node: str) -> Outcome:
        """How that attempt of the index ended."""
        return Outcome(
            task=self.of_index(index),
            attempt=ended.attempt,
            state=ended.state,
            node=node,
            exit_code=ended.exit_code,
            signal=ended.signal,
            reason=ended.reason,
            requeued=ended.requeued,
            started=ended.started,
            ended=ended.ended,
            elapsed_seconds=ended.elapsed_seconds,
            gpus=ended.gpus,
            max_rss_mb=ended.max_rss_mb,
            cpu_seconds=ended.cpu_seconds,
            because=ended.because,
        )


@dataclass(frozen=True)
class Silent:
    """What is known of indices of which no journal says anything."""

    over: State | None = None
    """How they ended, if their try is over."""
    stops: tuple[Stop, ...] = ()
    """What is to end of their try, if it is not."""

    def state_of(self, index: int) -> tuple[State, str] | None:
        """(state, reason) of such an index; None if it waits."""
        if self.over is not None:
            return self.over, "before it began" if self.over is State.CANCELLED else "nobody knows what became of it"
        for stop in self.stops:
            if stop.indices is None or index in stop.indices:
                return State.CANCELLED, stop.reason
        return None


@dataclass(frozen=True)
class Indexed:
    """An array index by index. What reads a journal raises Malformed if it cannot be read."""

    fs: Fs
    lease: LeaseDir
    whole: TaskView
    """The array's row."""
    tries: tuple[Try, ...]
    """Oldest first."""
    nodes: Mapping[str, NodeView] = field(default_factory=dict)

    @cached_property
    def every(self) -> Indices:
        """All indices of the array, whenever they were to run."""
        found = Indices()
        for each in self.tries:
            found |= each.indices
        return found

    def refuse_strange(self, wanted: Indices) -> None:
        """Raises NotFound if the array has not all of these."""
        if strange := wanted - self.every:
            has = str(self.every)[:TEXT_MAX]
            raise NotFound(
                f"{self.whole.id} has no index {str(strange)[:TEXT_MAX]}: it has {has}",
                hint=f"`leaseq tasks {self.whole.id}` lists them",
            )

    # -- many ----------------------------------------------------------------------------------------

    def rows(self, wanted: Indices | None = None) -> Iterator[TaskView]:
        """The rows of those indices, or of all, in order."""
        parts = [self._rows_of(each, own) for each, own in self.newest(wanted)]
        return parts[0] if len(parts) == 1 else iter(sorted(chain(*parts), key=lambda row: parse_id(row.id)[1] or 0))

    def newest(self, wanted: Indices | None) -> list[tuple[Try, Indices]]:
        """Of each try those of the indices for which it is the newest."""
        left = self.every if wanted is None else wanted
        found = []
        for each in reversed(self.tries):
            if own := each.indices & left:
                found.append((each, own))
                left -= own
        return found

    def _rows_of(self, each: Try, wanted: Indices) -> Iterator[TaskView]:
        told = reports.indices(self.fs, self.lease, self.whole.id, each.attempt, wanted)
        silent = self._silent(each)
        waits = self._waits(each, [index for index in wanted if index not in told.ended and index not in told.begun])
        for index in wanted:
            row = self._row(
                each, index, told.ended.get(index), told.nodes.get(index, ""), told.begun.get(index), silent
            )
            yield _waiting(row, waits.get(index, ()))

    def _waits(self, each: Try, silent: Sequence[int]) -> dict[int, list[Wait]]:
        """What each of those indices waits for, if the array waits index by index."""
        place = self.whole.place
        if each.outcome is not None or not silent or place is None or not is_each(place.name):
            return {}
        found: dict[int, list[Wait]] = {}
        for up in each_of(self.fs, self.lease, f"{self.whole.id}.{each.attempt}"):
            known = of_indices(self.fs, self.lease.beside(up.lease), up.task, silent, durably=False)
            for index in silent:
                ended = known.ended.get(index)
                state = ended.state if ended else State.RUNNING if index in known.begun else State.PENDING
                if state is not State.DONE:
                    own = up._replace(kind=OK, id=f"{up.task}_{index}")
                    found.setdefault(index, []).append(Wait(own, state.name, elsewhere=up.lease != self.lease.id))
        return found

    def by_state(self, wanted: Indices | None = None) -> dict[State, Indices]:
        """Those indices, or all, by what they are doing. Costs what the journals hold, however many wait."""
        found: dict[State, Indices] = {}
        for each, own in self.newest(wanted):
            marks = self.marks(each)
            marks.look()
            states = self.states(each, marks)
            for state in State:
                if some := having(states, CODES[state], each.indices) & own:
                    found[state] = found.get(state, Indices()) | some
        return found

    def marks(self, each: Try) -> Marks:
        """What the journals of that try tell, of which nothing is read yet."""
        array = self.lease.array(self.whole.id, each.attempt)
        return Marks(self.fs, array, each.indices, attempt=each.attempt)

    def states(self, each: Try, marks: Marks, nodes: Mapping[str, NodeView] | None = None) -> bytearray:
        """The codes of what the indices of that try do, each at its place in the set that it runs.

        nodes: as they are now; None: as they were when this was made.
        """
        found = bytearray(marks.ended)
        if each.outcome is None:  # else an attempt that was to follow does not
            for place in marks.again:
                found[place] = CODES[State.PENDING]
            for place, node in marks.running().items():
                view = (self.nodes if nodes is None else nodes).get(node) or NodeView(node, Health.UNKNOWN)
                found[place] = CODES[view.holds[0]]
        if 0 in found:
            silent = self._silent(each) if each.outcome is not None or marks.names.stops else Silent()
            for stop in silent.stops:
                fill(found, each.indices, stop.indices, State.CANCELLED)
            fill(found, each.indices, None, silent.over or State.PENDING)
        return found

    def ends(self, wanted: Indices) -> Iterator[tuple[int, Outcome]]:
        """How those of the indices have ended of which no other attempt follows."""
        for each, own in self.newest(wanted):
            told = reports.indices(self.fs, self.lease, self.whole.id, each.attempt, own)
            silent = self._silent(each)
            for index in own:
                ended, node = told.ended.get(index), told.nodes.get(index, "")
                row = self._row(each, index, ended, node, told.begun.get(index), silent)
                if row.state.ended:
                    yield index, self._outcome(each, index, row, ended, node)

    # -- one -----------------------------------------------------------------------------------------

    def row(self, index: int) -> TaskView:
        """The row of that index; raises NotFound."""
        each = self._try_of(index)
        ends, begun = self._journal(each, index)
        ended, node = ends[-1] if ends else (None, "")
        told = begun is not None or (ended is not None and not ended.requeued)
        silent = Silent() if told else self._silent(each)
        row = self._row(each, index, ended, node, begun, silent)
        return _waiting(row, self._waits(each, [] if told else [index]).get(index, ()))

    def task(self, index: int) -> Task:
        """What that index runs; raises NotFound."""
        return self._try_of(index).of_index(index)

    def outcomes(self, index: int) -> list[Outcome]:
        """How each attempt of that index ended, oldest first; raises NotFound."""
        self._try_of(index)
        found = []
        for each in self.tries:
            if index in each.indices:
                ends, _ = self._journal(each, index)
                found += [each.outcome_of(index, ended, node) for ended, node in ends]
        return found

    def final(self, index: int) -> tuple[int, Outcome | None]:
        """(the newest attempt of that index, its outcome if no other follows); raises NotFound."""
        each, row = self._try_of(index), self.row(index)
        if not row.state.ended:
            return row.attempt, None
        outcomes = self.outcomes(index)
        if outcomes and outcomes[-1].attempt == row.attempt:
            return row.attempt, outcomes[-1]
        return row.attempt, self._outcome(each, index, row, None, "")

    def _outcome(self, each: Try, index: int, row: TaskView, ended: Ended | None, node: str) -> Outcome:
        """How the index ended that has that row. ended: the last line of it, if there is one."""
        if ended is not None and not ended.requeued:
            return each.outcome_of(index, ended, node)
        return Outcome(each.of_index(index), row.attempt, row.state, reason=row.reason)

    @property
    def kept_logs(self) -> str:
        """Which logs it keeps: see `index_logs`."""
        task = self.tries[-1].task
        return task.array.logs if task.array else ""

    def packed(self, index: int) -> dict[tuple[int, str], Part]:
        """Where those logs of that index are that are in a pack, by attempt and stream; raises NotFound."""
        self._try_of(index)
        found: dict[tuple[int, str], Part] = {}
        for each in self.tries if self.kept_logs == KEEP_PACKED else ():
            if index not in each.indices:
                continue
            array, names, numbers = self._place(each, index)
            for log, node, owner in journal.packed(self.fs, array, names, numbers, index):
                path = self.lease.pack(self.whole.id, each.attempt, node, owner)
                if part := index_logs.part_of(self.fs, path, log):
                    found[log.attempt, log.stream] = part
        return found

    def _try_of(self, index: int) -> Try:
        self.refuse_strange(Indices.of([index]))
        return next(each for each in reversed(self.tries) if index in each.indices)

    def _journal(self, each: Try, index: int) -> tuple[list[tuple[Ended, str]], Begun | None]:
        array, names, numbers = self._place(each, index)
        return journal.of_index(self.fs, array, names, index, numbers)

    def _place(self, each: Try, index: int) -> tuple[ArrayDir, ArrayNames, tuple[int, ...]]:
        """The directory of that try, the names in it, and the numbers of the chunk, and the group, of the index."""
        array = self.lease.array(self.whole.id, each.attempt)
        names = ArrayNames.parse(names_in(self.fs, array.root))
        return array, names, Plan(len(each.indices)).numbers_of(each.indices.place(index))

    # -- rows ----------------------------------------------------------------------------------------

    def _silent(self, each: Try) -> Silent:
        if each.outcome is None:
            return Silent(stops=tuple(reports.stops_of(self.fs, self.lease, self.whole.id, each.attempt)))
        # Its outcome counts them, and no line does.
        told = reports.look(self.fs, self.lease, self.whole.id, each.attempt)[0].counts
        return Silent(over=state_of_silent(each.outcome, told))

    def _row(
        self, each: Try, index: int, ended: Ended | None, node: str, begun: Begun | None, silent: Silent
    ) -> TaskView:
        task = each.of_index(index)
        row = TaskView(
            task.id,
            each.attempt,
            State.PENDING,
            name=task.name,
            command=command_text(task),
            need=task.need,
            submitted=task.submitted,
            group=task.group,
            values=each.expansion.values(index),
        )
        if begun is not None and each.outcome is None:
            return self._running(row, begun)
        if ended is not None and ended.requeued:
            row = replace(row, attempt=ended.attempt + 1, reason="Requeue")
            if each.outcome is None:
                return row
        elif ended is not None:
            return _ended(row, ended, node)
        if known := silent.state_of(index):
            return replace(row, state=known[0], reason=known[1])
        waiting = self.whole.state is State.PENDING and self.whole.reason
        return replace(row, reason=waiting or "Queued")

    def _running(self, row: TaskView, begun: Begun) -> TaskView:
        view = self.nodes.get(begun.node) or NodeView(begun.node, Health.UNKNOWN)
        state, reason = view.holds
        row = replace(row, attempt=begun.attempt, state=state, reason=reason, node=begun.node)
        held = view.heartbeat.running if view.heartbeat else ()
        run = next((run for run in held if run.id == row.id and run.attempt == begun.attempt), None)
        return replace(from_heartbeat(row, run, view), name=row.name, command=row.command) if run else row


def _waiting(row: TaskView, waits: Sequence[Wait]) -> TaskView:
    """The row of an index that waits for that, if it waits."""
    if row.state is not State.PENDING or not waits:
        return row
    held = row.reason.partition(":")[0] in (HELD, PAUSED)
    return replace(row, waits=tuple(waits), reason=row.reason if held else waits_reason(waits))


def _ended(row: TaskView, ended: Ended, node: str) -> TaskView:
    return replace(
        row,
        attempt=ended.attempt,
        state=ended.state,
        reason=ended.reason,
        node=node,
        gpus=ended.gpus,
        started=ended.started,
        ended=ended.ended,
        elapsed_seconds=ended.elapsed_seconds,
        exit_code=ended.exit_code,
    )
