"""Any users of one lease in any order, with crashes, lost replies, failing calls and losses of power.

Several runners, two of them on hosts that go by one node name, submitters with and without keys, holders and
releasers, cancellers, and a recoverer who is at times wrong about who is dead. All rules hold after every step,
and at the end fresh runners bring all work to its end.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leaseq.dataclass import dataclass
from leaseq.models import ANY
from leaseq.names import Entry
from leaseq.world import Fs
from tests.crash import actors
from tests.crash.actors import REAL, Host, Protocol, Runner, World
from tests.crash.check import check_always, check_ended
from tests.crash.meetings import cancel, cleanup, hold, lose, recover, release, take_on_another_host, work
from tests.faults import Died, Fault, FaultFs, Kind

Does = Callable[[World, Fs], object]
DEATHS = [Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.DIE_TORN, Kind.DIE_EMPTY]
MEETS = [Kind.MEANWHILE, Kind.LOST_REPLY_MEANWHILE]


@dataclass(frozen=True)
class Trouble:
    """A fault at the `at`-th change, who acts meanwhile, and which mixture a loss of power then leaves, if any."""

    at: int
    kind: Kind
    error: int = 0
    does: Does | None = None
    mixture: int | None = None


changes = st.integers(1, 7)
others = st.sampled_from([cancel, cleanup, hold, lose, recover, release, take_on_another_host, work])
faults = st.one_of(
    st.none(),
    st.none(),
    st.builds(Trouble, changes, st.sampled_from(DEATHS)),
    st.builds(Trouble, changes, st.sampled_from(DEATHS), mixture=st.integers(0, 30)),
    st.builds(Trouble, changes, st.just(Kind.LOST_REPLY), st.sampled_from([0, errno.EIO])),
    st.builds(Trouble, changes, st.just(Kind.FAILS), st.sampled_from([errno.EIO, errno.ESTALE])),
    st.builds(Trouble, changes, st.sampled_from(MEETS), does=others),
)
any_number = st.integers(0, 7)


class LeaseMachine(RuleBasedStateMachine):
    """One lease, used by everybody at once."""

    protocol: Protocol = REAL

    @initialize()
    def begin(self) -> None:
        self.world = World(self.protocol)
        self.world.hosts["n1 elsewhere"] = Host("n1", self.world.truth)
        self.start_runner("n1")

    # -- users -------------------------------------------------------------------------------------

    @rule(fault=faults, retries=st.integers(0, 2), node=st.sampled_from([ANY, ANY, "n1", "n2"]))
    def submit(self, fault: Trouble | None, retries: int, node: str) -> None:
        self._act(lambda world, fs: actors.submit(world, fs, retries=retries, node=node), fault)

    @rule(fault=faults, digest=st.sampled_from(["a", "b"]))
    def submit_with_key(self, fault: Trouble | None, digest: str) -> None:
        self._act(lambda world, fs: actors.submit_with_key(world, fs, digest), fault)

    @rule(fault=faults, what=st.sampled_from([cancel, hold, release, recover, cleanup]))
    def command(self, fault: Trouble | None, what: Does) -> None:
        self._act(what, fault)

    @rule(fault=faults, node=st.sampled_from(["n1", "n2"]), requeued=st.sampled_from(["", "recover"]))
    def lose(self, fault: Trouble | None, node: str, requeued: str) -> None:
        """A recoverer is certain that the node is gone, and may be wrong."""
        self._act(lambda world, fs: actors.lose_first(world, fs, node, requeued), fault)

    # -- runners -----------------------------------------------------------------------------------

    @rule(host=st.sampled_from(["n1", "n1 elsewhere", "n2"]))
    def start_runner(self, host: str) -> None:
        self.world.runner(host=self.world.hosts[host])

    @precondition(lambda self: self._alive())
    @rule(who=any_number, fault=faults)
    def take_and_start(self, who: int, fault: Trouble | None) -> None:
        def act(runner: Runner) -> None:
            held = runner.take()
            if held is not None:
                runner.start(held)

        self._run(who, act, fault)

    @precondition(lambda self: self._alive())
    @rule(who=any_number, fault=faults)
    def take(self, who: int, fault: Trouble | None) -> None:
        self._run(who, Runner.take, fault)

    @precondition(lambda self: self._alive())
    @rule(who=any_number, fault=faults)
    def start_taken(self, who: int, fault: Trouble | None) -> None:
        """A runner that took claims a while ago starts them, unless they were taken from it."""

        def act(runner: Runner) -> None:
            for held in [each for each in runner.held if _key(each.entry) not in runner.host.asked]:
                try:
                    runner.start(held)
                except FileNotFoundError:
                    runner.held = [each for each in runner.held if each != held]

        self._run(who, act, fault)

    @precondition(lambda self: self._alive())
    @rule(who=any_number, fault=faults)
    def give_back(self, who: int, fault: Trouble | None) -> None:
        def act(runner: Runner) -> None:
            for held in [each for each in runner.held if _key(each.entry) not in runner.host.asked][:1]:
                runner.give_back(held)

        self._run(who, act, fault)

    @precondition(lambda self: any(host.running for host in self.world.hosts.values()))
    @rule(which=any_number, code=st.integers(0, 1))
    def task_ends(self, which: int, code: int) -> None:
        running = [(host, key) for host in self.world.hosts.values() for key in sorted(host.running)]
        host, key = running[which % len(running)]
        host.end(key, code)

    @precondition(lambda self: self._alive())
    @rule(who=any_number, fault=faults)
    def report(self, who: int, fault: Trouble | None) -> None:
        def act(runner: Runner) -> None:
            for held in [each for each in runner.held if _key(each.entry) in runner.host.exits]:
                runner.report(held)

        self._run(who, act, fault)

    @precondition(lambda self: self._alive())
    @rule(who=any_number, fault=faults)
    def recover(self, who: int, fault: Trouble | None) -> None:
        def act(runner: Runner) -> None:
            runner.recover()
            runner.book()

        self._run(who, act, fault)

    @precondition(lambda self: self._alive())
    @rule(who=any_number, code=st.integers(0, 1), fault=faults)
    def run_one(self, who: int, code: int, fault: Trouble | None) -> None:
        """A task is taken, run and reported in one go, up to the fault."""

        def act(runner: Runner) -> None:
            held = runner.take()
            if held is not None:
                runner.start(held)
                runner.host.end(_key(held.entry), code)
                runner.report(held)

        self._run(who, act, fault)

    @precondition(lambda self: self._alive())
    @rule(who=any_number)
    def kill_runner(self, who: int) -> None:
        runner = self._alive()[who % len(self._alive())]
        runner.host.alive.discard(runner.incarnation)

    @rule(mixture=st.integers(0, 40))
    def power_fails(self, mixture: int) -> None:
        """Every machine goes down, and what was not synced is lost or not."""
        left = list(self.world.disk.losses())
        self.world.all_runners_die()
        self.world = self.world.after_power_loss(left[mixture % len(left)])

    # -- what must hold ------------------------------------------------------------------------------

    @invariant()
    def all_rules_hold(self) -> None:
        if hasattr(self, "world"):
            check_always(self.world)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            check_ended(self.world)

    # -- helpers -------------------------------------------------------------------------------------

    def _alive(self) -> list[Runner]:
        return [runner for runner in self.world.runners if runner.alive]

    def _run(self, who: int, act: Callable[[Runner], object], fault: Trouble | None) -> None:
        runner = self._alive()[who % len(self._alive())]

        def acting(world: World, fs: Fs) -> None:
            runner.fs = fs
            act(runner)

        if not self._act(acting, fault):
            runner.host.alive.discard(runner.incarnation)

    def _act(self, act: Does, trouble: Trouble | None) -> bool:
        """False if the actor died. A call that failed leaves it alive, and it tries again some other time."""
        fs = FaultFs(self.world.fs(), *self._faults(trouble))
        try:
            act(self.world, fs)
        except Died:
            if trouble and trouble.mixture is not None:
                self.power_fails(trouble.mixture)
            return False
        except OSError:
            # A call that is reported as failed may fail the act, and so may somebody who took its file away.
            if not trouble or not (trouble.error or trouble.does):
                raise
        return True

    def _faults(self, trouble: Trouble | None) -> list[Fault]:
        if trouble is None:
            return []

        def meanwhile() -> None:
            if trouble.does:
                trouble.does(self.world, self.world.fs())

        return [Fault(trouble.at, trouble.kind, trouble.error, meanwhile, only_changes=True)]


def _key(entry: Entry) -> tuple[str, int]:
    return entry.id, entry.attempt
