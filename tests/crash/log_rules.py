"""What must be true of the logs of an array's indices, whoever dies, fails or is overruled at whichever operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from leaseq.layout import LeaseDir
from leaseq.models import KEEP_PACKED, State
from leaseq.protocol.facts import Attempts, Ended, Told
from leaseq.protocol.index_logs import STREAMS
from leaseq.protocol.tasks import Claim
from leaseq.reading.indexed import Indexed, Try
from leaseq.reading.views import TaskView
from leaseq.world import Fs
from tests.crash.check import Violated

if TYPE_CHECKING:
    from tests.crash.array_rules import Runner, World


def book(runner: Runner, held: Claim, ended: Sequence[Ended], begun: Mapping[int, Attempts] | None) -> None:
    """The ends are durable, and then only those logs have files of their own that are to have them."""
    kept, packed = runner.p.kept, {}
    if kept == KEEP_PACKED and ended:
        packed = runner.pack.add(ended)
    runner.journal.write(ended=ended, begun=begun, packed=packed)
    if kept and ended:
        runner.pack.told()
        here = packed.get(held.entry.chunk or 0, ())
        runner.p.drop(runner.fs, runner.world.lease, held, kept=kept, ends=ended, packed=here)


def path_of(lease: LeaseDir, array: str, index: int, attempt: int, stream: str) -> str:
    return lease.log(f"{array}_{index}", attempt, stream)


def prepare(fs: Fs, lease: LeaseDir, array: str) -> None:
    """Its logs have a directory."""
    for path in (lease.logs_of(array), lease.log_dir(f"{array}_0")):
        fs.mkdir(path)


def write(world: World, index: int, attempt: int) -> None:
    """The process of that attempt has written all that it will, and its node has pushed that to the server."""
    fs = world.fs()
    for stream in STREAMS:
        data = b"" if stream == "err" and index % 2 else f"{stream} of {index}.{attempt}\nmore".encode()
        path = path_of(world.lease, world.entry.id, index, attempt, stream)
        fs.create(path, data)
        fs.sync_dir(path.rpartition("/")[0])
        world.truth.logs[index, attempt, stream] = data


def check(world: World, told: Told) -> None:
    """Each index that has ended has its log, once, if it is to have one."""
    fs, kept = world.fs(), world.p.kept
    array = Indexed(fs, world.lease, TaskView(world.entry.id, 1, State.PENDING), (Try(1, world.task),))
    for (index, attempt, stream), data in world.truth.logs.items():
        end = told.ended.get(index)
        if end is None or end.attempt != attempt:
            continue
        what = f"the log of {index}, which is {end.state.name},"
        path = path_of(world.lease, world.entry.id, index, attempt, stream)
        own = path.rpartition("/")[2] in fs.names(path.rpartition("/")[0])
        part = array.packed(index).get((attempt, stream))
        goes = end.state is not State.LOST if kept == KEEP_PACKED else end.state is State.DONE
        if own and goes and world.drops:
            raise Violated(f"{what} has a file of its own")
        seen = [fs.read(path)] if own else []
        seen += [fs.read_range(part.path, part.offset, part.length)[0]] if part else []
        if not seen and (kept == KEEP_PACKED or not goes):
            raise Violated(f"{what} is lost")
        for each in seen:
            if each != data:
                raise Violated(f"{what} is {each!r}, and was {data!r}")
