"""joblib's backend `leaseq`, which `leaseq.register_joblib` registers: batches of calls are tasks of a lease."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as Ended
from typing import Any, cast

from joblib._parallel_backends import (
    AutoBatchingMixin,
    LokyBackend,
    ParallelBackendBase,
    SequentialBackend,
)

from leaseq.api import home
from leaseq.api.calls import name_of, table_name
from leaseq.api.executor import Executor, slots
from leaseq.api.futures import Future
from leaseq.api.options import Options, asked
from leaseq.api.queueing import lease_of
from leaseq.errors import LeaseqError
from leaseq.lease import leases
from leaseq.reading.waiting import POLL_SECONDS

SLOTS_UNKNOWN = 100
"""So many calls may run at once on a lease of which no node has been heard."""
FIRST_BEAT_SECONDS_MAX = 10.0
Callback = Callable[[Any], None]


class LeaseqBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Batches of calls as tasks. n_jobs: so many at once; -1: as many as have room on the lease's nodes now."""

    default_n_jobs = -1
    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    MIN_IDEAL_BATCH_DURATION = 5.0
    """A task starts a Python, which takes a part of a second, and its imports take longer."""
    MAX_IDEAL_BATCH_DURATION = 60.0

    def __init__(
        self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, **options: Any
    ) -> None:
        super().__init__(nesting_level=nesting_level or 0, inner_max_num_threads=inner_max_num_threads)
        self._cpus = asked(cast("Options", options)).like.need.cpus
        if threads := inner_max_num_threads or self._cpus:
            limits = dict.fromkeys(self.MAX_NUM_THREADS_VARS, str(threads))
            options["env"] = {**limits, **options.get("env", {})}
        self._options = cast("Options", options)
        self._lock = threading.Lock()
        self._most, self._begun = 0, 0
        """So many are queued or run at once (0: as many as the lease has room for), and so many are now."""
        self._aborted = False
        self._running: set[Future[Any]] = set()
        self._waiting: deque[tuple[Callable[[], Any], Callback]] = deque()
        """Batches that are not queued yet: as many run as may."""

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """So many calls can run at once. It is 1 only if that is asked for: then joblib makes them in this process."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None or n_jobs > 0:
            return n_jobs or 1
        return max(2, self._slots() + 1 + n_jobs)

    def _slots(self) -> int:
        access, said = home.access(), asked(self._options)
        lease = lease_of(said)
        found = slots(said, lease)
        if not found and said.start and leases.is_own(lease.id):
            access.host().start()  # the first task would do it; what room there is its runner says with its first beat
            deadline = access.clock.monotonic() + FIRST_BEAT_SECONDS_MAX
            while not (found := slots(said, lease)) and access.clock.monotonic() < deadline:
                access.pause(POLL_SECONDS)
        return found or SLOTS_UNKNOWN

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """A call of joblib.Parallel begins; how many of its calls run at once."""
        self.parallel = parallel
        self._most, self._aborted = max(0, n_jobs), False
        return self.effective_n_jobs(n_jobs)

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """What joblib.Parallel does within a task: it has the CPUs that the task has."""
        level = self.nesting_level + 1
        if self._cpus == 1:
            return SequentialBackend(nesting_level=level), None
        return LokyBackend(nesting_level=level), self._cpus or -1

    def submit(self, func: Any, callback: Callback) -> None:
        """The batch is queued, or will be; the callback hears of its future once that has ended."""
        with self._lock:
            self._waiting.append((func, callback))
        self._queue()

    apply_async = submit
    """What joblib before 1.5 calls it."""

    def _queue(self) -> None:
        """As many batches are queued as may run. One that cannot be has ended, and says why."""
        while (batch := self._next()) is not None:
            func, callback = batch
            try:
                future = self._executor_of(func).submit(func)
            except Exception as error:  # in a callback's thread nobody would hear of it, and joblib would wait for ever
                refused: Ended[Any] = Ended()
                refused.set_exception(error)
                refused.add_done_callback(self._ended)
                callback(refused)
                continue
            with self._lock:
                self._running.add(future)
                aborted = self._aborted
            future.add_done_callback(self._ended)
            future.add_done_callback(callback)
            if aborted:
                _kill(future)

    def _next(self) -> tuple[Callable[[], Any], Callback] | None:
        with self._lock:
            if not self._waiting or (self._most and self._begun >= self._most):
                return None
            self._begun += 1
            return self._waiting.popleft()

    def _executor_of(self, batch: Any) -> Executor:
        """The executor of a batch, whose task is called as its first call is."""
        name = table_name(name_of(batch.items[0][0]))
        return Executor(**cast("Options", {"name": name, **self._options}))

    def _ended(self, future: Any) -> None:
        with self._lock:
            self._running.discard(future)
            self._begun -= 1
        self._queue()

    def retrieve_result_callback(self, out: Ended[Any]) -> Any:
        """What the calls of a batch gave; raises what one of them has raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """One call has raised, or the program is interrupted: no other begins, and those that run are ended."""
        with self._lock:
            self._aborted = True
            self._waiting.clear()
            running = list(self._running)
        for each in running:
            _kill(each)

    def terminate(self) -> None:
        """The call of joblib.Parallel has ended."""
        self.reset_batch_stats()


def _kill(future: Future[Any]) -> None:
    try:
        future.kill()
    except LeaseqError:
        pass  # it has ended meanwhile, or is gone: there is nothing to end
