"""The runner with one thing wrong each, as `tests.sim` runs it: a replacement of one of its parts.

With each stands the trouble that brings the mistake to light, so that few histories are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeGuard

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.lease.slurm.answer import Queue, Verdict
from leaseq.lease.slurm.text import Row
from leaseq.lease.slurm.verdict import Judge
from leaseq.models import ANY, Event, Outcome, State, Why
from leaseq.names import Entry
from leaseq.node.record import Rec
from leaseq.protocol import files, history, tasks
from leaseq.protocol.concluding import Ending
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking
from leaseq.runner import ends, limits, recover
from leaseq.runner.beside import begin_alone
from leaseq.runner.holding import Note
from leaseq.runner.intake import Intake
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.node_state import NodeState
from leaseq.runner.phase import Phase
from leaseq.runner.ports import Options, Ports
from leaseq.runner.recover import take_over
from leaseq.runner.work import Won
from tests.sim.host import SimProcs
from tests.sim.nfs import ActorFs
from tests.sim.plan import Step
from tests.sim.service import REAL_PARTS, Parts

# -- claim and start -----------------------------------------------------------------------------------


def taking_in_by(intake: type[Intake]) -> type[Runner]:
    """The runner whose node is filled by that."""

    class Altered(Runner):
        def __init__(self, ports: Ports, options: Options) -> None:
            super().__init__(ports, options)
            self.intake = intake(self.state, ports)

    return Altered


class StartsBeforeTheClaimIsDurable(Intake):
    def launch(self) -> None:
        if not self.state.won:
            return
        self.hand_over()
        self.ports.fs.sync_dir(self.ports.lease.claimed(self.ports.node))


class ForgetsAClaimInDoubt(Intake):
    def find_claims(self) -> None:
        self.state.claims_in_doubt = False


class DropsAClaimThatCannotBeStarted(Intake):
    def launch(self) -> None:
        all_won, self.state.won = self.state.won, {}
        self.ports.fs.sync_dir(self.ports.lease.claimed(self.ports.node))
        limits.learn(self.state, self.ports)
        for won in all_won.values():
            if admitted := limits.admitted(self.state, self.ports, won):
                self.start(admitted)


class TakesTroubleForMalice(Intake):
    """A file that cannot be read now is taken for one that is no task."""

    def start(self, won: Won) -> None:
        try:
            super().start(won)
        except OSError as error:
            ends.refuse(self.state, self.ports, won.claim, won.booking, str(error))


class KnowsOnlyWhatItWins(NodeState):
    def bookings(self) -> list[Booking]:
        return [each.booking for each in self.won.values()]


class BooksWhatIsBooked(Runner):
    def __init__(self, ports: Ports, options: Options) -> None:
        super().__init__(ports, options)
        self.state.__class__ = KnowsOnlyWhatItWins


class NeverRests(Intake):
    """It looks at everything in every turn, and at each pending file."""

    def refresh(self) -> None:
        super().refresh()
        self.state.stale = True
        inbox = self.ports.lease.inbox(ANY)
        for _ in range(60 * len(self.ports.fs.names(inbox))):
            self.ports.fs.names(inbox)


# -- what a new runner takes over ------------------------------------------------------------------------


class _Altered:
    """A runner's Procs with some answers altered."""

    def __init__(self, procs: Any, **answers: Callable[..., Any]) -> None:
        self._procs, self._answers = procs, answers

    def __getattr__(self, name: str) -> Any:
        return self._answers.get(name) or getattr(self._procs, name)


def _taking_over(state: NodeState, ports: Ports, **answers: Callable[..., Any]) -> None:
    altered: Any = _Altered(ports.procs, **answers)
    take_over(state, replace(ports, procs=altered))


def adopts_as_new(state: NodeState, ports: Ports) -> None:
    """What runs is put back, as if it had never begun."""

    def record(key: str) -> Rec | None:
        known = ports.procs.record(key)
        return Rec(void=True) if known is not None and not known.over else known

    _taking_over(state, ports, record=record)


def leaves_the_void_out(state: NodeState, ports: Ports) -> None:
    """A claim without a record is put back, and what was asked of the keeper may still start."""
    procs = ports.procs
    void = {"keys": set[str]()}

    def record(key: str) -> Rec | None:
        return Rec(void=True) if key in void["keys"] else procs.record(key)

    def make_void(key: str) -> bool:
        void["keys"].add(key)
        return True

    def forget(key: str) -> None:
        if key not in void["keys"]:
            procs.forget(key)

    _taking_over(state, ports, record=record, void=make_void, forget=forget)


def requeues_on_unknown(state: NodeState, ports: Ports) -> None:
    """A claim of which nothing is known is taken for one that never began."""
    _taking_over(state, ports, knows=lambda incarnation: True)


def adopts_what_an_earlier_boot_began(state: NodeState, ports: Ports) -> None:
    _taking_over(state, ports, same_boot=lambda rec: True)


def gives_adopted_tasks_the_first_gpus(state: NodeState, ports: Ports) -> None:
    _taking_over(state, ports, given=lambda key: None)


def does_not_take_over(state: NodeState, ports: Ports) -> None:
    return


def takes_the_claims_of_all_nodes(state: NodeState, ports: Ports) -> None:
    take_over(state, ports)
    for node in ports.fs.names(ports.lease.claims):
        for name in ports.fs.names(ports.lease.claimed(node)) if node not in ("_cli", ports.node) else ():
            try:
                recover._take_claim(state, ports, Claim(Entry.parse(name), node), ports.ledger.recorded)
            except (Malformed, FileNotFoundError):
                continue


def starts_what_was_decided(state: NodeState, ports: Ports) -> None:
    """A decided attempt's claim is taken for one that is still to be started."""
    for name in ports.fs.names(ports.lease.claimed(ports.node)):
        claim = Claim(Entry.parse(name), ports.node)
        decided = tasks.read_outcome(ports.fs, ports.lease, claim.entry.id, claim.entry.attempt)
        if decided is not None:
            tasks.unclaim(ports.fs, ports.lease, claim, ports.lease.inbox(decided.task.node))
            ports.procs.forget(claim.entry.key)
    take_over(state, ports)


def ends_what_runs(state: NodeState, ports: Ports) -> None:
    """Tasks do not outlive their runner."""
    for key in ports.procs.attempts():
        rec = ports.procs.record(key)
        if rec is not None and not rec.over:
            ports.procs.end_now(key)
    take_over(state, ports)


# -- how attempts end ------------------------------------------------------------------------------------


class ForgetsTheRecordFirst(Ledger):
    def persist(self, *, waited_for: bool = False) -> bool:
        for item in self.open:
            if isinstance(item, Ending):
                self.procs.forget(item.claim.entry.key)
        return super().persist(waited_for=waited_for)


class SettlesBeforeTheOutcomeIsSynced(Ledger):
    def _decide(self, items: Sequence[Ending]) -> None:
        super()._decide(items)
        for item in items:
            item.durable = True


class SettlesBeforeTheHistory(Ledger):
    def _note(self, items: Sequence[Ending]) -> None:
        for item in items:
            assert item.decided is not None
            tasks.settle(self.fs, self.lease, item.claim, item.decided)
        super()._note(items)


class DropsWhatCannotBeWritten(Ledger):
    def persist(self, *, waited_for: bool = False) -> bool:
        try:
            return super().persist(waited_for=waited_for)
        except OSError:
            self.open.clear()
            raise


def _undecided(item: Ending | Note, state: State) -> TypeGuard[Ending]:
    """True if it is the end of a task, in that state, of which the ledger has decided nothing yet."""
    return isinstance(item, Ending) and item.outcome.state is state and item.decided is None


class RunsALostTaskAgain(Ledger):
    def add(self, item: Ending | Note) -> None:
        if _undecided(item, State.LOST) and not item.outcome.requeued:
            item = replace(item, outcome=replace(item.outcome, requeued="lost"))
        super().add(item)


class RetriesForEver(Ledger):
    def add(self, item: Ending | Note) -> None:
        if _undecided(item, State.FAILED) and item.outcome.attempt < 4:
            item = replace(item, outcome=replace(item.outcome, requeued="retry"))
        super().add(item)


class CallsAFailureDone(Ledger):
    def add(self, item: Ending | Note) -> None:
        if _undecided(item, State.FAILED):
            item = replace(item, outcome=replace(item.outcome, state=State.DONE, exit_code=0, requeued=""))
        super().add(item)


class TellsNothingOfCommands(Runner):
    """What commands decided is taken out of booking/, and not told in the history."""

    def step(self) -> float:
        wait = super().step()
        self.guard(self._drop_bookings)
        return wait

    def _drop_bookings(self) -> None:
        fs, booking = self.ports.fs, self.ports.lease.booking
        for name in fs.names(booking):
            files.discard(fs, f"{booking}/{name}")


class TellsWhatAnotherNodeTells(Ledger):
    """What waits in booking/ is told by each node that sees it there, whoever has told it."""

    def write_history(self, outcomes: Sequence[Outcome]) -> dict[str, str]:
        lease, own = self.lease.id, self.incarnation
        self._tell([(history.event_of(each, lease=lease), each.incarnation == own, {}) for each in outcomes])
        return {}


class TakesTheFirstWordForTheLast(Runner):
    """A process that nobody has waited for yet is given up as LOST."""

    def collect(self, now: float) -> None:
        for attempt in list(self.state.running.values()):
            rec = self.ports.procs.record(attempt.key)
            if rec is not None and rec.pid is not None and not rec.over and now - attempt.since > 10.0:
                ends.end(self.state, self.ports, attempt, replace(rec, gone=True))
        super().collect(now)


class CancelsWhatNobodyAskedFor(SimProcs):
    """To end one attempt is to end all."""

    def stop(self, key: str, *, why: Why, grace: float) -> None:
        for each in self.attempts():
            super().stop(each, why=why, grace=grace)


class PutsBackWhatFailed(SimProcs):
    """An attempt that failed is pending again as the same attempt."""

    def record(self, key: str) -> Rec | None:
        rec = super().record(key)
        return replace(rec, again=True) if rec is not None and rec.status and not rec.stopping else rec


# -- who serves --------------------------------------------------------------------------------------------


def serves_beside_another(*_: object, **__: object) -> int:
    return 0


def takes_a_term_over(fs: ActorFs, *words: Any, **options: Any) -> int:
    """A term is begun as a heartbeat is written: over what stands there."""
    return begin_alone(OverwritesTerms(fs), *words, **options)


def goes_on_in_the_history_of_one_that_may_live(fs: ActorFs, *words: Any, **options: Any) -> int:
    return begin_alone(BeginsNoHistory(fs), *words, **options)


class TakesInNothing(Ledger):
    """What an earlier runner tells late is counted by nobody."""

    def take_in(self, name: str, lines: Sequence[tuple[int, Event]]) -> None:
        return


class CountsWhatWasToldTwiceTwice(Ledger):
    def take_in(self, name: str, lines: Sequence[tuple[int, Event]]) -> None:
        self.recorded = set()
        super().take_in(name, lines)


class NeverGivesWay(Phase):
    def give_way(self) -> None:
        return


class ServesOn(Runner):
    """Another runner has begun to serve the node."""

    def __init__(self, ports: Ports, options: Options) -> None:
        super().__init__(ports, options)
        self.state.phase = NeverGivesWay()


class _FsBut:
    """A file system with one operation that is another."""

    def __init__(self, fs: ActorFs) -> None:
        self.fs = fs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fs, name)


class BeginsNoHistory(_FsBut):
    def append(self, path: str, data: bytes) -> None:
        return


class OverwritesTerms(_FsBut):
    """Its link overwrites."""

    def link(self, source: str, target: str) -> None:
        files.discard(self.fs, target)
        self.fs.link(source, target)


class StartsAgainWhatHasARecord(SimProcs):
    """The keeper is asked again for an attempt whose record is there: the record is removed first."""

    def start(self, key: str, request: Any) -> None:
        super().start(key, request)
        super().start(key, request)
        self.host.scheduler.at(0.3, partial(self._lose_record, key))

    def _lose_record(self, key: str) -> None:
        self.host.records.pop(key, None)


# -- what answers of Slurm mean -------------------------------------------------------------------------


class TakesAnyLineForTheLeases(Judge):
    """The number alone counts."""

    def learn(self, kept: Queue, rows: Sequence[Row]) -> Queue:
        marks = {lease.id: lease.token for lease in leases.list_leases(self.fs, self.home)}
        bare = [replace(row, script=f"/scripts/{marks.get(row.id, 'cccccccccc')}.sh") for row in rows]
        return super().learn(kept, bare)


class BelievesAFinalStateAgainstTheHeartbeat(Judge):
    def is_silent(self, lease: LeaseDir, node: str) -> bool:
        return True


class BelievesAnAnswerThatLacksWhoIsHeard(Judge):
    def is_to_be_believed(self, absent: Sequence[Allocation], fresh: Queue) -> bool:
        return True


class TakesOneAbsenceForTheEnd(Judge):
    def is_missed_again(self, alloc: Allocation) -> bool:
        return True


class DoesNotAskForTheJobItself(Judge):
    def is_denied(self, alloc: Allocation) -> bool:
        return True


class NeverTakesAnEndBack(Judge):
    """Who was called ended is not looked at again."""

    def _of_line(self, alloc: Allocation, fresh: Queue) -> Verdict | None:
        return None if alloc.ended is not None else super()._of_line(alloc, fresh)


@dataclass(frozen=True)
class Mutant:
    """Parts of a runner, one of them wrong; and the troubles, at which steps, in which that shows."""

    parts: Parts
    troubles: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    dependents: bool = False
    """True if tasks that come after others bring it to light."""
    arrays: bool = False
    """True if arrays do."""


def _runner(runner: type[Runner], *troubles: str, at: Sequence[Step] = ()) -> Mutant:
    return Mutant(replace(REAL_PARTS, runner=runner), troubles, tuple(at))


def _ledger(ledger: type[Ledger], *troubles: str, at: Sequence[Step] = ()) -> Mutant:
    return Mutant(replace(REAL_PARTS, ledger=ledger), troubles, tuple(at))


def _intake(intake: type[Intake], *troubles: str, at: Sequence[Step] = ()) -> Mutant:
    return _runner(taking_in_by(intake), *troubles, at=at)


def _taker(taker: Callable[[NodeState, Ports], None], *troubles: str, at: Sequence[Step] = ()) -> Mutant:
    return Mutant(replace(REAL_PARTS, take_over=taker), troubles, tuple(at))


def _judge(judge: type[Judge], *troubles: str) -> Mutant:
    return Mutant(replace(REAL_PARTS, judge=judge), troubles)


SYNC_CLAIMS, SYNC_OUTCOMES = ("sync_dir", "/claimed"), ("sync_dir", "/done")
LOOK_FOR_TERMS = ("names", "/hb")
CLAIM, READ_CLAIM, BEAT = ("rename", "/claimed/"), ("read", "/claimed/"), ("create", "/hb/")
WRITE_OUTCOME, TELL, SETTLE = ("create", "/done/"), ("append", "/events/"), ("unlink", "/claimed/")

MUTANTS: dict[str, Mutant] = {
    "start before the claim is durable": _intake(StartsBeforeTheClaimIsDurable, "power loss", at=[SYNC_CLAIMS]),
    "a claim in doubt is forgotten": _intake(ForgetsAClaimInDoubt, "mount", at=[CLAIM]),
    "a claim that cannot be started is dropped": _intake(
        DropsAClaimThatCannotBeStarted, "error", at=[SYNC_CLAIMS, READ_CLAIM]
    ),
    "an error of the file system is taken for a bad task": _intake(TakesTroubleForMalice, "error", at=[READ_CLAIM]),
    "GPUs and CPUs are booked twice": _runner(BooksWhatIsBooked),
    "a turn costs what is pending": _intake(NeverRests),
    "adopt as new": _taker(adopts_as_new, "runner and keeper die"),
    "no `void` record before a claim is put back": _taker(leaves_the_void_out, "keeper hangs", at=[BEAT]),
    "requeue on unknown": _taker(requeues_on_unknown, "reboot", at=[BEAT]),
    "adopt what an earlier boot began": _taker(adopts_what_an_earlier_boot_began, "reboot, records kept", at=[BEAT]),
    "adopted tasks are given the first GPUs": _taker(gives_adopted_tasks_the_first_gpus, "runner and keeper die"),
    "no taking over": _taker(does_not_take_over, "runner and keeper die"),
    "claims are taken from another node": _taker(takes_the_claims_of_all_nodes, "runner and keeper die"),
    "a decided attempt is put back": _taker(starts_what_was_decided, "death", at=[TELL, SETTLE]),
    "tasks end with their runner": _taker(ends_what_runs, "runner and keeper die"),
    "the record is forgotten before the outcome is durable": _ledger(
        ForgetsTheRecordFirst, "runner and keeper die", at=[WRITE_OUTCOME]
    ),
    "settle before the outcome is synced": _ledger(SettlesBeforeTheOutcomeIsSynced, "power loss", at=[SETTLE]),
    "settle before the history": _ledger(SettlesBeforeTheHistory, "death", at=[TELL]),
    "an outcome that cannot be written is dropped": _ledger(
        DropsWhatCannotBeWritten, "error", at=[WRITE_OUTCOME, TELL]
    ),
    "a LOST task runs again unasked": _ledger(RunsALostTaskAgain, "reboot", at=[BEAT]),
    "retry without end": _ledger(RetriesForEver),
    "a failure is called DONE": _ledger(CallsAFailureDone),
    "what commands decided is not told": _runner(TellsNothingOfCommands),
    "a slow task is given up as LOST": _runner(TakesTheFirstWordForTheLast),
    "a cancel ends the others, too": Mutant(replace(REAL_PARTS, procs=CancelsWhatNobodyAskedFor)),
    "a retry is the same attempt": Mutant(replace(REAL_PARTS, procs=PutsBackWhatFailed)),
    "a term is begun over another's": Mutant(
        replace(REAL_PARTS, begin_alone=takes_a_term_over), ("rival",), (LOOK_FOR_TERMS,)
    ),
    "a history is written by two": Mutant(
        replace(REAL_PARTS, begin_alone=goes_on_in_the_history_of_one_that_may_live), ("rival", "link cut")
    ),
    "what is told late is not counted": _ledger(TakesInNothing, "rival", "link cut"),
    "what is told twice is counted twice": _ledger(CountsWhatWasToldTwiceTwice, "rival", "link cut"),
    "a runner goes on where another serves": _runner(ServesOn, "link cut", "rival"),
    "two runners serve one node": Mutant(replace(REAL_PARTS, begin_alone=serves_beside_another), ("rival",)),
    "an attempt is asked for twice": Mutant(replace(REAL_PARTS, procs=StartsAgainWhatHasARecord)),
    "a job's number is enough": _judge(TakesAnyLineForTheLeases, "wrong answers"),
    "an answer ends a lease that is heard": _judge(BelievesAFinalStateAgainstTheHeartbeat, "wrong answers"),
    "an answer counts that lacks who is heard": _judge(BelievesAnAnswerThatLacksWhoIsHeard, "wrong answers"),
    "one absence is an end": _judge(TakesOneAbsenceForTheEnd, "wrong answers"),
    "an absence is an end that Slurm does not confirm": _judge(DoesNotAskForTheJobItself, "wrong answers"),
    "an end is for ever": _judge(NeverTakesAnEndBack, "lease end"),
}

CAUGHT_BY = {
    "an attempt is asked for twice": 2,
    "start before the claim is durable": 2,
    "a claim in doubt is forgotten": 17,
    "a claim that cannot be started is dropped": 10,
    "an error of the file system is taken for a bad task": 2,
    "a turn costs what is pending": 4,
    "adopt as new": 3,
    "no `void` record before a claim is put back": 10,
    "requeue on unknown": 14,
    "adopt what an earlier boot began": 3,
    "adopted tasks are given the first GPUs": 23,
    "no taking over": 18,
    "claims are taken from another node": 3,
    "a decided attempt is put back": 2,
    "tasks end with their runner": 9,
    "the record is forgotten before the outcome is durable": 2,
    "settle before the history": 2,
    "an outcome that cannot be written is dropped": 5,
    "a LOST task runs again unasked": 28,
    "what commands decided is not told": 8,
    "a slow task is given up as LOST": 2,
    "a cancel ends the others, too": 77,
    "a term is begun over another's": 40,
    "a history is written by two": 62,
    "what is told late is not counted": 63,
    "what is told twice is counted twice": 239,
    "a runner goes on where another serves": 8,
    "a job's number is enough": 27,
    "an answer counts that lacks who is heard": 35,
    "one absence is an end": 21,
    "an absence is an end that Slurm does not confirm": 8,
    "an end is for ever": 16,
}
"""The history that was seen to catch a mutant, if not the first: it is tried first, then all others."""
