"""`leaseq.Executor`: calls and commands become tasks, and tasks futures, as `concurrent.futures` knows them."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from leaseq.api import home
from leaseq.api.calls import queue_call
from leaseq.api.futures import Future
from leaseq.api.mapped import Results
from leaseq.api.options import Asked, Options, asked
from leaseq.api.queueing import lease_of, queued
from leaseq.api.submitting import Command, words_of
from leaseq.api.watcher import watcher
from leaseq.errors import LeaseqError
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.models import Outcome
from leaseq.names import new_task_id
from leaseq.room import Room, how_many
from leaseq.words import count

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Unpack

    P = ParamSpec("P")
T = TypeVar("T")
IDS_MAX = 20
"""So many ids are printed."""
INDICES_MIN, INDICES_MAX = 100, 1000
"""A `map` has so many indices at most, and no fewer if it has the calls: each starts a Python, which takes time."""
SLOTS_OVER = 4
"""So many indices it has for each that can run at once: the last ones are to end at about the same time."""


class _Shared:
    """What an executor and those of it with other options have in common."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.shut = False
        self.futures: set[Future[Any]] = set()
        """Those that have not ended: they are waited for, even if the program does not keep them."""
        self.maps: list[Results[Any]] = []

    def begin(self, future: Future[Any]) -> None:
        """The future is heard of, and waited for: its task is about to be queued."""
        with self.lock:
            self.futures.add(future)
        watcher().watch(future)
        future.add_done_callback(self._end)

    def _end(self, future: concurrent.futures.Future[Any]) -> None:
        with self.lock:
            self.futures.discard(cast("Future[Any]", future))

    def take_back(self, future: Future[Any]) -> None:
        """Its task was not queued."""
        watcher().forget(future)
        self._end(future)

    def left(self) -> list[Future[Any] | Results[Any]]:
        """What has not ended."""
        with self.lock:
            return [*self.futures, *(each for each in self.maps if not each.done())]


class Executor(concurrent.futures.Executor):
    """Tasks of a lease, as futures. The options are those of `leaseq submit`; see `Options`.

    Leaving its `with` waits for its tasks. If that is by Ctrl-C they go on, and their ids are printed.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        asked(options)  # what is wrong is said here, and not at the first call
        self._options = options
        self._shared = _Shared()

    def options(self, **options: Unpack[Options]) -> Executor:
        """The same executor, for calls of which that is said besides: `ex.options(gpus=2).submit(train)`."""
        other = Executor(**cast("Options", {**self._options, **options}))
        other._shared = self._shared
        return other

    # -- tasks -----------------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """A task that calls the function, queued, durably; raises LeaseqError if it is not."""
        self._refuse_if_shut()
        made: list[Future[T]] = []

        def told(lease: str, task_id: str) -> None:
            made.append(Future(task_id, lease))
            self._shared.begin(made[0])

        try:
            queue_call(asked(self._options), fn, [[(args, kwargs)]], mapped=False, told=told)
        except BaseException:
            for each in made:
                self._shared.take_back(each)
            raise
        return made[0]

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
    ) -> Results[T]:
        """One array that makes all the calls; what they give, in order. The iterables are read to their ends first.

        chunksize: how many calls an index makes, one after the other in one process. If it is not said, one for up to
        100 calls, and else as many as make 4 indices for each that can run at once, but 100 to 1,000.
        """
        if chunksize is not None and chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        self._refuse_if_shut()
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [(args, {}) for args in zip(*iterables, strict=False)]
        if not calls:
            return Results("", "", Indices(), timeout=timeout)
        said = asked(self._options)
        size = chunksize or chunk_size(len(calls), said)
        blocks = [calls[at : at + size] for at in range(0, len(calls), size)]
        indices = Indices.parse(f"0-{len(blocks) - 1}")
        made: list[Results[T]] = []

        def told(lease: str, task_id: str) -> None:
            made.append(Results(task_id, lease, indices, timeout=timeout))
            made[0].watch()

        try:
            queue_call(said, fn, blocks, mapped=True, told=told)
        except BaseException:
            for each in made:
                each.close()
            raise
        with self._shared.lock:
            self._shared.maps.append(made[0])
        return made[0]

    def command(self, command: Command, **options: Unpack[Options]) -> Future[Outcome]:
        """A task that runs the command, words or a line for bash; its result is its outcome."""
        self._refuse_if_shut()
        said = asked(cast("Options", {**self._options, **options}))
        words = words_of(command)
        lease = lease_of(said)
        future: Future[Outcome] = Future(new_task_id(), lease.id)
        self._shared.begin(future)
        try:
            queued(said, lease, [words], ids=[future.id])
        except BaseException:
            self._shared.take_back(future)
            raise
        return future

    def _refuse_if_shut(self) -> None:
        if self._shared.shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

    # -- its end ---------------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing more is queued by it, and with `wait` all of it has ended; tasks never end by it.

        cancel_futures: what has not started does not.
        """
        self._shared.shut = True
        for each in self._shared.left() if cancel_futures else ():
            try:
                each.cancel()
            except LeaseqError:
                continue  # it has ended meanwhile, or is gone: there is nothing to cancel
        if wait:
            try:
                self._wait()
            except KeyboardInterrupt:
                self._tell_of_those_left()
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._tell_of_those_left()
            self.shutdown(wait=False)
        else:
            self.shutdown(wait=True)
        return None

    def _wait(self) -> None:
        left = self._shared.left()
        concurrent.futures.wait([each for each in left if isinstance(each, Future)])
        for each in left:
            if isinstance(each, Results):
                each.wait()

    def _tell_of_those_left(self) -> None:
        ids = [each.id for each in self._shared.left()]
        if ids:
            shown = " ".join(ids[:IDS_MAX]) + (" ..." if len(ids) > IDS_MAX else "")
            print(f"leaseq: {count(len(ids), 'task goes on', 'tasks go on')}: {shown}", file=sys.stderr, flush=True)


def chunk_size(number: int, said: Asked) -> int:
    """How many of so many calls an index makes, by the room that the lease's nodes have now."""
    if number <= INDICES_MIN:
        return 1
    return -(-number // min(INDICES_MAX, max(INDICES_MIN, SLOTS_OVER * slots(said, lease_of(said)))))


def slots(said: Asked, lease: LeaseDir) -> int:
    """How many such tasks the lease's nodes can run at once, by the room that they have said; 0 if none is heard."""
    nodes = home.access().reader_of(lease).read(recent=0, pending=0).nodes
    rooms = [Room(beat.cpus, beat.mem_mb, beat.gpus) for view in nodes if (beat := view.heartbeat)]
    return sum(how_many(said.like.need, room) for room in rooms)
