"""What a `map` gives: the calls of an array, in order, each once its index has ended."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from leaseq.api import home
from leaseq.api.errors import TaskFailed
from leaseq.api.results import exception_of, raised, records_of
from leaseq.api.watcher import watcher
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.lease.lookup import Located
from leaseq.models import Outcome
from leaseq.payload import Failure
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView
from leaseq.verbs import cancel as cancelling
from leaseq.verbs.allowed import allow

T = TypeVar("T")


class _Block:
    """An index of the array, which makes several calls."""

    def __init__(self, array: Results[Any], index: int) -> None:
        self.id, self.lease, self.attempt = f"{array.id}_{index}", array.lease, 1
        self._array = array
        self.end: tuple[LeaseDir, Outcome] | None = None

    def done(self) -> bool:
        return self.end is not None or self._array.closed

    def settle(self, reader: Reader, outcome: Outcome) -> None:
        with self._array.news:
            self.end = self.end or (reader.lease, outcome)
            self._array.news.notify_all()


class Results(Iterator[T], Generic[T]):
    """What the calls gave, in their order. It waits for each, and raises what the call has raised.

    Dropping it does not end anything: the array goes on, and `leaseq.results(id)` gives its values again.
    """

    def __init__(self, array_id: str, lease: str, indices: Indices, *, timeout: float | None = None) -> None:
        self.id = array_id
        """The array's."""
        self.lease = lease
        self.closed = False
        self.news = threading.Condition()
        self._until = None if timeout is None else time.monotonic() + timeout
        self._blocks = [_Block(self, index) for index in indices]
        self._values: Iterator[T] = self._each()

    def __repr__(self) -> str:
        ended = sum(block.end is not None for block in self._blocks)
        return f"<leaseq.Results {self.id}: {ended:,} of {len(self._blocks):,} indices have ended>"

    def __next__(self) -> T:
        return next(self._values)

    def _each(self) -> Iterator[Any]:
        for block in self._blocks:
            reader, outcome = self._ended(block)
            for record in records_of(reader, outcome):
                yield raised(record, reader, outcome)

    def _ended(self, block: _Block) -> tuple[Reader, Outcome]:
        with self.news:
            while block.end is None:
                left = None if self._until is None else self._until - time.monotonic()
                if left is not None and left <= 0:
                    raise concurrent.futures.TimeoutError(f"{block.id} has not ended yet")
                self.news.wait(left)
            lease, outcome = block.end
        return home.access().reader_of(lease), outcome

    def records(self) -> Iterator[T | Exception]:
        """The same, but what a call has raised stands in its place, and the others follow."""
        for block in self._blocks:
            reader, outcome = self._ended(block)
            try:
                for record in records_of(reader, outcome):
                    yield exception_of(record, outcome) if isinstance(record, Failure) else record
            except (TaskFailed, concurrent.futures.CancelledError) as error:
                yield error

    def watch(self) -> None:
        """It hears of the ends of its indices."""
        for block in self._blocks:
            watcher().watch(block)

    def done(self) -> bool:
        """True if all of its indices have ended."""
        return all(block.end is not None for block in self._blocks)

    def wait(self) -> None:
        """All of its indices have ended."""
        for block in self._blocks:
            with self.news:
                while block.end is None:
                    self.news.wait()

    def close(self) -> None:
        """Nobody waits for it any more; the array goes on."""
        self.closed = True

    def task(self) -> TaskView:
        """The array as it is now, with its indices counted."""
        return self._located().row

    def cancel(self) -> bool:
        """No index that has not begun does; False if there is none. What runs goes on."""
        return cancelling.cancel_waiting(home.access(), self._located(acts=True))

    def kill(self) -> None:
        """No index begins any more, and those that run are ended."""
        if not self.done():
            cancelling.cancel(home.access(), self._located(acts=True))

    def _located(self, *, acts: bool = False) -> Located:
        if acts:
            allow("cancel")
        (found,) = home.access().find([self.id], lease="", acts=acts).tasks
        return found
