"""Every step of the protocol, met by every fault at every operation, and by somebody else's every step.

A `Scene` builds a state and has one actor act with a file system that fails. After it the directory is checked,
the next actors do all the work that is left, and the directory is checked again. Each function here yields the
name of each case that it tried and raises `Violated`, with the case in its message, at the first that fails.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Refused
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Lease, Need, Task
from leaseq.names import Entry, order
from leaseq.protocol import dependents, files, records, requests, terms
from leaseq.world import Fs
from tests.crash import actors
from tests.crash.actors import Protocol, Runner, World
from tests.crash.alike import NAMES, Followed
from tests.crash.check import Violated, check_always, check_claims_known, check_ended, named
from tests.faults import SYNCED_CHANGES, Died, Fault, FaultFs, Kind
from tests.memoryfs import MemoryFs

Act = Callable[[World, Fs], object]
"""What one actor does; if it gives a truth value, that is what its user is told."""


@dataclass(frozen=True)
class Scene:
    """Who acts, and on what: `build` makes the state and gives the act."""

    name: str
    build: Callable[[World], Act]


DEATHS = (Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.DIE_TORN, Kind.DIE_EMPTY)
FAILURES = (errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.ENOSPC, errno.EDQUOT, errno.EACCES)
SOFT_MOUNT = (errno.EIO, errno.ETIMEDOUT)
"""What a soft NFS mount reports of a call that may have been carried out."""


# -- the scenes --------------------------------------------------------------------------------------


def submitted(world: World, count: int = 1, **fields: Any) -> None:
    for _ in range(count):
        actors.submit(world, world.fs(), **fields)


def claimed(world: World, **fields: Any) -> Runner:
    submitted(world, **fields)
    runner = world.runner()
    runner.take()
    runner.fs.sync_dir(world.lease.claimed("n1"))
    return runner


def ended(world: World, code: int = 0, **fields: Any) -> Runner:
    runner = claimed(world, **fields)
    held = runner.held[0]
    runner.start(held)
    runner.host.end((held.entry.id, held.entry.attempt), code)
    return runner


def lost(world: World) -> None:
    claimed(world)
    world.all_runners_die()
    actors.lose_first(world, world.fs())


def publish(world: World) -> Act:
    return actors.submit


def publish_batch(world: World) -> Act:
    return lambda world, fs: actors.submit_batch(world, fs, 3)


def publish_once(world: World) -> Act:
    return lambda world, fs: actors.submit_with_key(world, fs, "digest")


def publish_once_again(world: World) -> Act:
    actors.submit_with_key(world, world.fs(), "digest")
    return lambda world, fs: actors.submit_with_key(world, fs, "digest")


def claim_and_start(world: World) -> Act:
    submitted(world, count=2)
    runner = world.runner()

    def act(world: World, fs: Fs) -> None:
        runner.fs = fs
        held = runner.held[0] if runner.held else runner.take()
        if held is not None:
            runner.start(held)

    return act


def report(runner: Runner, *, lost: bool = False) -> Act:
    def act(world: World, fs: Fs) -> None:
        runner.fs = fs
        for held in list(runner.held):
            runner.report(held, lost=lost)

    return act


def finish_done(world: World) -> Act:
    return report(ended(world))


def finish_retry(world: World) -> Act:
    return report(ended(world, code=3, retries=1))


def finish_lost(world: World) -> Act:
    return report(claimed(world), lost=True)


def finish_lost_requeue(world: World) -> Act:
    return report(claimed(world, retries=1), lost=True)


def cancel(world: World) -> Act:
    submitted(world)
    return actors.cancel_first


def finish_cancelled(world: World) -> Act:
    submitted(world)
    fs = world.fs()
    directory, entry = actors.pending(fs, world.lease)[0]
    world.p.claim(fs, world.lease, directory, entry, node="_cli", incarnation="0000000cli")
    fs.sync_dir(world.lease.claimed("_cli"))
    return actors.finish_cancellations


def unclaim(world: World) -> Act:
    runner = claimed(world)

    def act(world: World, fs: Fs) -> None:
        runner.fs = fs
        for held in list(runner.held):
            runner.give_back(held)

    return act


def recover_lost(world: World) -> Act:
    lost(world)
    return actors.recover_lost_first


def failed(world: World) -> None:
    """A task has failed for good, and its runner has told and settled it."""
    runner = ended(world, code=3)
    runner.report(runner.held[0])


def retry_undurable(world: World) -> Act:
    """The runner died after the link that decides, before the sync."""
    runner = ended(world, code=3)

    def act(world: World, fs: Fs) -> None:
        if runner.alive:
            _die(world, report(runner), Fault(4, Kind.DIE_BEFORE))
            world.all_runners_die()
        actors.retry_first(world, fs)

    return act


def retry(world: World) -> Act:
    failed(world)
    return actors.retry_first


def retry_again(world: World) -> Act:
    """The task was retried, and its next attempt failed, too."""
    failed(world)
    actors.retry_first(world, world.fs())
    runner = world.runner()
    held = runner.take()
    assert held is not None
    runner.start(held)
    runner.host.end((held.entry.id, held.entry.attempt), 3)
    runner.report(held)
    return actors.retry_first


def retry_cancelled(world: World) -> Act:
    cancel(world)(world, world.fs())
    return actors.retry_first


def redo(world: World) -> Act:
    failed(world)
    return actors.redo_first


def redo_again(world: World) -> Act:
    failed(world)
    actors.redo_first(world, world.fs())
    return actors.redo_first


def lose(world: World) -> Act:
    claimed(world)
    world.all_runners_die()
    return actors.lose_first


def lose_undurable_claim(world: World) -> Act:
    """The node died before it had made its claim durable."""
    submitted(world)

    def act(world: World, fs: Fs) -> None:
        world.runner().take()
        world.all_runners_die()
        actors.lose_first(world, fs)

    return act


def lose_requeue(world: World) -> Act:
    claimed(world)
    world.all_runners_die()
    return lambda world, fs: actors.lose_first(world, fs, requeued="recover")


def change(world: World) -> Act:
    submitted(world)
    return actors.change_first


def change_again(world: World) -> Act:
    submitted(world)
    actors.change_first(world, world.fs())
    return actors.change_first


def change_what_it_waits_for(world: World) -> Act:
    """A task that waits for one is to wait for another."""
    submitted(world, count=2)
    down = actors.submit_after(world, world.fs())
    other = sorted(world.truth.acknowledged)[1]
    return lambda world, fs: actors.change_upstream(world, fs, down.id, other)


def change_to_wait(world: World) -> Act:
    """A task that may start is to wait for another."""
    submitted(world, count=2)
    other, down = sorted(world.truth.acknowledged)
    return lambda world, fs: actors.change_upstream(world, fs, down, other)


def change_to_wait_no_more(world: World) -> Act:
    submitted(world)
    down = actors.submit_after(world, world.fs())
    return lambda world, fs: actors.change_upstream(world, fs, down.id, "")


def finish_change(world: World) -> Act:
    """Somebody died once the change was decided."""
    submitted(world)
    world.p = replace(world.p, change=actors.REAL.change)
    at = operations_until(world, actors.change_first, "rename", "/claimed/_edit")
    _die(world, actors.change_first, Fault(at, Kind.DIE_AFTER))
    return actors.finish_changes


def hold(world: World) -> Act:
    submitted(world)
    return lambda world, fs: actors.move_first(world, fs, world.lease.inbox(ANY), world.lease.held(ANY))


def release(world: World) -> Act:
    submitted(world)
    actors.move_first(world, world.fs(), world.lease.inbox(ANY), world.lease.held(ANY))
    return lambda world, fs: actors.move_first(world, fs, world.lease.held(ANY), world.lease.inbox(ANY))


def _next_runner(world: World) -> Act:
    world.all_runners_die()
    runner = world.runner()

    def act(world: World, fs: Fs) -> None:
        runner.fs = fs
        runner.recover()

    return act


def next_runner_finds_ended(world: World) -> Act:
    ended(world, code=1, retries=1)
    return _next_runner(world)


def next_runner_finds_running(world: World) -> Act:
    runner = claimed(world)
    runner.start(runner.held[0])
    return _next_runner(world)


def next_runner_finds_unstarted(world: World) -> Act:
    claimed(world)
    return _next_runner(world)


def next_runner_finds_decided(world: World) -> Act:
    """Its predecessor died after the link that decides, before the sync."""
    runner = ended(world)
    _die(world, report(runner), Fault(4, Kind.DIE_BEFORE))
    return _next_runner(world)


def book(world: World) -> Act:
    submitted(world, count=2)
    actors.cancel_first(world, world.fs())
    actors.cancel_first(world, world.fs())
    runner = world.runner()

    def act(world: World, fs: Fs) -> None:
        runner.fs = fs
        runner.book()

    return act


# -- tasks that come after others ----------------------------------------------------------------------


def first_id(world: World) -> str:
    return min(world.truth.acknowledged)


def with_dependents(world: World, *, all_kinds: bool = False) -> None:
    """One comes after the first task if that ends well, and another after this one, however it ends."""
    up = first_id(world)
    down = actors.submit_after(world, world.fs(), up)
    actors.submit_after(world, world.fs(), down.id, kind="any")
    if all_kinds:
        actors.submit_after(world, world.fs(), down.id)
        actors.submit_after(world, world.fs(), up, kind="notok")


def ended_with_dependents(world: World, code: int = 0, *, all_kinds: bool = False, **fields: Any) -> Runner:
    runner = ended(world, code, **fields)
    with_dependents(world, all_kinds=all_kinds)
    return runner


def publish_after(world: World) -> Act:
    submitted(world)
    return actors.submit_after


def publish_after_one_that_ended(world: World) -> Act:
    runner = ended(world)
    runner.report(runner.held[0])
    return actors.submit_after


def publish_after_one_that_failed(world: World) -> Act:
    failed(world)
    return actors.submit_after


def publish_after_two(world: World) -> Act:
    runner = ended(world)
    runner.report(runner.held[0])
    submitted(world)
    return lambda world, fs: actors.submit_after(world, fs, *sorted(world.truth.acknowledged)[:2])


def finish_frees(world: World) -> Act:
    return report(ended_with_dependents(world))


def finish_cascades(world: World) -> Act:
    return report(ended_with_dependents(world, code=3))


def finish_cascades_far(world: World) -> Act:
    return report(ended_with_dependents(world, code=3, all_kinds=True))


def finish_holds(world: World) -> Act:
    runner = ended(world, code=3)
    actors.submit_after(world, world.fs(), on_dep="hold")
    return report(runner)


def finish_retry_with_dependents(world: World) -> Act:
    return report(ended_with_dependents(world, code=3, retries=1))


def finish_lost_with_dependents(world: World) -> Act:
    runner = claimed(world)
    with_dependents(world)
    return report(runner, lost=True)


def cancel_with_dependents(world: World) -> Act:
    submitted(world)
    with_dependents(world)
    return actors.cancel_first


def cancel_one_that_waits(world: World) -> Act:
    submitted(world)
    with_dependents(world)
    return lambda world, fs: actors.cancel_first(world, fs, ("waiting",))


def _decided_and_not_followed(world: World, code: int) -> None:
    """Its runner died once the outcome was durable."""
    runner = ended_with_dependents(world, code)
    task = world.p.read_task(world.fs(), runner.held[0].path(world.lease), runner.held[0].entry)
    key = runner.held[0].entry.id, 1
    world.truth.stands[key] = world.p.decide_all(world.fs(), world.lease, [runner._outcome(task, key, lost=False)])[0]
    world.all_runners_die()


def look_frees(world: World) -> Act:
    _decided_and_not_followed(world, 0)
    return actors.look


def look_cascades(world: World) -> Act:
    _decided_and_not_followed(world, 3)
    return actors.look


def finish_cut(world: World) -> Act:
    """Somebody who cancelled a task because of another died before he had decided it."""
    _decided_and_not_followed(world, 3)
    _die(world, actors.look, Fault(1, Kind.DIE_BEFORE, operation="sync_dir", place="/claimed/_cli"))
    return actors.finish_cancellations


def retry_revives(world: World) -> Act:
    runner = ended_with_dependents(world, code=3)
    runner.report(runner.held[0])
    return actors.retry_first


def release_one_that_waits(world: World) -> Act:
    _decided_and_not_followed(world, 0)
    fs, lease = world.fs(), world.lease
    name = min(fs.names(lease.waiting(ANY)))
    world.p.move_pending(fs, lease.waiting(ANY), name, lease.held(ANY))

    def act(world: World, fs: Fs) -> bool:
        if name in fs.names(lease.held(ANY)):
            return dependents.back_in_line(fs, lease, lease.held(ANY), name, now=actors.NOW)
        return True

    return act


def replace_file(world: World) -> Act:
    path = f"{world.lease.root}/lease.json"
    old, new = b"the old content", b"the new content, longer"
    world.p.replace_file(world.fs(), path, old)

    def act(world: World, fs: Fs) -> None:
        world.truth.contents[path] = (old, new)
        world.p.replace_file(fs, path, new)
        world.truth.contents[path] = (new,)

    return act


def ask(world: World) -> Act:
    """A request is in the node's control directory, once."""

    def act(world: World, fs: Fs) -> None:
        requests.ask(fs, world.lease, "n1", "cancel", {"id": "T1"})
        for name in world.fs().names(world.lease.control("n1")):
            requests.read_request(world.fs(), f"{world.lease.control('n1')}/{name}")

    return act


def beat(world: World) -> Act:
    def heartbeat(counter: int) -> Heartbeat:
        return Heartbeat("1", "n1", "0000000000", counter, 1.0, 2.0)

    path = world.lease.heartbeat("n1")
    terms.beat(world.fs(), world.lease, heartbeat(1))

    def act(world: World, fs: Fs) -> None:
        world.truth.contents[path] = (heartbeat(1).to_json(), heartbeat(2).to_json())
        terms.beat(fs, world.lease, heartbeat(2))
        world.truth.contents[path] = (heartbeat(2).to_json(),)

    return act


SCENES = {
    build.__name__: Scene(build.__name__, build)
    for build in (
        publish,
        publish_batch,
        publish_once,
        publish_once_again,
        claim_and_start,
        finish_done,
        finish_retry,
        finish_lost,
        finish_lost_requeue,
        cancel,
        finish_cancelled,
        unclaim,
        recover_lost,
        retry,
        retry_again,
        retry_undurable,
        retry_cancelled,
        redo,
        redo_again,
        lose,
        lose_undurable_claim,
        lose_requeue,
        change,
        change_again,
        finish_change,
        change_what_it_waits_for,
        change_to_wait,
        change_to_wait_no_more,
        hold,
        release,
        next_runner_finds_ended,
        next_runner_finds_running,
        next_runner_finds_unstarted,
        next_runner_finds_decided,
        book,
        publish_after,
        publish_after_one_that_ended,
        publish_after_one_that_failed,
        publish_after_two,
        finish_frees,
        finish_cascades,
        finish_cascades_far,
        finish_holds,
        finish_retry_with_dependents,
        finish_lost_with_dependents,
        cancel_with_dependents,
        cancel_one_that_waits,
        look_frees,
        look_cascades,
        finish_cut,
        retry_revives,
        release_one_that_waits,
        replace_file,
        ask,
        beat,
    )
}


SECOND = LeaseDir("2", "/home/runs/2")
"""The lease to which tasks move."""
LONG = {"finish_cascades", "finish_cascades_far", "cancel_with_dependents", "look_cascades", "finish_cut"}
"""What takes so many steps that faults of its recovery, too, are tried only if there are minutes for it."""
NOT_DURABLE = {"beat"}
"""A heartbeat is worth nothing after a loss of power, and is not synced."""


# -- the sweeps --------------------------------------------------------------------------------------


def _stage(p: Protocol, scene: Scene) -> tuple[World, Act]:
    NAMES.begin()
    world = World(p)
    act = scene.build(world)
    world.disk.sync_all()
    return world, act


def operations(p: Protocol, scene: Scene) -> list[str]:
    """The operations of the act when nothing fails; afterwards all is as it must be."""
    world, act = _stage(p, scene)
    fs = FaultFs(world.fs())
    with named(f"{scene.name}, nothing fails"):
        act(world, fs)
        check_always(world)
        check_ended(world)
    return [call[0] for call in fs.calls]


def deaths(p: Protocol, scene: Scene) -> Iterator[str]:
    """The actor dies at each operation; the next actors do the rest."""
    followed = Followed()
    for fault in _faults(p, scene, DEATHS):
        case = f"{scene.name}, {fault}"
        with named(case):
            world, act = _stage(p, scene)
            _die(world, act, fault)
            if followed.is_new(world.disk, world.known()):
                check_always(world)
                check_ended(world)
        yield case


def double_deaths(p: Protocol, scene: Scene) -> Iterator[str]:
    """The actor dies, and the next one dies at each operation of its recovery."""
    followed = Followed()
    for fault in _faults(p, scene, (Kind.DIE_BEFORE,), only_changes=True):
        at = 0
        struck = True
        while struck:
            at += 1
            case = f"{scene.name}, {fault}, then recovery dies at change {at}"
            with named(case):
                world, act = _stage(p, scene)
                _die(world, act, fault)
                world.all_runners_die()
                struck = _die(world, _recover_all, Fault(at, Kind.DIE_BEFORE, only_changes=True))
                if followed.is_new(world.disk, world.known()):
                    check_always(world)
                    check_ended(world)
            yield case


def repeats(p: Protocol, scene: Scene) -> Iterator[str]:
    """The actor dies at each operation, and another does the same again."""
    followed = Followed()
    for fault in _faults(p, scene, (Kind.DIE_BEFORE,)):
        case = f"{scene.name}, {fault}, then again"
        with named(case):
            world, act = _stage(p, scene)
            _die(world, act, fault)
            act(world, world.fs())
            if followed.is_new(world.disk, world.known()):
                check_always(world)
                check_ended(world)
        yield case


def lost_replies(p: Protocol, scene: Scene) -> Iterator[str]:
    """Each change is carried out and reported as failed, as a replaying NFS client does: the act succeeds."""
    followed = Followed()
    for fault in _faults(p, scene, (Kind.LOST_REPLY,)):
        case = f"{scene.name}, {fault}"
        with named(case):
            world, act = _stage(p, scene)
            try:
                told = act(world, FaultFs(world.fs(), fault))
            except OSError as error:
                raise Violated(f"the act was done and raised {error!r}") from error
            if told is False:
                raise Violated("the act was done, and its user is told that it was not")
            if followed.is_new(world.disk, world.known(), world.known_to_runners()):
                check_always(world)
                check_claims_known(world)
                check_ended(world)
        yield case


def failures(p: Protocol, scene: Scene) -> Iterator[str]:
    """Each operation reports an error, done or not: the act may raise OSError, and can be repeated to its end."""
    followed, after_a_failure = Followed(), Followed()
    for error in FAILURES:
        kinds = (Kind.FAILS, Kind.LOST_REPLY) if error in SOFT_MOUNT else (Kind.FAILS,)
        for fault in _faults(p, scene, kinds, error=error):
            case = f"{scene.name}, {fault}"
            with named(case):
                world, act = _stage(p, scene)
                try:
                    act(world, FaultFs(world.fs(), fault))
                except OSError:
                    if after_a_failure.is_new(world.disk, world.known()):
                        check_always(world)
                    act(world, world.fs())
                if followed.is_new(world.disk, world.known()):
                    check_always(world)
                    check_ended(world)
            yield case


def power_losses(p: Protocol, scene: Scene) -> Iterator[str]:
    """The power fails at each operation, and what was not synced is lost, kept, or torn, in every mixture."""
    followed = Followed()
    for fault in [*_faults(p, scene, (Kind.DIE_BEFORE,)), Fault(0, Kind.DIE_BEFORE)]:
        world, act = _stage(p, scene)
        _die(world, act, fault)
        yield from _every_loss(world, f"{scene.name}, {fault}", followed)


def recovery_power_losses(p: Protocol, scene: Scene) -> Iterator[str]:
    """The actor dies, the next one recovers, and the power fails at each of its operations."""
    followed = Followed()
    for fault in _faults(p, scene, (Kind.DIE_BEFORE,), only_changes=True):
        at, struck = 0, True
        while struck:
            at += 1
            world, act = _stage(p, scene)
            _die(world, act, fault)
            world.all_runners_die()
            struck = _die(world, _recover_all, Fault(at, Kind.DIE_BEFORE, only_changes=True))
            yield from _every_loss(world, f"{scene.name}, {fault}, then at change {at} of recovery", followed)


def new_leases(p: Protocol) -> Iterator[str]:
    """A lease is made, and its maker dies at each operation, or the power fails once its first task is acknowledged."""
    at, struck = 0, True
    while struck:
        at += 1
        case = f"new lease, its maker dies at operation {at}"
        with named(case):
            world = _world_of_new_lease(p)
            struck = _die(world, _make_lease, Fault(at, Kind.DIE_BEFORE))
            _make_lease(world, world.fs())
            check_always(world)
            check_ended(world)
        yield case
    world = _world_of_new_lease(p)
    _make_lease(world, world.fs())
    yield from _every_loss(world, "new lease", Followed())


def _world_of_new_lease(p: Protocol) -> World:
    world = World(p)
    world.lease = SECOND
    return world


def _make_lease(world: World, fs: Fs) -> None:
    world.p.prepare(fs, world.lease)
    for node in world.hosts:
        world.p.prepare_node(fs, world.lease, node)
    actors.submit(world, fs)


def strangers(p: Protocol) -> Iterator[str]:
    """A runner of another lease, whose job had the number of this one, comes to its directory under every fault."""
    for kind in Kind:
        at, struck = 0, True
        while struck:
            at += 1
            case = f"a runner of another lease comes, fault {kind.name} at operation {at}"
            with named(case):
                world = _world_with_token(p)
                fs = FaultFs(world.fs(), Fault(at, kind))
                try:
                    _serve(world, fs, "bbbbbbbbbb")
                except (Refused, Died, OSError):
                    pass
                struck = len(fs.calls) >= at
                if len(world.fs().names(world.lease.inbox(ANY))) != 1:
                    raise Violated("it took a task of a lease that is not its own")
                _serve(world, world.fs(), "aaaaaaaaaa")
                if world.fs().names(world.lease.inbox(ANY)):
                    raise Violated("the lease's own runner took nothing")
            yield case


def _world_with_token(p: Protocol) -> World:
    world = World(p)
    record = Lease(world.lease.id, "slurm", 1.0, token="aaaaaaaaaa")
    files.replace_file(world.fs(), world.lease.record, record.to_json())
    actors.submit(world, world.fs())
    world.disk.sync_all()
    return world


def _serve(world: World, fs: Fs, token: str) -> None:
    """A runner with that token has begun, and has claimed what there is; raises Refused."""
    world.p.read_own_lease(fs, world.lease, token)
    world.p.prepare_node(fs, world.lease, "n1")
    source = world.lease.inbox(ANY)
    for name in fs.names(source):
        world.p.claim(fs, world.lease, source, Entry.parse(name), node="n1", incarnation=token)


def keyed_moves(p: Protocol) -> Iterator[str]:
    """A task with a key moves to another lease, and its mover dies, fails or loses the power at each operation."""
    at, struck = 0, True
    while struck:
        at += 1
        case = f"a task with a key moves, its mover dies at operation {at}"
        with named(case):
            world, mover = _keyed(p)
            struck = _die(world, mover, Fault(at, Kind.DIE_BEFORE))
            for number, left in enumerate([*world.disk.losses(), world.disk]):
                _check_keyed(p, MemoryFs(left), f"mixture {number}", moved=not struck)
        yield case
    world, mover = _keyed(p)
    fs = FaultFs(world.fs())
    mover(world, fs)
    for at, (operation, *_) in enumerate(fs.calls, 1):
        case = f"a task with a key moves, and operation {at} is done and reported as failed"
        with named(case):
            world, mover = _keyed(p)
            if Kind.LOST_REPLY.applies_to(operation):
                mover(world, FaultFs(world.fs(), Fault(at, Kind.LOST_REPLY)))
                _check_keyed(p, world.fs(), "moved", moved=True)
        yield case


def _keyed(p: Protocol) -> tuple[World, Act]:
    world = World(p)
    records.prepare(world.fs(), SECOND)
    actors.submit_with_key(world, world.fs(), "digest")
    world.disk.sync_all()

    def move(world: World, fs: Fs) -> None:
        source, target = world.lease.inbox(ANY), SECOND.inbox(ANY)
        (name,) = fs.names(source) or fs.names(target)
        given = world.p.move_with_key(fs, SECOND, "digest", source, name, target)
        if given != Entry.parse(name).id:
            raise Violated(f"the task moved, and its mover was told {given!r}")

    return world, move


def _check_keyed(p: Protocol, fs: Fs, what: str, *, moved: bool) -> None:
    """The task is in one of the leases, and a submission with its key to that lease gets it."""
    first = LeaseDir("1", "/home/runs/1")
    here, there = fs.names(first.inbox(ANY)), fs.names(SECOND.inbox(ANY))
    if len(here) + len(there) != 1:
        raise Violated(f"{what}: it is {len(here)} times in the one lease, {len(there)} times in the other")
    if moved and here:
        raise Violated(f"{what}: it was told to have moved, and has not")
    task_id = Entry.parse(*here, *there).id
    for lease in (first, SECOND) if there else (first,):
        task = Task(id="Tzzzzzzzzzzz", argv=("true",), cwd="/", submitted=2.0, key="digest")
        entry = Entry(order(priority=0, micros=9, sequence=0), task.id, Need(), 1)
        if (given := p.publish_once(fs, lease, "digest", lease.inbox(ANY), entry, task)) != task_id:
            raise Violated(f"{what}: the key stands for {given} in lease {lease.id}")


def _every_loss(world: World, before: str, followed: Followed) -> Iterator[str]:
    for number, left in enumerate(world.disk.losses()):
        case = f"{before}, power lost, mixture {number}"
        with named(case):
            after = world.after_power_loss(left)
            if followed.is_new(after.disk, after.known()):
                check_always(after)
                check_ended(after)
        yield case


def operations_until(world: World, act: Act, operation: str, place: str) -> int:
    """The number of the act's first call of that operation with a path that holds the place, by a world like this."""
    other = World(world.p)
    submitted(other)
    fs = FaultFs(other.fs())
    act(other, fs)
    return next(n for n, call in enumerate(fs.calls, 1) if call[0] == operation and any(place in p for p in call[1:]))


def _recover_all(world: World, fs: Fs) -> None:
    actors.finish_changes(world, fs)
    actors.finish_cancellations(world, fs)
    actors.look(world, fs)
    for node in world.hosts:
        runner = world.runner(node, fs)
        runner.recover()
        runner.book()


def _faults(
    p: Protocol, scene: Scene, kinds: tuple[Kind, ...], *, only_changes: bool = False, error: int = 0
) -> list[Fault]:
    return [
        Fault(at, kind, error)
        for at, operation in enumerate(operations(p, scene), 1)
        for kind in kinds
        if kind.applies_to(operation) and (not only_changes or operation in SYNCED_CHANGES)
    ]


def _die(world: World, act: Act, fault: Fault) -> bool:
    """True if the act died by the fault; False if it came to its end before."""
    try:
        act(world, FaultFs(world.fs(), fault))
    except Died:
        return True
    return False
