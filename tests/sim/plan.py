"""What happens in a history: tasks, commands and troubles, drawn from a seed; and smaller ones that still fail."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from leaseq.dataclass import dataclass, replace
from leaseq.models import ANY, Need
from tests.faults import Kind
from tests.sim.slurm import KINDS

Step = tuple[str, str]
"""A call, and what one of its paths holds; empty words stand for any."""
SECONDS = 120.0
"""How long users and troubles act; then everything is left to come to its end."""
DEATHS = (Kind.DIE_BEFORE, Kind.DIE_AFTER, Kind.DIE_TORN, Kind.DIE_EMPTY)
CALL_ERRORS = (errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EDQUOT, errno.EACCES)
ONLY_RATE = 6.0
"""How many troubles of a kind there are, if only some kinds are wanted."""
MANNERS = ("obeys", "obeys", "obeys", "ignores", "graceful", "again", "missing")


@dataclass(frozen=True)
class TaskPlan:
    """A submission: when, from where, of what."""

    at: float
    host: str
    need: Need
    seconds: float
    code: int
    manner: str
    retries: int = 0
    on_lost: str = ""
    requeue: bool = False
    node: str = ANY
    key: str = ""
    batch: int = 1
    group: str = ""
    after: tuple[tuple[str, int], ...] = ()
    """What it comes after: how that is to end, and a number that picks a task among those that are known then."""
    after_arrays: tuple[tuple[str, int, int | None], ...] = ()
    """The same of arrays: with a number that picks an index of it; None: all of it."""
    on_dep: str = ""
    begin: float = 0.0
    """How many seconds after its submission it may start."""

    def __str__(self) -> str:
        return (
            f"{self.at:6.1f} s  submit from {self.host}: {self.batch} x {self.seconds:.1f} s, exit {self.code},"
            f" {self.manner}, need {self.need}, node {self.node}, retries {self.retries}, on_lost {self.on_lost!r},"
            f" key {self.key!r}, group {self.group!r}, after {(*self.after, *self.after_arrays)} {self.on_dep},"
            f" begin {self.begin:.0f}"
        )


@dataclass(frozen=True)
class ArrayPlan:
    """An array that is submitted: when, from where, of how many indices; each runs alike."""

    at: float
    host: str
    need: Need
    count: int
    seconds: float
    code: int
    manner: str
    retries: int = 0
    on_lost: str = ""
    requeue: bool = False
    node: str = ANY
    group: str = ""
    throttle: int = 0
    max_fails: int = 0
    codes: tuple[int, ...] = ()
    """The exit code of each index, if they do not all end alike."""
    each: int | None = None
    """A number that picks, among the arrays of as many indices that are known then, one that it waits for index by
    index."""
    on_dep: str = ""

    def __str__(self) -> str:
        return (
            f"{self.at:6.1f} s  submit array from {self.host}: {self.count} x {self.seconds:.1f} s, exit {self.code},"
            f" {self.manner}, need {self.need}, node {self.node}, retries {self.retries}, on_lost {self.on_lost!r},"
            f" group {self.group!r}, throttle {self.throttle}, max_fails {self.max_fails},"
            f" codes {self.codes}, each {self.each} {self.on_dep}"
        )


@dataclass(frozen=True)
class Command:
    """A command of a user: `cancel`, `hold`, `release`, `let go`, `recover`, `retry`; `which` picks a task.

    Or `pause`, `resume` and `limit` of a group; of none: of the whole lease. Then `which` is how many may run at once.
    Or `set` and `edit`, which make a pending task another one. Or `give back` and `take out`, of a node;
    or `recover what is certain`.
    """

    at: float
    host: str
    verb: str
    which: int
    group: str = ""
    most: int = 0
    """Of `throttle`, how many may run at once."""

    def __str__(self) -> str:
        most = f" to {self.most}" if self.verb == "throttle" else ""
        return f"{self.at:6.1f} s  {self.verb} {self.group} from {self.host} ({self.which}){most}"


@dataclass(frozen=True)
class Trouble:
    """What goes wrong: at a time, or at the `at`-th call of process `during`, of all or of those of one step."""

    what: str
    who: str = ""
    at: float = 0.0
    during: str = ""
    step: Step = ("", "")
    kind: Kind = Kind.MEANWHILE
    error: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        error = f" {errno.errorcode[self.error]}" if self.error else ""
        lasts = f" for {self.seconds:.0f} s" if self.seconds else ""
        what = f"{self.what} {self.who}{error}{lasts}"
        if not self.during:
            return f"{self.at:6.1f} s  {what}"
        return f"  call {self.at:.0f} of {self.during} {' '.join(self.step)}: {what} ({self.kind.value})"


@dataclass(frozen=True)
class Plan:
    """A history before it happens."""

    seed: str
    tasks: tuple[TaskPlan, ...]
    commands: tuple[Command, ...]
    troubles: tuple[Trouble, ...]
    arrays: tuple[ArrayPlan, ...] = ()
    array_commands: tuple[Command, ...] = ()
    """Of arrays: `cancel`, `cancel some`, `throttle` and `retry`."""
    idle: float = 0.0
    """How long the lease's jobs may stand unused before they give their nodes back; 0: as long as they last."""
    hosts: bool = False
    """True if the lease is of hosts, and no Slurm is there."""
    unlimited: bool = False
    """True if nothing is ever paused or limited, and no runner has to look whether anything is."""
    groups: bool = False
    """True if chunks are many, and runners take every other group of them as a whole, however long its indices run."""

    def __str__(self) -> str:
        lines = [f"seed {self.seed}" + (f", idle {self.idle:.0f} s" if self.idle else "")]
        parts = (self.tasks, self.arrays, self.commands, self.array_commands, self.troubles)
        lines += [f"  {each}" for part in parts for each in part]
        return "\n".join(lines)


HOSTS = ("n1a", "n2a")
RIVAL = "n1b"
LOGIN = ("login", "desk")


# -- kinds of trouble ----------------------------------------------------------------------------------


STEPS = (
    ("rename", "/claimed/"),
    ("rename", "/claimed/"),
    ("sync_dir", "/claimed"),
    ("sync_dir", "/claimed"),
    ("read", "/claimed/"),
    ("unlink", "/claimed/"),
    ("names", "/claimed"),
    ("rename", "/lanes/"),
    ("link", "/lanes/"),
    ("names", "/groups"),
    ("create", "/edits/"),
    ("rename", "/_edit/"),
    ("rename", "/edits/"),
    ("unlink", "/_edit/"),
    ("rename", "/groups"),
    ("create", "/done/"),
    ("link", "/done/"),
    ("sync_dir", "/done"),
    ("sync_dir", "/done"),
    ("append", "/events/"),
    ("rename", "/inbox/"),
    ("sync_dir", "/inbox"),
    ("rename", "/lost/"),
    ("link", "/booking/"),
    ("unlink", "/booking/"),
    ("link", "/keys/"),
    ("unlink", "/control/"),
    ("create", "/hb/"),
    ("create", "/hb/"),
    ("link", "/hb/"),
    ("names", "/hb"),
    ("read", "/hb/"),
)
"""Where something is at stake: a call and what its paths hold."""


ARRAY_STEPS = (
    ("create", "/claimed/"),
    ("rename", "/claimed/"),
    ("link", "/arrays/"),
    ("link", "/arrays/"),
    ("sync_dir", "/arrays/"),
    ("names", "/arrays/"),
    ("append", "/arrays/"),
    ("append", "/arrays/"),
    ("read", "/arrays/"),
    ("create", "/arrays/"),
    ("rename", "/arrays/"),
    ("rename", "/claimed/_array"),
    ("unlink", "/arrays/"),
    ("unlink", "/claimed/_array"),
)
"""The same of arrays."""


def _during(chance: Random) -> dict[str, Any]:
    """A process, and a call of it."""
    if chance.random() < 0.75:
        number = chance.choice((1, 1, 1, 1, 1, 2, 2, 3))
        process, calls = f"runner {chance.choice(HOSTS)} {number}", 300 if number == 1 else 80
    else:
        process, calls = f"{chance.choice(('submit', 'command'))} {chance.randint(0, 5)}", 14
    if chance.random() < 0.7:
        return {"during": process, "step": chance.choice(STEPS), "at": chance.randint(1, 5)}
    return {"during": process, "at": chance.randint(1, calls)}


def _call(what: str, kinds: tuple[Kind, ...], errors: tuple[int, ...] = (0,)) -> Callable[[Random], Trouble]:
    """Something that happens to one call."""

    def draw(chance: Random) -> Trouble:
        return Trouble(what, kind=chance.choice(kinds), error=chance.choice(errors), **_during(chance))

    return draw


def _event(
    what: str, seconds: tuple[float, float] = (0.0, 0.0), who: tuple[str, ...] = HOSTS
) -> Callable[[Random], Trouble]:
    """Something that happens at any time, or just as somebody makes a call."""

    def draw(chance: Random) -> Trouble:
        lasts, whom = chance.uniform(*seconds), chance.choice(who)
        if chance.random() < 0.5:
            return Trouble(what, whom, chance.uniform(1.0, SECONDS), seconds=lasts)
        when = _during(chance)
        server = {RIVAL: HOSTS[0]}.get(whom, whom)
        if server in HOSTS and when["during"].startswith("runner"):
            when["during"] = f"runner {server} {when['during'][-1]}"
        return Trouble(what, whom, seconds=lasts, **when)

    return draw


def _mount(chance: Random) -> Trouble:
    draw = _event("the mount fails on", (0.3, 30.0), (*HOSTS, *LOGIN))
    return replace(draw(chance), error=chance.choice(CALL_ERRORS))


TROUBLES: dict[str, tuple[float, Callable[[Random], Trouble]]] = {
    # the name: how many of it a history has on average, and how one is drawn
    "death": (2.5, _call("death", DEATHS)),
    "lost reply": (1.5, _call("lost reply", (Kind.LOST_REPLY,), (0, 0, errno.EIO))),
    "error": (1.5, _call("error", (Kind.FAILS,), CALL_ERRORS)),
    "hang": (0.4, _call("hang", (Kind.MEANWHILE,))),
    "mount": (0.4, _mount),
    "keeper dies": (0.6, _event("the keeper dies on")),
    "runner and keeper die": (0.5, _event("runner and keeper die on")),
    "keeper hangs": (0.4, _event("the keeper hangs and the runner dies on", (1.0, 30.0))),
    "node disk full": (0.2, _event("no room on the disk of")),
    "reboot": (0.4, _event("reboot of", (1.0, 200.0))),
    "reboot, records kept": (0.3, _event("reboot, with its records, of", (1.0, 60.0))),
    "local records lost": (0.2, _event("runner, keeper and records go on")),
    "clock jump": (0.7, _event("the clock jumps on", (-600.0, 600.0), (*HOSTS, RIVAL, *LOGIN))),
    "server restart": (0.2, _event("server restart", (20.0, 75.0), ("server",))),
    "power loss": (0.3, _event("power loss", who=("everything",))),
    "link cut": (0.2, _event("no link to the server for", (20.0, 200.0))),
    "rival": (0.3, _event("another host serves n1:", who=(RIVAL,))),
    "lease end": (0.15, _event("the lease ends", (5.0, 200.0), ("everywhere",))),
    "Slurm's TERM": (0.2, _event("Slurm's TERM comes to", (5.0, 120.0))),
    "wrong answers": (0.5, _event("squeue's answer is", (20.0, 200.0), KINDS)),
}


# -- drawing -------------------------------------------------------------------------------------------


def draw_arrays(
    seed: str, *, only: Sequence[str] | None = None, steps: Sequence[Step] = (), limits: bool = True
) -> Plan:
    """As `draw`, with few tasks, and with arrays. limits: of how many of each may run at once, and fail."""
    plan, chance = draw(seed, only=only, steps=steps, dependents=False), Random(f"{seed} arrays")
    commands = [
        Command(chance.uniform(2.0, SECONDS), chance.choice(LOGIN), chance.choice(("cancel", "cancel some")), number)
        for number in range(3)
        if chance.random() < 0.25
    ]
    again = Random(f"{seed} arrays again")
    commands += [
        Command(again.uniform(SECONDS * 0.3, SECONDS), again.choice(LOGIN), "retry", number)
        for number in range(3)
        if again.random() < 0.3
    ]
    troubles = tuple(_at_arrays(each, chance) for each in plan.troubles)
    arrays = tuple(_array(chance) for _ in range(chance.randint(1, 3)))
    others = Random(f"{seed} groups of arrays")
    arrays = tuple(replace(each, group=others.choice(("", "gc", "gc"))) for each in arrays)
    limiting = tuple(
        Command(others.uniform(0.0, SECONDS * 0.7), others.choice(LOGIN), "limit", others.choice((1, 1, 2, 3)), "gc")
        for _ in range(others.randint(0, 3))
    )
    if limits:
        chance = Random(f"{seed} limits of arrays")
        arrays = tuple(
            replace(each, throttle=chance.choice((0, 0, 1, 2, 3)), max_fails=chance.choice((0, 0, 1, 3)))
            for each in arrays
        )
        commands += [
            Command(chance.uniform(2.0, SECONDS), chance.choice(LOGIN), "throttle", n, most=chance.choice((0, 1, 2, 4)))
            for n in range(3)
            if chance.random() < 0.4
        ]
        limiting += tuple(
            Command(
                chance.uniform(0.0, SECONDS * 0.8), chance.choice(LOGIN), chance.choice(("pause", "resume")), 1, "gc"
            )
            for _ in range(chance.randint(0, 3))
        )
    return replace(
        plan,
        tasks=plan.tasks[:2],
        commands=plan.commands + limiting,
        troubles=troubles,
        arrays=arrays,
        array_commands=tuple(commands),
    )


def draw_quick(seed: str, *, only: Sequence[str] | None = None, steps: Sequence[Step] = ()) -> Plan:
    """As `draw_arrays`, with indices that mostly take milliseconds: keepers run them by themselves."""
    plan, chance = draw_arrays(seed, only=only, steps=steps), Random(f"{seed} quick")
    arrays = tuple(
        replace(
            each,
            count=chance.choice((25, 60, 60)),
            seconds=chance.choice((0.001, 0.001, 0.01, 0.09, 0.12)),
            throttle=0,
        )
        for each in plan.arrays
    )
    # Once anything was paused or limited in a lease, what starts is looked at one by one.
    commands = tuple(each for each in plan.commands if each.verb not in ("pause", "resume", "limit", "set"))
    stops = tuple(each for each in plan.array_commands if each.verb != "throttle")
    return replace(plan, arrays=arrays, commands=commands, array_commands=stops, unlimited=True)


def draw_short(seed: str, *, only: Sequence[str] | None = None, steps: Sequence[Step] = ()) -> Plan:
    """As `draw`, with batches of tasks most of which take milliseconds: keepers run them by themselves."""
    plan, chance = draw(seed, only=only, steps=steps), Random(f"{seed} short")
    batches = [
        replace(
            _task(chance),
            need=chance.choice((Need(), Need(cpus=1), Need(cpus=1), Need(cpus=2), Need(cpus=1, time_seconds=4))),
            seconds=chance.choice((0.001, 0.001, 0.001, 0.01, 0.09, 0.12)),
            key="",
            batch=chance.choice((10, 25, 40)),
        )
        for _ in range(chance.randint(2, 5))
    ]
    # Once anything was paused or limited in a lease, what starts is looked at one by one.
    commands = [each for each in plan.commands if each.verb not in ("pause", "resume", "limit", "set")]
    commands += [
        Command(each.at + chance.uniform(0.0, 3.0), chance.choice(LOGIN), "cancel", chance.randrange(100))
        for each in batches
        if chance.random() < 0.5
    ]
    return replace(plan, tasks=(*plan.tasks, *batches), commands=tuple(commands), unlimited=True)


def draw_given_back(
    seed: str, *, only: Sequence[str] | None = None, of_arrays: bool = False, limits: bool = True
) -> Plan:
    """As `draw`, or `draw_arrays`, with nodes that are given back meanwhile."""
    plan = draw_arrays(seed, only=only, limits=limits) if of_arrays else draw(seed, only=only)
    chance = Random(f"{seed} given back")
    given = tuple(
        Command(chance.uniform(2.0, SECONDS), chance.choice(LOGIN), "give back", chance.randint(1, 2))
        for _ in range(chance.randint(1, 4))
    )
    return replace(plan, commands=plan.commands + given)


def draw_groups(seed: str, *, only: Sequence[str] | None = None) -> Plan:
    """As `draw_quick`, or `draw_given_back`, with arrays whose groups of chunks are taken as a whole, or divided."""
    chance = Random(f"{seed} groups")
    if chance.random() < 0.3:
        return replace(draw_quick(seed, only=only), groups=True)
    plan = draw_given_back(seed, only=only, of_arrays=True, limits=False)
    arrays = tuple(
        replace(each, count=chance.choice((15, 25, 40)), seconds=chance.choice((0.5, 3.0, 8.0)), code=0, group="")
        for each in plan.arrays
    )
    cancels = tuple(
        Command(each.at + chance.uniform(0.0, 20.0), chance.choice(LOGIN), "cancel", chance.randrange(3))
        for each in plan.commands
        if each.verb == "give back" and chance.random() < 0.5
    )
    return replace(plan, arrays=arrays, array_commands=(*plan.array_commands, *cancels), groups=True)


def draw_hosts(seed: str, *, only: Sequence[str] | None = None, of_arrays: bool = False) -> Plan:
    """As `draw`, or `draw_arrays`, of a lease of hosts: they are taken out and come again, or stop, and tasks go on."""
    plan, chance = (draw_arrays if of_arrays else draw)(seed, only=only), Random(f"{seed} hosts")
    taken = tuple(
        Command(chance.uniform(2.0, SECONDS), chance.choice(LOGIN), "take out", chance.randint(1, 2))
        for _ in range(chance.randint(0, 4))
    )
    stopped = tuple(
        Trouble(STOPPED, chance.choice(HOSTS), chance.uniform(2.0, SECONDS), seconds=chance.choice((1.0, 10.0, 60.0)))
        for _ in range(chance.randint(1, 4))
    )
    doubted = tuple(
        Command(each.at + chance.uniform(0.5, each.seconds), chance.choice(LOGIN), "recover what is certain", 0)
        for each in stopped
        for _ in range(3)
    )
    troubles = tuple(each for each in plan.troubles if each.what not in OF_SLURM)
    return replace(plan, commands=plan.commands + taken + doubted, troubles=troubles + stopped, hosts=True)


STOPPED = "the runner is told to stop on"
"""By a person: what it runs goes on under the keeper."""
OF_SLURM = ("the lease ends", "Slurm's TERM comes to", "squeue's answer is")


def draw_idle(seed: str, *, only: Sequence[str] | None = None, of_arrays: bool = False) -> Plan:
    """As `draw`, or `draw_arrays`, with jobs that leave when nothing uses them, and troubles at the steps of that."""
    plan, chance = (draw_arrays if of_arrays else draw)(seed, only=only), Random(f"{seed} idle")
    troubles = [
        replace(each, step=chance.choice(LEAVING_STEPS), at=chance.randint(1, 4))
        if each.during.startswith("runner") and chance.random() < 0.5
        else each
        for each in plan.troubles
    ]
    return replace(plan, troubles=tuple(troubles), idle=chance.choice((4.0, 8.0, 15.0)))


LEAVING_STEPS = (
    ("names", "/leave"),
    ("read", "/leave/"),
    ("rename", "/leave/"),
    ("link", "/leave/"),
    ("sync_dir", "/leave"),
    ("rename", "/left"),
    ("rename", "/control/"),
    ("names", "/inbox/"),
)
"""Where something is at stake for an allocation that leaves."""


def draw_changed_order(seed: str, *, only: Sequence[str] | None = None) -> Plan:
    """As `draw`, with pending tasks that are to come after others than before."""
    plan, chance = draw(seed, only=only), Random(f"{seed} changed order")
    commands = tuple(
        Command(chance.uniform(2.0, SECONDS), chance.choice(LOGIN), "come after", chance.randrange(100))
        for _ in range(chance.randint(2, 6))
    )
    troubles = [
        replace(trouble, step=chance.choice((*DEPENDENT_STEPS, *EDIT_STEPS)), at=1)
        for trouble in plan.troubles
        if trouble.during.startswith("command")
    ]
    return replace(plan, commands=plan.commands + commands, troubles=(*plan.troubles, *troubles))


EDIT_STEPS = (("create", "/edits/"), ("rename", "/_edit/"), ("rename", "/edits/"), ("unlink", "/_edit/"))


def draw_after_arrays(seed: str, *, only: Sequence[str] | None = None) -> Plan:
    """As `draw_arrays`, with tasks that come after arrays, or after indices of them."""
    plan, chance = draw_arrays(seed, only=only, limits=False), Random(f"{seed} dependents of arrays")
    return replace(
        plan,
        tasks=plan.tasks + tuple(_after_an_array(plan.arrays, chance) for _ in range(chance.randint(1, 5))),
        troubles=tuple(_at_edges(each, chance) for each in plan.troubles),
    )


def draw_each(seed: str, *, only: Sequence[str] | None = None, steps: Sequence[Step] = ()) -> Plan:
    """As `draw_arrays`, with arrays that wait index by index for one of those, and arrays that wait so for them."""
    plan = draw_arrays(seed, only=only, steps=steps, limits=Random(f"{seed} limited").random() < 0.3)
    chance = Random(f"{seed} each")
    arrays = [
        replace(
            each,
            code=0,
            codes=tuple(chance.choice((0, 0, 0, 1)) for _ in range(each.count)) if chance.random() < 0.7 else (),
            seconds=min(each.seconds, 3.0),
        )
        for each in plan.arrays
    ]
    for number in range(chance.randint(1, 3)):
        up = chance.choice(arrays)
        arrays.append(
            replace(
                up,
                at=up.at + chance.uniform(0.1, 40.0),
                host=chance.choice(LOGIN),
                seconds=chance.choice((0.05, 0.5, 3.0)),
                codes=(),
                code=chance.choice((0, 0, 1)),
                retries=chance.choice((0, 0, 1)),
                throttle=0,
                max_fails=0,
                each=number + chance.randrange(3),
                on_dep=chance.choice(("", "", "", "hold")),
            )
        )
    again = tuple(
        Command(chance.uniform(SECONDS * 0.3, SECONDS), chance.choice(LOGIN), "retry", number)
        for number in range(4)
        if chance.random() < 0.5
    )
    troubles = tuple(_at_gates(each, chance) for each in plan.troubles)
    return replace(plan, arrays=tuple(arrays), array_commands=plan.array_commands + again, troubles=troubles)


GATE_STEPS = (
    ("read_range", "/o."),
    ("sync", "/o."),
    ("append", "/o."),
    ("link", "/broken/"),
    ("names", "/edges"),
    ("create", "/edges/"),
    ("create", "/r."),
    ("sync_dir", "/broken"),
    ("rename", "/keys/"),
)
"""Where something is at stake for arrays that wait index by index."""


def _at_gates(trouble: Trouble, chance: Random) -> Trouble:
    if not trouble.step[0] or chance.random() < 0.6:
        return trouble
    return replace(trouble, step=chance.choice(GATE_STEPS), at=chance.randint(1, 3))


def _after_an_array(arrays: Sequence[ArrayPlan], chance: Random) -> TaskPlan:
    """A task that comes after one of the arrays, or after indices of it; and perhaps after one that does so."""
    which = chance.randrange(len(arrays))
    kinds = ("ok", "ok", "ok", "any", "notok", "start")
    after = tuple(
        (chance.choice(kinds), which, chance.choice((None, chance.randrange(25), chance.randrange(25))))
        for _ in range(chance.choice((1, 1, 2)))
    )
    return TaskPlan(
        at=arrays[which].at + chance.uniform(0.5, 50.0),
        host=chance.choice(LOGIN),
        need=Need(cpus=1),
        seconds=chance.choice((0.1, 2.0)),
        code=chance.choice((0, 0, 1)),
        manner="obeys",
        after=(("ok", 0),) if chance.random() < 0.2 else (),
        after_arrays=after,
        on_dep=chance.choice(("", "", "", "hold")),
    )


def _at_edges(trouble: Trouble, chance: Random) -> Trouble:
    """Of what happens at a step, some at one of those that wait."""
    if not trouble.step[0] or chance.random() < 0.8:
        return trouble
    return replace(trouble, step=chance.choice(DEPENDENT_STEPS), at=chance.randint(1, 3))


def _at_arrays(trouble: Trouble, chance: Random) -> Trouble:
    """Of what happens at a step, half at one of an array's."""
    if not trouble.step[0] or not trouble.during.startswith("runner") or chance.random() < 0.5:
        return trouble
    return replace(trouble, step=chance.choice(ARRAY_STEPS), at=chance.randint(1, 8))


def _array(chance: Random) -> ArrayPlan:
    return ArrayPlan(
        at=chance.uniform(0.0, SECONDS * 0.6),
        host=chance.choice(LOGIN),
        need=chance.choice((Need(), Need(cpus=1), Need(cpus=1), Need(cpus=2), Need(gpus=1))),
        count=chance.choice((1, 3, 8, 15, 25)),
        seconds=chance.choice((0.05, 0.5, 3.0, 8.0)),
        code=chance.choice((0, 0, 0, 1, 75)),
        manner=chance.choice(MANNERS),
        retries=chance.choice((0, 0, 1, 2)),
        on_lost=chance.choice(("", "", "requeue", "fail")),
        requeue=chance.random() < 0.2,
        node=chance.choice((ANY, ANY, ANY, "n1", "n2")),
    )


def draw(seed: str, *, only: Sequence[str] | None = None, steps: Sequence[Step] = (), dependents: bool = True) -> Plan:
    """The plan of that seed; or one with only these kinds of trouble, more often, at these steps of runners.

    dependents: with tasks that come after others.
    """
    chance = Random(seed)
    tasks = tuple(_task(chance) for _ in range(chance.randint(4, 10)))
    commands = tuple(_command(chance) for _ in range(chance.randint(2, 7)))
    others = Random(f"{seed} groups")
    tasks = tuple(replace(each, group="" if each.key else others.choice(GROUPS)) for each in tasks)
    commands += tuple(_limiting(others) for _ in range(others.randint(0, 6)))
    troubles: list[Trouble] = []
    for name, (rate, make) in TROUBLES.items():
        if only is not None:
            rate = ONLY_RATE if name in only else 0.0
        while chance.random() < rate / (1.0 + rate):
            troubles.append(_aimed(make(chance), chance, steps))
    if dependents:
        # Drawn by itself, so that all else of a seed is the same with and without.
        chance = Random(f"{seed} dependents")
        tasks = tuple(_with_upstreams(task, chance) for task in tasks)
        commands += tuple(
            Command(chance.uniform(2.0, SECONDS), chance.choice(LOGIN), chance.choice(("hold", "release", "let go")), n)
            for n in range(chance.choice((0, 0, 1, 2)))
        )
        edits = Random(f"{seed} edits")
        commands += tuple(
            Command(edits.uniform(2.0, SECONDS), edits.choice(LOGIN), "edit", edits.randrange(100))
            for _ in range(edits.randint(0, 3))
        )
        troubles += [
            replace(trouble, step=chance.choice(DEPENDENT_STEPS), at=chance.randint(1, 3))
            for trouble in troubles
            if trouble.during and not steps and chance.random() < 0.5
        ]
    return Plan(seed, tasks, commands, tuple(troubles))


DEPENDENT_STEPS = (
    ("create", "/edges/"),
    ("sync_dir", "/edges"),
    ("names", "/edges"),
    ("names", "/edges"),
    ("unlink", "/edges/"),
    ("rename", "/waiting/"),
    ("rename", "/waiting/"),
    ("sync_dir", "/waiting"),
    ("sync_dir", "/inbox"),
    ("link", "/broken/"),
    ("rename", "/claimed/_cli/"),
    ("sync_dir", "/claimed/_cli"),
)
"""Where something is at stake for tasks that come after others."""


def _with_upstreams(task: TaskPlan, chance: Random) -> TaskPlan:
    """Chains, diamonds and fans come of picking among the last ones."""
    if chance.random() < 0.4:
        return task
    kinds = ("ok", "ok", "ok", "any", "notok", "start")
    after = tuple((chance.choice(kinds), chance.choice((0, 0, 1, 2, 5))) for _ in range(chance.choice((1, 1, 2, 3))))
    begin = chance.choice((0.0, 0.0, 0.0, 5.0, 40.0))
    return replace(task, after=after, on_dep=chance.choice(("", "", "", "hold")), begin=begin)


def _aimed(trouble: Trouble, chance: Random, steps: Sequence[Step]) -> Trouble:
    if not steps:
        return trouble
    host = trouble.who if trouble.who in HOSTS else chance.choice(HOSTS)
    during = f"runner {host} {chance.choice((1, 1, 2, 3))}"
    return replace(trouble, during=during, step=chance.choice(steps), at=chance.randint(1, 5))


GROUPS = ("", "", "ga", "ga", "gb")
NEEDS = (
    Need(),
    Need(cpus=1),
    Need(cpus=2),
    Need(gpus=1),
    Need(gpus=1, cpus=1),
    Need(gpus=1, cpus=0),
    Need(gpus=-1),
    Need(cpus=1, time_seconds=4),
)


def _task(chance: Random) -> TaskPlan:
    need = chance.choice(NEEDS)
    return TaskPlan(
        at=chance.uniform(0.0, SECONDS * 0.8),
        host=chance.choice(LOGIN),
        need=need,
        seconds=chance.choice((0.05, 0.5, 3.0, 8.0, 20.0, 60.0)),
        code=chance.choice((0, 0, 0, 1, 75)),
        manner=chance.choice(MANNERS),
        retries=chance.choice((0, 0, 1, 2)),
        on_lost=chance.choice(("", "", "requeue", "fail")),
        requeue=chance.random() < 0.2,
        node=chance.choice((ANY, ANY, ANY, "n1", "n2")),
        key=chance.choice(("", "", "", "k1", "k2")),
        batch=chance.choice((1, 1, 3)),
    )


def _command(chance: Random) -> Command:
    verb = chance.choice(("cancel", "cancel", "hold", "release", "recover", "recover", "retry", "retry"))
    return Command(chance.uniform(2.0, SECONDS), chance.choice(LOGIN), verb, chance.randrange(100))


def _limiting(chance: Random) -> Command:
    verb = chance.choice(("pause", "resume", "limit", "limit", "limit", "set", "set", "set"))
    group = chance.choice(("ga", "gb") if verb == "limit" else ("ga", "gb", ""))
    which = chance.randrange(100) if verb == "set" else chance.choice((1, 1, 2, 3))
    return Command(chance.uniform(0.0, SECONDS * 0.9), chance.choice(LOGIN), verb, which, group)


# -- shrinking -----------------------------------------------------------------------------------------


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less."""
    for part in ("troubles", "array_commands", "commands", "tasks", "arrays"):
        values = getattr(plan, part)
        for number in range(len(values)):
            yield replace(plan, **{part: values[:number] + values[number + 1 :]})


def shrink(plan: Plan, fails: Callable[[Plan], bool], *, tries: int = 400) -> Plan:
    """The plan with as little in it as still fails, by leaving out one thing after the other."""
    while True:
        for less in smaller(plan):
            tries -= 1
            if tries < 0:
                return plan
            if fails(less):
                plan = less
                break
        else:
            return plan
