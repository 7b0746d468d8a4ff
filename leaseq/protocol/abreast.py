"""Work that mostly waits for the disk, done by several threads: syncs beside one another share a journal's commits."""

from __future__ import annotations

import threading
from collections.abc import Callable


def abreast(count: int, work: Callable[[int], None], *, threads: int) -> None:
    """The work was done for each number below the count, begun in their order; 0 threads: by the caller's alone.

    After a failure no other is begun, and the first failure is raised once those that were begun have ended.
    """
    numbers = iter(range(count))
    lock = threading.Lock()
    failures: list[Exception] = []

    def some() -> None:
        while not failures:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                work(number)
            except Exception as error:
                failures.append(error)

    helpers = [threading.Thread(target=some) for _ in range(min(threads, count - 1))]
    try:
        for helper in helpers:
            helper.start()
    except RuntimeError:
        pass  # at the limit of processes: with those threads that there are
    some()
    for helper in helpers:
        if helper.ident is not None:
            helper.join()
    if failures:
        raise failures[0]
