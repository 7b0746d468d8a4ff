"""Those who use the lease from elsewhere: they submit, cancel, hold, recover, settle, and look.

Each command is the verb that the command line calls, on a file system that takes time and fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from random import Random

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import LeaseqError, Malformed, NotFound
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.lease import joined
from leaseq.lease.lookup import Located
from leaseq.limit_names import ALL_GROUPS
from leaseq.models import Array, State, Task
from leaseq.names import ARRAYS, CLI, Entry, new_task_id, order
from leaseq.protocol import arrays, tasks, terms
from leaseq.protocol.edges import EACH, begins_at
from leaseq.protocol.groups import begun_in
from leaseq.protocol.stops import Stop
from leaseq.reading.find import find
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import Snapshot
from leaseq.upstream import Upstream
from leaseq.verbs import upstreams
from leaseq.verbs.access import Access
from leaseq.verbs.arrays import set_throttle
from leaseq.verbs.cancel import cancel, cancel_waiting
from leaseq.verbs.change import Changed, Wish, change, opened, wish
from leaseq.verbs.changes import NONE
from leaseq.verbs.fits import Fits
from leaseq.verbs.group import set_parallel
from leaseq.verbs.hold import hold, release
from leaseq.verbs.lease_shrink import leave
from leaseq.verbs.pause import pause, resume
from leaseq.verbs.recover import recover, recoverable
from leaseq.verbs.retry import retry
from leaseq.verbs.submit import Submitted, Wanted, submit
from leaseq.verbs.upstreams import resolve
from leaseq.world import Clock, Fs
from tests.sim.host import ALONE
from tests.sim.plan import ArrayPlan, Command, TaskPlan
from tests.sim.slurm import HOME
from tests.sim.truth import SimTruth, Throttle

LOOKED_AT = 1000
AGAIN_SECONDS = 2.0
"""After so long a submitter who was refused tries again."""


@dataclass(eq=False)
class User:
    """One process of a user."""

    fs: Fs
    lease: LeaseDir
    clock: Clock
    truth: SimTruth
    chance: Random
    pause: Callable[[float], None]
    seconds: Callable[[], float]
    """How long the history lasts so far."""

    @property
    def access(self) -> Access:
        return Access(self.fs, HOME, self.clock, pause=self.pause)

    def reader(self) -> Reader:
        return Reader(self.lease, self.fs, self.clock)

    # -- submitting --------------------------------------------------------------------------------

    def submit(self, plan: TaskPlan) -> None:
        """The tasks are acknowledged, or the command failed; one with a key, or that was refused, is tried again."""
        while not self._submitted(plan):
            self.pause(AGAIN_SECONDS)

    def _submitted(self, plan: TaskPlan) -> bool:
        """False if it is to be tried again."""
        cpus = ALONE if plan.need.alone else str(1 if plan.need.cpus is None else plan.need.cpus)
        argv = ("work", str(plan.seconds), str(plan.code), plan.manner, cpus)
        now = self.clock.now()
        ups = [begins_at(now + plan.begin, self.lease)] if plan.begin else []
        known = self._known_in_order()
        for kind, back in plan.after:
            ups += [Upstream(kind, known[-1 - back], 1, self.lease.id)] if back < len(known) else []
        try:
            ups += self._of_arrays(plan)
        except OSError:
            return not plan.key
        except LeaseqError as error:
            self.truth.violated(f"what is to come after an array is refused: {error.message}")
            return True
        like = Task(
            "",
            argv,
            "/",
            0.0,
            need=plan.need,
            export="NONE",
            node=plan.node,
            retries=plan.retries,
            on_lost=plan.on_lost,
            requeue=plan.requeue,
            key=plan.key,
            group=plan.group,
            after=tuple(dict.fromkeys(map(str, ups))),
            on_dep=plan.on_dep,
        )
        commands = [(argv, False)] * (1 if plan.key else plan.batch)
        try:
            # Threads are what a simulation cannot repeat.
            done = submit(self.access, self.lease, Wanted(like, commands), threads=0)
        except LeaseqError as error:
            return "could never start" in error.message  # else the lease is taken for ended
        except OSError:
            return not plan.key
        self._acknowledge(plan, like, done)
        return done.failure is None or not plan.key

    def _of_arrays(self, plan: TaskPlan) -> list[Upstream]:
        """What the task is to come after of the arrays that are known."""
        known, said = list(self.truth.arrays), []
        for kind, which, index in plan.after_arrays:
            if known:
                task = self.truth.arrays[known[which % len(known)]]
                assert task.array is not None
                every = Indices.parse(task.array.indices)
                said.append((kind, task.id if index is None else f"{task.id}_{every[index % len(every)]}"))
        return [up for up, _ in resolve(self.access, self.lease, said)]

    def _acknowledge(self, plan: TaskPlan, like: Task, done: Submitted) -> None:
        if not plan.key:
            self.truth.acknowledged.update((task_id, replace(like, id=task_id)) for task_id in done.ids)
            self.truth.limits.groups.update((task_id, plan.group) for task_id in done.ids)
            self.truth.last_told.update((task_id, (like.argv, like.name)) for task_id in done.ids)
            self.truth.in_order += done.ids
        for first in done.ids if plan.key else ():
            if self.truth.keys.setdefault(plan.key, first) != first:
                self.truth.violated(f"the key {plan.key} stood for {self.truth.keys[plan.key]}, and now for {first}")

    def submit_array(self, plan: ArrayPlan) -> None:
        """The array is acknowledged, or the command failed."""
        cpus = ALONE if plan.need.alone else str(1 if plan.need.cpus is None else plan.need.cpus)
        code = "{c}" if plan.codes else str(plan.code)
        argv = ("work", str(plan.seconds), code, plan.manner, cpus)
        now = self.clock.now()
        try:
            ups = self._each_of(plan)
        except (LeaseqError, OSError, Malformed):
            return  # it could never start, or what it was to wait for cannot be read now
        axes = ({"c": tuple(map(str, plan.codes))},) if plan.codes else ()
        task = Task(
            new_task_id(),
            argv,
            "/",
            now,
            need=plan.need,
            export="NONE",
            node=plan.node,
            retries=plan.retries,
            on_lost=plan.on_lost,
            requeue=plan.requeue,
            array=Array(f"0-{plan.count - 1}", axes=axes, throttle=plan.throttle, max_fails=plan.max_fails),
            group=plan.group,
            after=tuple(map(str, ups)),
            on_dep=plan.on_dep,
        )
        place = order(priority=0, micros=int(now * 1e6), sequence=0)
        entry = Entry(place, task.id, plan.need, 1, count=plan.count, group=plan.group, each=bool(ups), grouped=True)
        self.truth.offered[task.id] = task
        self.truth.limits.groups[task.id] = plan.group
        self.truth.throttles[task.id] = [Throttle(plan.throttle, acknowledged=True)]
        try:
            self.fs.mkdir(self.lease.inbox(plan.node))
            if ups:
                upstreams.put(self.access, self.lease, plan.node, ups, [entry])
            tasks.publish(self.fs, self.lease.inbox(plan.node), entry, task)
            if ups:
                upstreams.look(self.access, self.lease, ups, [entry])
        except OSError:
            return
        self.truth.arrays[task.id] = task

    def _each_of(self, plan: ArrayPlan) -> tuple[Upstream, ...]:
        """What the array is to wait for index by index; raises LeaseqError if that can never come."""
        every = Indices.parse(f"0-{plan.count - 1}")
        alike = [
            task_id
            for task_id, task in self.truth.arrays.items()
            if task.array is not None and Indices.parse(task.array.indices) == every
        ]
        if plan.each is None or not alike:
            return ()
        said = [(EACH, alike[plan.each % len(alike)])]
        return tuple(up for up, _ in resolve(self.access, self.lease, said, array=Array(str(every))))

    def _see_to_each(self) -> None:
        """What waits for ever for an index that is LOST, or was to be kept if one failed, does so no more."""
        for task_id, task in list(self.truth.arrays.items()):
            for up in map(Upstream.parse, task.after):
                row = self._located(up.task).row
                if self._located(task_id).row.state.ended or not row.state.ended:
                    continue
                if row.array is not None and row.array.counts.get(State.LOST):
                    self._retry_array(up.task)
                elif task.on_dep:
                    self.truth.stopped.setdefault(task_id, []).append(None)
                    cancel(self.access, self._located(task_id))

    def stop(self, plan: Command) -> None:
        """An array is cancelled, or some of it, or what of it is not done runs once more; or that failed."""
        for task_id in sorted(self.truth.arrays)[plan.which :][:1]:
            if plan.verb == "retry":
                self._retry_array(task_id)
                return
            if plan.verb == "throttle":
                self._throttle(task_id, plan.most)
                return
            task = self.truth.arrays[task_id]
            assert task.array is not None
            every = Indices.parse(task.array.indices)
            some = every.slice(len(every) // 3, len(every)) if plan.verb == "cancel some" else None
            self.truth.stopped.setdefault(task_id, []).append(some)
            try:
                for name in self.fs.names(self.lease.inbox(task.node)) + self.fs.names(self.lease.claimed(ARRAYS)):
                    entry = Entry.parse(name)
                    if entry.id == task_id and entry.chunk is None:
                        arrays.cancel(
                            self.fs, self.lease, entry.pending(), Stop(some, "cancelled"), now=self.clock.now()
                        )
                        return
            except OSError:
                return

    def _throttle(self, task_id: str, most: int) -> None:
        with suppress(LeaseqError, OSError, Malformed):
            located = self._located(task_id)
            before = [each for each in self.truth.throttles[task_id] if each.acknowledged]
            said = Throttle(most)
            self.truth.throttles[task_id].append(said)
            set_throttle(self.access, located, most)
            said.acknowledged = True
            for each in before:
                each.until = min(each.until, self.seconds())
            self.truth.done["throttle"] += 1

    def _retry_array(self, task_id: str) -> None:
        reader = self.reader()
        with suppress(LeaseqError, OSError, Malformed):
            (row,) = find(reader, task_id)
            if row.state.ended and row.state is not State.DONE:
                self.truth.retried.add((task_id, row.attempt))
            retry(self.access, Located(reader, row))
            self.truth.brought_back.add((task_id, row.attempt))

    # -- commands ----------------------------------------------------------------------------------

    def command(self, plan: Command) -> None:
        """The command was carried out, or failed: who waits for a file system may give up."""
        act = {
            "cancel": self._cancel,
            "hold": self._hold,
            "release": self._hold,
            "let go": self._let_go,
            "recover": self._recover,
            "retry": self._retry,
            "set": self._set,
            "come after": self._come_after,
            "edit": self._edit,
            "pause": self._pause,
            "resume": self._resume,
            "limit": self._limit,
            "give back": self._give_back,
            "take out": self._take_out,
            "recover what is certain": self._recover_what_is_certain,
        }[plan.verb]
        try:
            act(plan)
        except NotFound as error:
            self.truth.violated(f"a command does not find what was acknowledged: {error.message}")
        except (OSError, LeaseqError, Malformed):
            return

    def _known_in_order(self) -> list[str]:
        return self.truth.in_order

    def _known(self) -> list[str]:
        return sorted({*self.truth.acknowledged, *self.truth.keys.values()})

    def _located(self, task_id: str) -> Located:
        reader = self.reader()
        (row,) = find(reader, task_id)
        return Located(reader, row)

    def _picked(self, which: int) -> Iterator[Located]:
        """The task that the number picks, if there is any."""
        known = self._known()
        if known:
            yield self._located(known[which % len(known)])

    def _cancel(self, plan: Command) -> None:
        for each in self._picked(plan.which):
            place = each.row.place
            if not each.row.state.ended or (place and place.directory == self.lease.claimed(CLI)):
                self.truth.cancelled.add(each.row.id)  # or it is being cancelled, and this is who ends it
            if plan.which % 10 == 7:
                cancel_waiting(self.access, each)  # as a program does that means to end nothing that runs
                continue
            done = cancel(self.access, each).outcome
            if done is not None:
                self.truth.stands[done.task.id, done.attempt] = done

    def _hold(self, plan: Command) -> None:
        """A pending task is held, or a held one released."""
        for each in self._picked(plan.which):
            (hold if plan.verb == "hold" else release)(self.access, each)

    def _set(self, plan: Command) -> None:
        """A pending task has another priority, and is of that group."""
        for each in self._picked(plan.which):
            self.truth.limits.groups.pop(each.row.id, None)  # not known while it is being changed, and if that fails
            changes = replace(NONE, name=f"named{plan.which}")
            done = self._change(each, wish(changes, priority=plan.which, group=plan.group))
            self.truth.limits.groups[each.row.id] = done.task.group

    def _come_after(self, plan: Command) -> None:
        """A pending task comes after another one alone, whichever was submitted before; or after none."""
        others = self._known_in_order()
        for each in self._picked(plan.which):
            before = others[: others.index(each.row.id)] if each.row.id in others else []
            said = [("any", before[plan.which % len(before)])] if before and plan.which % 4 else []
            task_id, known = each.row.id, each.row.id not in self.truth.let_go and each.row.attempt == 1
            self.truth.let_go.add(task_id)  # not known while it is being changed, nor if that fails
            done = self._change(each, wish(NONE, priority=None, group=None, after=tuple(said)))
            if task_id in self.truth.acknowledged and known:
                self.truth.acknowledged[task_id] = done.task
                self.truth.let_go.discard(task_id)

    def _edit(self, plan: Command) -> None:
        """A pending task is opened, and its command is another."""
        for each in self._picked(plan.which):
            task, entry = opened(self.access, each)
            made = replace(task, argv=(*task.argv[:2], str(plan.which % 3), *task.argv[3:]))
            self._change(each, Wish(partial(_one, made), opened=str(entry)))

    def _change(self, each: Located, wished: Wish) -> Changed:
        with self.truth.changing(each.row.id) as told:
            done = change(self.access, each, wished, fits=Fits(self.access))
            told(done.task)
        return done

    def _let_go(self, plan: Command) -> None:
        """The task starts whatever it waits for."""
        for each in self._picked(plan.which):
            self.truth.let_go.add(each.row.id)
            release(self.access, each, anyway=True)

    def _pause(self, plan: Command) -> None:
        limits = self.truth.limits
        with limits.command("pause", plan.group) as word:
            done = pause(self.access, self.lease, plan.group)
            begun = begun_in(self.fs, self.lease, plan.group or ALL_GROUPS)
            going_on = [(row.id, row.attempt) for row in done.going_on]
            self.truth.done[f"pause {plan.group}"] += 1
            limits.told("pause", plan.group, word, going_on + [(each.entry.id, each.entry.attempt) for each in begun])

    def _resume(self, plan: Command) -> None:
        with self.truth.limits.command("pause", plan.group):
            resume(self.access, self.lease, plan.group)

    def _give_back(self, plan: Command) -> None:
        """A node is left by its runner, and by what ran there; another job gives it again."""
        self.truth.lease_ended = True
        node = f"n{1 + plan.which % 2}"
        leave(self.access, self.lease, node)
        beat = terms.read_heartbeat(self.fs, self.lease, node)
        # What one holds that a signal has told to leave is for whoever comes next.
        if beat is not None and beat.state == "stopped" and beat.incarnation not in self.truth.told_by_signal:
            claims = [name for name in self.fs.names(self.lease.claimed(node)) if name.endswith(beat.incarnation)]
            if claims:
                self.truth.violated(f"the runner of {node} has left it, and holds {claims}")

    def _take_out(self, plan: Command) -> None:
        """A host is taken out of the lease, by its runner if that is heard; it comes again later."""
        self.truth.lease_ended = True
        node = f"n{1 + plan.which % 2}"
        stay = joined.stay_of(self.fs, self.lease, node)
        if stay is None:
            return
        last = terms.read_heartbeat(self.fs, self.lease, node)
        joined.take_out(self.fs, self.lease, stay, clock=self.clock, pause=self.pause)
        self.truth.done["take out"] += 1
        beat = terms.read_heartbeat(self.fs, self.lease, node)
        if last is not None and beat is not None and last.incarnation == beat.incarnation and beat.state == "stopped":
            claims = [name for name in self.fs.names(self.lease.claimed(node)) if name.endswith(beat.incarnation)]
            if claims:
                self.truth.violated(f"{node} is in the lease no more, and holds {claims}")

    def _limit(self, plan: Command) -> None:
        """So many of the group run at once, from now on."""
        limits = self.truth.limits
        with limits.command("limit", plan.group) as word:
            set_parallel(self.access, self.lease, plan.group, plan.which)
            claims = begun_in(self.fs, self.lease, plan.group)
            begun = [(each.entry.id, each.entry.attempt) for each in claims]
            self.truth.done[f"limit {plan.group}"] += 1
            limits.told("limit", plan.group, word, begun, plan.which)

    def release_all(self) -> None:
        """Nothing is held that could start, arrays that their runners have held included, and nothing is paused."""
        for node in self.fs.names(self.lease.helds):
            for name in self.fs.names(self.lease.held(node)):
                if Entry.parse(name).count:
                    tasks.move_pending(self.fs, self.lease.held(node), name, self.lease.inbox(node))
        for group in ("", "ga", "gb", "gc"):
            with self.truth.limits.command("pause", group):
                resume(self.access, self.lease, group)
        with suppress(LeaseqError, OSError, Malformed):
            self._see_to_each()
        reader = self.reader()
        for row in reader.read(recent=0, pending=None).tasks:
            if row.reason == "Held" and not row.waits:
                with suppress(LeaseqError):  # what it waited for has failed meanwhile
                    release(self.access, Located(reader, row))

    def _retry(self, plan: Command) -> None:
        """Every task that ended and not well is retried, from the one that is picked on."""
        known, fits = self._known(), Fits(self.access)
        for task_id in known[plan.which % max(1, len(known)) :]:
            each = self._located(task_id)
            row = each.row
            if row.state not in (State.FAILED, State.TIMEOUT, State.CANCELLED):
                continue
            self.truth.retried.add((task_id, row.attempt))
            try:
                retry(self.access, each, fits=fits)
            except NotFound:
                raise
            except LeaseqError:
                continue  # it goes on by itself
            self.truth.attempts[task_id] = max(row.attempt + 1, self.truth.attempts.get(task_id, 1))

    def _recover(self, plan: Command) -> None:
        """Every stuck or lost task is recovered, on the user's word that none of them runs."""
        for each in recoverable(self.reader()).tasks:
            row = each.row
            if row.id in self.truth.offered:
                self.truth.forced_arrays.add(row.id)
                with suppress(LeaseqError):
                    recover(self.access, each, force=True)
                continue
            if row.state is State.STUCK:
                self.truth.forced.add((row.id, row.attempt))
            self._recover_one(each, force=True)

    def _recover_what_is_certain(self, plan: Command) -> None:
        """Stuck tasks are recovered if they certainly do not run, as far as anybody can tell."""
        self.truth.lease_ended = True  # what did not begin on a host that has stopped may be LOST by that
        for each in recoverable(self.reader()).tasks:
            if each.row.state is State.STUCK and each.row.array is None:
                self._recover_one(each, force=False)

    def _recover_one(self, each: Located, *, force: bool) -> None:
        row = each.row
        self.truth.recovered[row.id] = self.truth.recovered.get(row.id, 0) + 1
        try:
            decided = recover(self.access, each, force=force).decided
        except LeaseqError:
            return  # it is refused, or somebody was faster
        if decided is None:
            self.truth.attempts[row.id] = row.attempt + 1
        else:
            self.truth.stands[row.id, row.attempt] = decided


def _one(made: Task, _: Task) -> Task:
    return made


@dataclass
class Watcher:
    """One who looks again and again: for him no task vanishes, goes back, or is in two states."""

    user: User
    seen: dict[str, tuple[int, bool]] = field(default_factory=dict)
    losses: int = 0

    def __post_init__(self) -> None:
        self.reader = self.user.reader()

    def look(self) -> None:
        known = {*self.user.truth.acknowledged, *self.user.truth.keys.values()}
        losses = self.losses
        try:
            snapshot = self.reader.read(recent=LOOKED_AT, pending=None)
        except OSError:
            return
        if losses == self.losses:
            self._judge(known, snapshot)

    def lose_power(self) -> None:
        """What was not durable may be gone, and a look that is under way has seen some of it."""
        self.losses += 1
        self.seen.clear()

    def _judge(self, known: set[str], snapshot: Snapshot) -> None:
        truth = self.user.truth
        seen = [row for row in snapshot.tasks if row.id not in truth.offered]
        rows = {row.id: row for row in seen}
        if len(rows) < len(seen):
            truth.violated("a reader saw a task in two states")
        for task_id in sorted((known | self.seen.keys()) - rows.keys()):
            truth.violated(f"a reader saw {task_id} vanish")
        for row in seen:
            now = row.attempt, row.state.ended
            if now < self.seen.get(row.id, (0, False)):
                truth.violated(f"a reader saw {row.id} go from {self.seen[row.id]} back to {now}: {row.state.name}")
            self.seen[row.id] = now
