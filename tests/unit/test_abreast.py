"""Work done by several threads: all of it, once, and the first failure told."""

from __future__ import annotations

import threading

import pytest

from leaseq.protocol.abreast import abreast


@pytest.mark.parametrize("threads", [0, 1, 7, 40])
def test_each_number_is_worked_on_once(threads: int) -> None:
    done: list[int] = []
    abreast(20, done.append, threads=threads)
    assert sorted(done) == list(range(20))


def test_without_threads_the_caller_does_it_in_order() -> None:
    done: list[tuple[int, int]] = []
    abreast(5, lambda number: done.append((number, threading.get_ident())), threads=0)
    assert done == [(number, threading.get_ident()) for number in range(5)]


def test_nothing_is_no_work() -> None:
    abreast(0, lambda number: pytest.fail("called"), threads=4)


def test_several_wait_at_once() -> None:
    together = threading.Barrier(4, timeout=60)

    def work(number: int) -> None:
        together.wait()

    abreast(4, work, threads=3)


@pytest.mark.parametrize("threads", [0, 3])
def test_after_a_failure_nothing_more_is_begun_and_it_is_raised(threads: int) -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number >= 2:
            raise OSError(28, f"number {number}")

    with pytest.raises(OSError, match="number"):
        abreast(1000, work, threads=threads)
    assert len(begun) <= 3 + 2 * threads
    assert begun[:3] == [0, 1, 2] or threads
