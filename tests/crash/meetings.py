"""Two actors on one thing: one acts whole between any two operations of the other, or before its lost reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leaseq.dataclass import dataclass, replace
from leaseq.models import ANY
from leaseq.protocol import dependents
from leaseq.world import Fs
from tests.crash import actors
from tests.crash.actors import Host, Protocol, World
from tests.crash.alike import NAMES, Followed
from tests.crash.check import check_always, check_claims_known, check_ended, named
from tests.crash.order import check_prompt
from tests.crash.sweep import (
    SCENES,
    Act,
    claimed,
    ended,
    ended_with_dependents,
    failed,
    lost,
    report,
    submitted,
)
from tests.faults import Fault, FaultFs, Kind


@dataclass(frozen=True)
class Meeting:
    """`build` makes the state and gives the act, and the other's act."""

    name: str
    build: Callable[[World], tuple[Act, Act]]


def work(world: World, fs: Fs) -> None:
    """A runner of the other node takes, runs and reports all that is pending."""
    runner = world.runner("n2", fs)
    while (held := runner.take()) is not None:
        runner.start(held)
        runner.host.end((held.entry.id, held.entry.attempt), 0)
        runner.report(held)


def take(node: str) -> Act:
    """A runner of the node, a new incarnation, takes a task and starts it."""

    def act(world: World, fs: Fs) -> None:
        runner = world.runner(node, fs)
        held = runner.take()
        if held is not None:
            runner.start(held)

    return act


def take_on_another_host(world: World, fs: Fs) -> None:
    """A runner on another host that goes by the first node's name takes a task and starts it."""
    runner = world.runner(fs=fs, host=Host("n1", world.truth))
    held = runner.take()
    if held is not None:
        runner.start(held)


def hold(world: World, fs: Fs) -> None:
    actors.move_first(world, fs, world.lease.inbox(ANY), world.lease.held(ANY))


def release(world: World, fs: Fs) -> None:
    actors.move_first(world, fs, world.lease.held(ANY), world.lease.inbox(ANY))


def change(world: World, fs: Fs) -> None:
    actors.change_first(world, fs)


def with_key(world: World, fs: Fs) -> None:
    actors.submit_with_key(world, fs, "digest")


def next_runner(world: World, fs: Fs) -> None:
    """Another runner of the first node, which may be alive, does what a fresh runner does."""
    runner = world.runner("n1", fs)
    runner.recover()
    runner.book()


def _both(*acts: Act) -> Act:
    def act(world: World, fs: Fs) -> None:
        for each in acts:
            each(world, fs)

    return act


def _after(*before: Callable[[World], object]) -> Callable[[Act, Act], Callable[[World], tuple[Act, Act]]]:
    """Two acts that meet once that has happened."""

    def meet(act: Act, other: Act) -> Callable[[World], tuple[Act, Act]]:
        def build(world: World) -> tuple[Act, Act]:
            for each in before:
                each(world)
            return act, other

        return build

    return meet


def _reporting(other: Act, **fields: object) -> Callable[[World], tuple[Act, Act]]:
    def build(world: World) -> tuple[Act, Act]:
        return report(ended(world, code=3, **fields)), other

    return build


def _report_meanwhile(act: Act) -> Callable[[World], tuple[Act, Act]]:
    def build(world: World) -> tuple[Act, Act]:
        return act, report(ended(world))

    return build


def _scene(name: str, other: Act) -> Callable[[World], tuple[Act, Act]]:
    return lambda world: (SCENES[name].build(world), other)


def _giving_back(other: Act) -> Callable[[World], tuple[Act, Act]]:
    def build(world: World) -> tuple[Act, Act]:
        runner = claimed(world)

        def act(world: World, fs: Fs) -> None:
            runner.fs = fs
            runner.give_back(runner.held[0])

        return act, other

    return build


def _with_dependents(other: Act, *, code: int = 0, act: Act | None = None) -> Callable[[World], tuple[Act, Act]]:
    """The first task's runner reports its end, or the act is done; others wait for it."""

    def build(world: World) -> tuple[Act, Act]:
        return act or report(ended_with_dependents(world, code, all_kinds=True)), other

    return build


def _submit_after(code: int = 0, **fields: object) -> Callable[[World], tuple[Act, Act]]:
    """Somebody submits a task that comes after one whose end is reported meanwhile."""

    def build(world: World) -> tuple[Act, Act]:
        runner = ended(world, code, **fields)
        return actors.submit_after, report(runner)

    return build


def _report_and_submit_after(code: int = 0) -> Callable[[World], tuple[Act, Act]]:
    def build(world: World) -> tuple[Act, Act]:
        return report(ended(world, code)), actors.submit_after

    return build


def _two_that_end(code: int, other_code: int) -> Callable[[World], tuple[Act, Act]]:
    """Two runners report the ends of two tasks, for both of which others wait."""

    def build(world: World) -> tuple[Act, Act]:
        first = ended(world, code)
        submitted(world)
        second = world.runner("n2")
        held = second.take()
        assert held is not None
        second.start(held)
        second.host.end((held.entry.id, held.entry.attempt), other_code)
        ups = sorted(world.truth.acknowledged)
        down = actors.submit_after(world, world.fs(), *ups)
        actors.submit_after(world, world.fs(), *ups, kind="any")
        actors.submit_after(world, world.fs(), down.id, ups[1])
        return report(first), report(second)

    return build


def _retrying(world: World) -> tuple[Act, Act]:
    """Its runner has decided and told a failure, and tells who waits for it, as somebody retries it."""
    runner = ended_with_dependents(world, code=3, all_kinds=True)
    return report(runner), actors.retry_first


def _cut_and_submit_after(world: World) -> tuple[Act, Act]:
    """A task that is being cancelled because of another gets another one that comes after it."""
    runner = ended_with_dependents(world, code=3, all_kinds=True)
    down = sorted(world.truth.acknowledged)[1]
    return report(runner), lambda world, fs: actors.submit_after(world, fs, down)


def _submit_after_and_cut(world: World) -> tuple[Act, Act]:
    runner = ended_with_dependents(world, code=3, all_kinds=True)
    down = sorted(world.truth.acknowledged)[1]
    return (lambda world, fs: actors.submit_after(world, fs, down)), report(runner)


def _two_submit_after(world: World) -> tuple[Act, Act]:
    runner = ended(world)

    def other(world: World, fs: Fs) -> None:
        actors.submit_after(world, fs)
        report(runner)(world, fs)

    return actors.submit_after, other


def hold_one_that_waits(world: World, fs: Fs) -> None:
    actors.move_first(world, fs, world.lease.waiting(ANY), world.lease.held(ANY))


def release_as_it_was(world: World, fs: Fs) -> None:
    for name in sorted(fs.names(world.lease.held(ANY)))[:1]:
        dependents.back_in_line(fs, world.lease, world.lease.held(ANY), name, now=actors.NOW)


def cancel_one_that_waits(world: World, fs: Fs) -> None:
    actors.cancel_first(world, fs, ("waiting",))


_empty, _pending, _failed, _lost = _after(), _after(submitted), _after(failed), _after(lost)
_held = _after(submitted, lambda world: hold(world, world.fs()))
_losing = _after(claimed)
cancel, lose, recover = actors.cancel_first, actors.lose_first, actors.recover_lost_first
retry, redo = actors.retry_first, actors.redo_first
cleanup = actors.finish_cancellations

MEETINGS = {
    "submit, work": _empty(actors.submit, work),
    "submit, submit": _empty(actors.submit, actors.submit),
    "key, key": _empty(with_key, with_key),
    "key, key and work": _empty(with_key, _both(with_key, work)),
    "take, take": _pending(take("n1"), take("n2")),
    "take, take of the same node": _pending(take("n1"), take("n1")),
    "take, take on another host of the same name": _pending(take("n1"), take_on_another_host),
    "take, cancel": _pending(take("n1"), cancel),
    "take, hold": _pending(take("n1"), hold),
    "take, next runner": _pending(take("n1"), next_runner),
    "take, next runner and work": _pending(take("n1"), _both(next_runner, work)),
    "cancel, take": _pending(cancel, take("n1")),
    "cancel, cancel": _pending(cancel, cancel),
    "cancel, cleanup": _pending(cancel, cleanup),
    "cancel, cleanup and book": _pending(cancel, _both(cleanup, next_runner)),
    "cleanup, cleanup": _scene("finish_cancelled", cleanup),
    "hold, work": _pending(hold, work),
    "hold, cancel": _pending(hold, cancel),
    "hold, release": _pending(hold, release),
    "release, release and work": _held(release, _both(release, work)),
    "change, take": _pending(change, take("n1")),
    "change, work": _pending(change, work),
    "take, change": _pending(take("n1"), change),
    "change, change": _pending(change, change),
    "change, change and work": _pending(change, _both(change, work)),
    "change, cancel": _pending(change, cancel),
    "cancel, change": _pending(cancel, change),
    "change, hold": _pending(change, hold),
    "change, finish and work": _pending(change, _both(actors.finish_changes, work)),
    "finish, finish and work": _scene("finish_change", _both(actors.finish_changes, work)),
    "report, lose": _reporting(lose),
    "report, lose and recover and work": _reporting(_both(lose, recover, work)),
    "report and retry, lose": _reporting(lose, retries=1),
    "report and retry, work": _reporting(work, retries=1),
    "report and retry, next runner and work": _reporting(_both(next_runner, work), retries=1),
    "lose, report": _report_meanwhile(lose),
    "lose, lose and recover and work": _losing(lose, _both(lose, recover, work)),
    "recover, recover": _lost(recover, recover),
    "recover, recover and work": _lost(recover, _both(recover, work)),
    "retry, retry": _failed(retry, retry),
    "retry, retry and work": _failed(retry, _both(retry, work)),
    "retry, work": _failed(retry, work),
    "retry, next runner and work": _failed(retry, _both(next_runner, work)),
    "report, retry": _reporting(retry),
    "report, retry and work": _reporting(_both(retry, work)),
    "retry of a cancelled, cleanup and work": _scene("retry_cancelled", _both(cleanup, next_runner, work)),
    "redo, redo": _failed(redo, redo),
    "redo, redo and work": _failed(redo, _both(redo, work)),
    "next runner, next runner": _scene("next_runner_finds_decided", next_runner),
    "next runner with a retry, next runner and work": _scene("next_runner_finds_ended", _both(next_runner, work)),
    "next runner with an unstarted, next runner and work": _scene(
        "next_runner_finds_unstarted", _both(next_runner, work)
    ),
    "book, next runner": _scene("book", next_runner),
    "unclaim, work": _giving_back(work),
    "submit after, report": _submit_after(),
    "submit after, report of a failure": _submit_after(3),
    "submit after, report and retry by itself": _submit_after(3, retries=1),
    "report, submit after": _report_and_submit_after(),
    "report of a failure, submit after": _report_and_submit_after(3),
    "submit after, submit after and report": _two_submit_after,
    "submit after a cut one, report": _submit_after_and_cut,
    "report of a failure, submit after a cut one": _cut_and_submit_after,
    "report, report of another": _two_that_end(0, 0),
    "report, report of a failure": _two_that_end(0, 3),
    "report of a failure, report": _two_that_end(3, 0),
    "report of a failure, report of another": _two_that_end(3, 3),
    "report, look": _with_dependents(actors.look),
    "report of a failure, look": _with_dependents(actors.look, code=3),
    "look, look at what failed": _scene("look_cascades", actors.look),
    "look, look": _scene("look_frees", actors.look),
    "report of a failure, retry": _retrying,
    "retry that revives, next runner": _scene("retry_revives", _both(next_runner, actors.look)),
    "retry that revives, retry": _scene("retry_revives", retry),
    "report, hold one that waits": _with_dependents(hold_one_that_waits),
    "report, hold and release": _with_dependents(_both(hold_one_that_waits, release_as_it_was)),
    "report of a failure, hold": _with_dependents(hold_one_that_waits, code=3),
    "release of one that waits, look": _scene("release_one_that_waits", actors.look),
    "report, cancel one that waits": _with_dependents(cancel_one_that_waits),
    "report of a failure, cancel one that waits": _with_dependents(cancel_one_that_waits, code=3),
    "cancel one that waits, look": _scene("cancel_one_that_waits", actors.look),
    "cleanup of a cut one, look": _scene("finish_cut", actors.look),
    "cleanup of a cut one, retry and work": _scene("finish_cut", _both(next_runner, retry, work)),
}


def meetings(p: Protocol, name: str) -> Iterator[str]:
    """The other acts at every operation of the one; nobody sees an error, and all rules hold."""
    followed = Followed()
    for at, operation in enumerate(_operations(p, name), 1):
        for kind in (Kind.MEANWHILE, Kind.MEANWHILE_TORN, Kind.LOST_REPLY_MEANWHILE):
            if kind.applies_to(operation):
                yield _meet(p, name, f"operation {at}: {kind.value}", followed, Fault(at, kind))


def meetings_with_lost_replies(p: Protocol, name: str) -> Iterator[str]:
    """The other acts at every operation of the one, and any later change of that one is done and reported as failed."""
    followed = Followed()
    for at in range(1, len(_operations(p, name)) + 1):
        met = Fault(at, Kind.MEANWHILE)
        for later, operation in enumerate(_operations(p, name, met), 1):
            if later > at and Kind.LOST_REPLY.applies_to(operation):
                lost_reply = Fault(later, Kind.LOST_REPLY)
                yield _meet(p, name, f"operation {at}: {met.kind.value}, {lost_reply}", followed, met, lost_reply)


def _meet(p: Protocol, name: str, what: str, followed: Followed, *faults: Fault) -> str:
    case = f"{name}, {what}"
    with named(case):
        world, _ = _act(p, name, faults)
        if followed.is_new(world.disk, world.known(), world.known_to_runners()):
            check_always(world)
            check_claims_known(world)
            check_prompt(world, world.fs())
            check_ended(world)
    return case


def _operations(p: Protocol, name: str, *faults: Fault) -> list[str]:
    with named(f"{name}, {' '.join(map(str, faults)) or 'alone'}"):
        _, fs = _act(p, name, faults)
    return [call[0] for call in fs.calls]


def _act(p: Protocol, name: str, faults: tuple[Fault, ...]) -> tuple[World, FaultFs]:
    world, act, other = _stage(p, name)

    def meanwhile() -> None:
        other(world, world.fs())
        check_always(world)

    fs = FaultFs(world.fs(), *(replace(fault, meanwhile=meanwhile) for fault in faults))
    act(world, fs)
    return world, fs


def _stage(p: Protocol, name: str) -> tuple[World, Act, Act]:
    NAMES.begin()
    world = World(p)
    act, other = MEETINGS[name](world)
    world.disk.sync_all()
    return world, act, other
