"""Who acts next: one at a time, virtual time, and the same order again for the same seed.

Every actor is a greenlet, and one runs at a time. It gives way in `pause` alone, and the actor due next goes on: so
they interleave at each operation that pauses, and time passes only between them. A process is a group of actors that
die together. What is due at a time and needs no actor is a callback (`at`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from greenlet import getcurrent, greenlet

from tests.faults import Died


class Process:
    """Actors that live and die together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.actors: list[Actor] = []
        self.at_death: list[Callable[[], None]] = []


class Actor:
    """What runs in a process, as a thread does."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.body = getcurrent()
        """What runs; of the actor that began the history, what has called it."""
        self.turn = 0
        """Counts the times it was made due: an older entry of the heap counts no more."""
        process.actors.append(self)


Due = tuple[float, int, "Actor | None", int, "Callable[[], None] | None"]
"""When; a number, for those of one time; the actor and its turn, or a callback."""


class Scheduler:
    """Virtual time, and the order of everything that happens in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.failures: list[tuple[str, BaseException]] = []
        """What ended an actor, other than its death."""
        self._main = Actor(Process("main"), "main")
        self._current = self._main
        self._heap: list[Due] = []
        self._numbers = itertools.count()
        self._bodies: list[greenlet] = []

    @property
    def current(self) -> str:
        """The name of the actor that runs."""
        return self._current.name

    def spawn(self, process: Process, name: str, work: Callable[[], None]) -> Actor:
        """Another actor of the process is due now."""
        actor = Actor(process, name)

        def run(_: object = None) -> None:  # given what another returned that ended just before
            try:
                if not process.dead:
                    work()
            except Died:
                pass
            except BaseException as error:
                self.failures.append((name, error))
            finally:
                process.actors.remove(actor)
                self._current = self._next()
                actor.body.parent = self._current.body  # who goes on now that this one has ended

        actor.body = greenlet(run, parent=self._main.body)
        self._bodies.append(actor.body)
        self.wake(actor)
        return actor

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """The callback, which must not pause, is called after so many seconds."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), None, 0, act))

    def wake(self, actor: Actor, seconds: float = 0.0) -> None:
        """The actor goes on after so many seconds, instead of when it was due before."""
        actor.turn += 1
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), actor, actor.turn, None))

    def pause(self, seconds: float) -> None:
        """So many seconds have passed, or somebody woke this actor; raises Died if its process is gone."""
        me = self._current
        me.turn += 1
        mine = (self.now + seconds, next(self._numbers), me, me.turn, None)
        first = heapq.heappushpop(self._heap, mine)
        if first is mine:  # nobody else is due before, as a rule
            self.now = mine[0]
        else:
            due = self._next(first)
            if due is not me:
                self._current = due
                due.body.switch()
        if me.process.dead:
            raise Died

    def kill(self, process: Process) -> None:
        """No actor of the process goes on; the one that runs must raise Died itself."""
        if process.dead:
            return
        process.dead = True
        for actor in process.actors:
            if actor is not self._current:
                self.wake(actor)
        for act in process.at_death:
            act()

    def close(self) -> None:
        """Every actor has ended. Only once all processes were killed."""
        while not all(body.dead for body in self._bodies):
            self.pause(1.0)

    def _next(self, first: Due | None = None) -> Actor:
        """The actor that is due next; callbacks that are due before it have been called. first: what is due first."""
        while True:
            due, _, actor, turn, act = first or heapq.heappop(self._heap)
            first = None
            if actor is not None and turn != actor.turn:
                continue
            self.now = max(self.now, due)
            if actor is not None:
                return actor
            assert act is not None
            act()


class Lock:
    """A lock between actors: `threading.Lock` would stop all of them for ever."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.taken = False

    def __enter__(self) -> None:
        while self.taken:
            self.scheduler.pause(0.001)
        self.taken = True

    def __exit__(self, *_: object) -> None:
        self.taken = False
