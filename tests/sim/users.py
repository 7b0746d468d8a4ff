"""Those who use the lease from elsewhere: they submit, cancel, hold, recover, settle, and look.

Each command does with the real functions what the command line does, on a file system that takes time and fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from leaseq.errors import Malformed, NotFound
from leaseq.layout import CLI, Entry, LeaseDir, new_incarnation
from leaseq.models import Outcome, State, Task
from leaseq.protocol import files, keys, records, requests, submission, tasks
from leaseq.protocol.tasks import Claim
from leaseq.reading.find import detail, find
from leaseq.reading.snapshot import Reader, Snapshot, TaskView
from leaseq.world import Clock, Fs
from tests.sim.host import ALONE
from tests.sim.plan import Command, TaskPlan
from tests.sim.truth import SimTruth

LOOKED_AT = 1000


@dataclass(eq=False)
class User:
    """One process of a user."""

    fs: Fs
    lease: LeaseDir
    clock: Clock
    truth: SimTruth
    chance: Random
    pause: Callable[[float], None]

    def reader(self) -> Reader:
        return Reader(self.lease, self.fs, self.clock)

    # -- submitting --------------------------------------------------------------------------------

    def submit(self, plan: TaskPlan) -> None:
        """The tasks are acknowledged, or the command failed; one with a key is tried again."""
        try:
            records.prepare_node(self.fs, self.lease, plan.node)
            if plan.key:
                self._submit_with_key(plan)
            else:
                self._submit_batch(plan)
        except OSError:
            if plan.key:
                self.pause(2.0)
                self.submit(plan)

    def _make(self, plan: TaskPlan) -> list[tuple[Entry, Task]]:
        now = self.clock.now()
        cpus = ALONE if plan.need.alone else str(1 if plan.need.cpus is None else plan.need.cpus)
        argv = ("work", str(plan.seconds), str(plan.code), plan.manner, cpus)
        return [
            (
                entry,
                Task(
                    entry.id,
                    argv,
                    "/",
                    now,
                    need=plan.need,
                    node=plan.node,
                    retries=plan.retries,
                    on_lost=plan.on_lost,
                    requeue=plan.requeue,
                    key=plan.key,
                ),
            )
            for entry in submission.entries(plan.batch, need=plan.need, priority=0, now=now)
        ]

    def _submit_batch(self, plan: TaskPlan) -> None:
        """As `submission.publish_batch` does, whose threads a simulation cannot repeat."""
        made = self._make(plan)
        directory = self.lease.inbox(plan.node)
        staged = [files.stage(self.fs, directory, task.to_json()) for _, task in made]
        for path, (entry, _) in zip(staged, made, strict=True):
            tasks.show_pending(self.fs, path, directory, entry)
        self.fs.sync_dir(directory)
        self.truth.acknowledged.update((task.id, task) for _, task in made)

    def _submit_with_key(self, plan: TaskPlan) -> None:
        entry, task = self._make(plan)[0]
        first = keys.publish_once(self.fs, self.lease, plan.key, self.lease.inbox(plan.node), entry, task)
        if self.truth.keys.setdefault(plan.key, first) != first:
            self.truth.violated(f"the key {plan.key} stood for {self.truth.keys[plan.key]}, and now for {first}")

    # -- commands ----------------------------------------------------------------------------------

    def command(self, plan: Command) -> None:
        """The command was carried out, or failed: who waits for a file system may give up."""
        act = {
            "cancel": self._cancel,
            "hold": self._hold,
            "release": self._hold,
            "recover": self._recover,
            "retry": self._retry,
        }[plan.verb]
        try:
            act(plan)
        except OSError:
            return

    def _pick(self, which: int) -> TaskView | None:
        known = sorted({*self.truth.acknowledged, *self.truth.keys.values()})
        if not known:
            return None
        task_id = known[which % len(known)]
        try:
            (row,) = find(self.reader(), task_id)
        except NotFound:
            self.truth.violated(f"{task_id} was acknowledged, and a command does not find it")
            return None
        return row

    def _cancel(self, plan: Command) -> None:
        row = self._pick(plan.which)
        for _ in range(3):
            if row is None or self._cancel_row(row):
                return
            self.pause(0.2)
            row = self._pick(plan.which)

    def _cancel_row(self, row: TaskView) -> bool:
        """False where the task was on the move."""
        lease = self.lease
        in_hand = row.place is not None and row.place.directory == lease.claimed(CLI)
        if row.state.ended and not in_hand:
            return True
        if row.place is None:
            return False
        self.truth.cancelled.add(row.id)
        entry = Entry.parse(row.place.name)
        if in_hand:
            tasks.finish_cancelled(self.fs, lease, Claim(entry, CLI), ended=self.clock.now(), reason="cancelled")
            return True
        if row.state is State.PENDING:
            if entry.owner:
                return False
            done = tasks.cancel_pending(
                self.fs, lease, row.place.directory, entry, ended=self.clock.now(), reason="cancelled while pending"
            )
            if done is not None:
                self.truth.stands[done.task.id, done.attempt] = done
            return done is not None
        requests.ask(self.fs, lease, row.node, f"cancel.{entry.key}", {"reason": "leaseq cancel"})
        return True

    def _hold(self, plan: Command) -> None:
        """A pending task is held, or a held one released."""
        row = self._pick(plan.which)
        if row is None or row.state is not State.PENDING or row.place is None:
            return
        place, node = row.place, row.place.directory.rpartition("/")[2]
        source, target = self.lease.inbox(node), self.lease.held(node)
        if plan.verb == "release":
            source, target = target, source
        if place.directory == source:
            tasks.move_pending(self.fs, source, place.name, target)

    def release_all(self) -> None:
        """Nothing is held."""
        for node in self.fs.names(self.lease.helds):
            for name in self.fs.names(self.lease.held(node)):
                tasks.move_pending(self.fs, self.lease.held(node), name, self.lease.inbox(node))

    def _retry(self, plan: Command) -> None:
        """As `retry` does, of every task that ended and not well, from the one that is picked on."""
        known = sorted({*self.truth.acknowledged, *self.truth.keys.values()})
        for task_id in known[plan.which % max(1, len(known)) :]:
            try:
                found = detail(self.reader(), task_id)
            except NotFound:
                self.truth.violated(f"{task_id} was acknowledged, and a command does not find it")
                continue
            if found.view.state in (State.FAILED, State.TIMEOUT, State.CANCELLED) and found.outcomes:
                self._retry_outcome(found.outcomes[-1])

    def _retry_outcome(self, ended: Outcome) -> None:
        task_id, attempt = ended.task.id, ended.attempt
        self.truth.retried.add((task_id, attempt))
        task = replace(ended.task, retried={**ended.task.retried, self.lease.id: ended.state.name})
        entry = Entry(ended.order, task_id, task.need, attempt + 1, new_incarnation())
        keys.retry(self.fs, self.lease, ended, tasks.inbox_of(self.lease, task), entry, task)
        self.truth.attempts[task_id] = max(attempt + 1, self.truth.attempts.get(task_id, 1))

    def _recover(self, plan: Command) -> None:
        """As `recover --all --force` does."""
        for row in self.reader().read(recent=LOOKED_AT, pending=0).tasks:
            if row.place is None:
                continue
            try:
                if row.state is State.LOST:
                    self._recover_lost(row)
                elif row.state is State.STUCK:
                    self._recover_stuck(row)
            except (FileNotFoundError, Malformed):
                continue

    def _recover_lost(self, row: TaskView) -> None:
        assert row.place is not None
        entry = Entry.parse(row.place.name)
        task = tasks.read_task(self.fs, f"{row.place.directory}/{row.place.name}", entry)
        self.truth.recovered[row.id] = self.truth.recovered.get(row.id, 0) + 1
        if tasks.recover_lost(self.fs, self.lease, entry, self.lease.inbox(task.node)):
            self.truth.attempts[row.id] = entry.attempt + 1

    def _recover_stuck(self, row: TaskView) -> None:
        assert row.place is not None
        entry = Entry.parse(row.place.name)
        task = tasks.read_task(self.fs, f"{row.place.directory}/{row.place.name}", entry)
        self.truth.recovered[row.id] = self.truth.recovered.get(row.id, 0) + 1
        self.truth.forced.add((entry.id, entry.attempt))
        held = Claim(entry, row.node)
        decided = tasks.recover_stuck(self.fs, self.lease, held, task, ended=self.clock.now())
        self.truth.stands[task.id, entry.attempt] = decided


@dataclass
class Watcher:
    """One who looks again and again: for him no task vanishes, goes back, or is in two states."""

    user: User
    reader: Reader = field(init=False)
    seen: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reader = self.user.reader()

    def look(self) -> None:
        known = {*self.user.truth.acknowledged, *self.user.truth.keys.values()}
        try:
            snapshot = self.reader.read(recent=LOOKED_AT, pending=None)
        except OSError:
            return
        self._judge(known, snapshot)

    def _judge(self, known: set[str], snapshot: Snapshot) -> None:
        truth = self.user.truth
        rows = {row.id: row for row in snapshot.tasks}
        if len(rows) < len(snapshot.tasks):
            truth.violated("a reader saw a task in two states")
        for task_id in sorted((known | self.seen.keys()) - rows.keys()):
            truth.violated(f"a reader saw {task_id} vanish")
        for row in snapshot.tasks:
            now = row.attempt, row.state.ended
            if now < self.seen.get(row.id, (0, False)):
                truth.violated(f"a reader saw {row.id} go from {self.seen[row.id]} back to {now}: {row.state.name}")
            self.seen[row.id] = now
