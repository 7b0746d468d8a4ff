"""Named situations of the monitor, as scenes: what a person may see at any time of the day."""

from __future__ import annotations

import random

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.heartbeat import GpuUse, Heartbeat, Running
from leaseq.lease.base import LeaseState
from leaseq.lease.view import LeaseView
from leaseq.models import Lease, Need, State
from leaseq.monitor.arranging import arranged
from leaseq.monitor.data import Data, Leases, Log, Watched
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.press import press
from leaseq.protocol.groups import Limits
from leaseq.reading.forecast import Forecast
from leaseq.reading.logtext import Line, sanitise
from leaseq.reading.views import Health, NodeView, Place, Progress, Snapshot, TaskView
from leaseq.reading.waits import Wait
from leaseq.upstream import Upstream
from tests.build import make_entry

WALL = 1_752_567_000.0
"""A Tuesday morning."""
NOW = 5000.0
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x50": (200, 50), "40x10": (40, 10)}
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def task_id(number: int) -> str:
    """An id that looks like one, and is always the same."""
    source = random.Random(number)
    return "T" + "".join(source.choice(LETTERS) for _ in range(11))


def lines(text: str, stream: str = "out") -> tuple[Line, ...]:
    found, style, at = [], "", 0
    for line in text.split("\n"):
        spans, style = sanitise(line, style)
        found.append(Line(spans, stream, at))
        at += len(line.encode()) + 1
    return tuple(found)


def log(task: str, text: str, *, attempt: int = 1, above: int = 0) -> Log:
    """All of an output; with `above` its end only."""
    found = tuple(replace(line, at=line.at + above) for line in lines(text))
    size = above + len(text.encode()) + 1
    return Log(task, attempt, "both", found, size, size, size)


TRAINING = "\n".join(
    f"2025-07-15 10:{n // 60:02d}:{n % 60:02d} epoch {1 + n // 20:>2}/50  step {n * 25:>5}/5005  "
    f"loss {6.2 * 0.985**n:.4f}  lr 3.0e-04  {412 + n % 7} img/s"
    for n in range(90)
)


TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/home/ada/train.py", line 212, in <module>',
    "    main()",
    '  File "/home/ada/train.py", line 188, in main',
    "    loss.backward()",
    "RuntimeError: CUDA out of memory. Tried to allocate 2.50 GiB",
)


def gpu(token: str, use: float, mem: float, heat: float) -> GpuUse:
    return GpuUse(token, f"GPU-{token}", "NVIDIA A100-SXM4-80GB", use, mem * 1024, 81920.0, heat)


def node(name: str, uses: tuple[GpuUse, ...] = (), *, running: tuple[Running, ...] = (), **options: object) -> NodeView:
    """A node that is up."""
    held = {token for run in running for token in run.gpus}
    tokens = tuple(use.token for use in uses)
    beat = Heartbeat(
        lease="48213",
        node=name,
        incarnation="0123456789",
        counter=7,
        time=WALL,
        interval_seconds=10.0,
        cpus=64,
        mem_mb=512 * 1024,
        free_cpus=64 - 8 * len(running),
        free_mem_mb=(512 - 60 * len(running)) * 1024,
        gpus=tokens,
        free_gpus=tuple(token for token in tokens if token not in held),
        running=running,
        load=7.5 * len(running),
        gpu_use=uses,
        idle_seconds=float(str(options.pop("idle", 0.0))),
    )
    health = options.pop("health", Health.OK)
    assert isinstance(health, Health)
    return NodeView(name, health, beat, 3.0, claimed=len(running), **options)  # type: ignore[arg-type]


def pending(number: int, command: str, *, reason: str = "GPU", gpus: int | None = 1, name: str = "") -> TaskView:
    where = Place("/home/inbox/_any", "x")
    return TaskView(
        task_id(number),
        1,
        State.PENDING,
        reason,
        "_any",
        name,
        command,
        Need(gpus=gpus),
        submitted=WALL - 900 + number,
        place=where,
    )


def running(number: int, node: str, gpus: tuple[str, ...], command: str, seconds: float, name: str = "") -> TaskView:
    return TaskView(
        task_id(number),
        1,
        State.RUNNING,
        "",
        node,
        name,
        command,
        Need(gpus=len(gpus)),
        gpus,
        submitted=WALL - seconds - 12,
        started=WALL - seconds,
        elapsed_seconds=seconds,
        pid=4000 + number,
    )


def ended(number: int, state: State, node: str, command: str, *, ago: float, took: float, **more: object) -> TaskView:
    start = WALL - ago - took
    return TaskView(
        task_id(number),
        1,
        state,
        node=node,
        command=command,
        gpus=("0",),
        submitted=start - 5,
        started=start,
        ended=WALL - ago,
        elapsed_seconds=took,
        **more,  # type: ignore[arg-type]
    )


def run_of(task: TaskView) -> Running:
    return Running(task.id, 1, task.gpus, 8, 0, task.pid, task.started, name=task.name, command=task.command)


def counted(tasks: tuple[TaskView, ...], **more: int) -> dict[State, int]:
    totals = {state: sum(task.state is state for task in tasks) for state in State}
    return totals | {State[word]: totals[State[word]] + count for word, count in more.items()}


def lease_row(
    lease_id: str,
    kind: str,
    name: str = "",
    word: str = "",
    reason: str = "",
    *,
    left_seconds: float | None = None,
    nodes: tuple[str, ...] = (),
    argv: tuple[str, ...] = (),
    created: float = 0.0,
) -> LeaseView:
    lease = Lease(lease_id, kind, created, name=name, nodes=nodes, argv=argv)
    state = LeaseState(word, reason, nodes, ends=None if left_seconds is None else WALL - 2 + left_seconds)
    return LeaseView(lease, state, nodes, left_seconds, ((lease.first, state),))


LOCAL = lease_row("local:atlas", "local", word="RUNNING", nodes=("atlas",), created=WALL - 90000)
SWEEP = lease_row(
    "48213",
    "slurm",
    "sweep",
    "RUNNING",
    left_seconds=11564.0,
    nodes=("gpu-node-01", "gpu-node-02"),
    argv=("-p", "gpu", "-N2", "--gres=gpu:4", "-t", "8:00:00"),
    created=WALL - 17300,
)
QUEUED = lease_row("48377", "slurm", "big", "PENDING", "Priority", argv=("-p", "gpu", "-N8"), created=WALL - 600)


def scene(data: Data, ui: Ui = Ui(), *, size: str = "80x24") -> Scene:  # noqa: B008
    columns, lines_ = SIZES[size]
    return Scene(data, ui, columns, lines_, NOW, WALL)


def with_snapshot(data: Data, snapshot: Snapshot) -> Data:
    """The data with another look at the lease."""
    return replace(data, lease=replace(data.lease, snapshot=snapshot))


def empty() -> Data:
    """Nothing was ever submitted."""
    shot = Snapshot("local:atlas", None, WALL, (), (), dict.fromkeys(State, 0))
    return Data("local:atlas", Watched(shot, NOW - 1), Leases(at=NOW - 1))


def one_lease() -> Data:
    """This host, two tasks of an evening."""
    tasks = (
        running(1, "atlas", (), "python fit.py --fold 3", 754.0),
        ended(2, State.DONE, "atlas", "python fit.py --fold 2", ago=760, took=811, exit_code=0),
        ended(3, State.DONE, "atlas", "python fit.py --fold 1", ago=1580, took=797, exit_code=0),
    )
    view = node("atlas", running=(run_of(tasks[0]),))
    record = Lease(id="local:atlas", kind="local", created=WALL - 90000, nodes=("atlas",))
    shot = Snapshot("local:atlas", record, WALL, (view,), tasks, counted(tasks))
    text = "fold 3 of 5\nreading features … 48,212 rows\niteration 12  rmse 0.2214"
    return Data("local:atlas", Watched(shot, NOW - 1), Leases((LOCAL,), NOW - 1), log(tasks[0].id, text))


def busy() -> Data:
    """A lease of two nodes with four GPUs each, and a queue."""
    train = running(
        10, "gpu-node-01", ("0", "1"), "python train.py --model vit-l --lr 3e-4 --epochs 50", 7234.0, "vit-l"
    )
    second = running(11, "gpu-node-01", ("2",), "python train.py --model resnet50 --lr 1e-3", 3021.0)
    third = running(
        12, "gpu-node-02", ("0", "1", "2", "3"), "torchrun --nproc-per-node 4 pretrain.py --ctx 8192", 512.0
    )
    waiting = tuple(
        pending(20 + n, f"python train.py --model resnet50 --lr {3 + n}e-4 --seed {n}", name="" if n else "next")
        for n in range(14)
    )
    done = tuple(
        ended(
            60 + n,
            State.DONE,
            f"gpu-node-0{1 + n % 2}",
            f"python eval.py --checkpoint run{n:02d}/best.pt",
            ago=300 + 400 * n,
            took=95 + 13 * n,
            exit_code=0,
        )
        for n in range(6)
    )
    failed = ended(
        70, State.FAILED, "gpu-node-02", "python train.py --model vit-h --batch 512", ago=1400, took=38, exit_code=1
    )
    late = ended(
        71, State.TIMEOUT, "gpu-node-01", "python search.py --budget 2h", ago=5200, took=7200, reason="Time limit"
    )
    gone = ended(72, State.CANCELLED, "gpu-node-01", "python train.py --oops", ago=6100, took=4, reason="cancelled")
    rest = sorted((*done, failed, late, gone), key=lambda task: -(task.ended or 0))
    tasks = (train, second, third, *waiting, *rest)
    one = node(
        "gpu-node-01",
        (gpu("0", 97, 71, 64), gpu("1", 95, 70, 66), gpu("2", 61, 22, 57), gpu("3", 0, 1, 34)),
        running=(run_of(train), run_of(second)),
    )
    two = node("gpu-node-02", tuple(gpu(str(n), 88 + n, 78, 68 + n) for n in range(4)), running=(run_of(third),))
    record = Lease(id="48213", kind="slurm", created=WALL - 17300, name="sweep", nodes=SWEEP.nodes, argv=SWEEP.argv)
    shot = Snapshot("48213", record, WALL, (one, two), tasks, counted(tasks, DONE=114, FAILED=2))
    source = random.Random(4)
    history = {
        (view.node, use.token): tuple(
            max(0.0, min(100.0, (use.utilisation or 0) + source.uniform(-22, 6) * (use.utilisation or 0) / 100))
            for _ in range(40)
        )
        for view in (one, two)
        for use in (view.heartbeat.gpu_use if view.heartbeat else ())
    }
    ahead = Forecast(len(waiting), 14800.0, 5)
    return Data(
        "48213",
        Watched(shot, NOW - 3, left_seconds=11564.0, gpus=history, ahead=ahead),
        Leases((SWEEP, QUEUED, LOCAL), NOW - 2, slurm_age=26.0),
        log(train.id, TRAINING),
        {train.id: Progress(0.434, 4323.0), third.id: Progress(0.127, part="epoch 3")},
    )


def gpu_truth() -> Data:
    """A GPU that its task has left idle, one that is free and used by somebody else, one that is too hot."""
    data = busy()
    assert data.lease.snapshot
    one, two = data.lease.snapshot.nodes
    assert one.heartbeat and two.heartbeat
    first, second, third, fourth = one.heartbeat.gpu_use
    uses = (
        replace(first, power_w=391.0),
        replace(second, power_w=384.0, temperature_c=84.0),
        replace(third, utilisation=0.0, power_w=61.0, idle_seconds=412.0),
        replace(fourth, utilisation=31.0, power_w=None, mem_used_mb=30720.0, stranger_mb=30720.0),
    )
    runs = tuple(
        replace(run, cpus_used=cpus, rss_mb=mb)
        for run, cpus, mb in zip(one.heartbeat.running, (7.84, 0.02), (48_210.0, 9_216.0), strict=True)
    )
    beat = replace(one.heartbeat, gpu_use=uses, running=runs, mem_used_mb=91_000)
    hot = (*two.heartbeat.gpu_use[:3], replace(two.heartbeat.gpu_use[3], temperature_c=91.0))
    nodes = (replace(one, heartbeat=beat), replace(two, heartbeat=replace(two.heartbeat, gpu_use=hot)))
    known = {run.id: run for run in runs}
    tasks = tuple(
        replace(task, cpus_used=known[task.id].cpus_used, rss_mb=known[task.id].rss_mb) if task.id in known else task
        for task in data.lease.snapshot.tasks
    )
    shown = with_snapshot(data, replace(data.lease.snapshot, nodes=nodes, tasks=tasks))
    past = {**data.lease.gpus, (one.node, third.token): (64.0, 61.0, *[0.0] * 38)}
    return replace(shown, lease=replace(shown.lease, gpus=past))


def queued() -> Data:
    """The same lease: the first two that wait are of a paused group, and the second waits for the first."""
    data = busy()
    assert data.lease.snapshot
    first, second = [task for task in data.lease.snapshot.tasks if task.state is State.PENDING][:2]
    place = Place("/home/inbox/_any", str(make_entry(first.id, priority=5, need=first.need)))
    waits = (Wait(Upstream("ok", first.id, 1, "48213"), "PENDING"),)
    group = {first.id: replace(first, group="eval", place=place), second.id: replace(second, group="eval", waits=waits)}
    tasks = tuple(group.get(task.id, task) for task in data.lease.snapshot.tasks)
    return with_snapshot(data, replace(data.lease.snapshot, tasks=tasks, limits=Limits(paused=frozenset({"eval"}))))


def several_jobs() -> Data:
    """The same lease after two jobs that have ended, and with one that waits; what the last one had is read."""
    data = busy()
    first, last = (
        (Allocation(number, "slurm", SWEEP.id, WALL - ago, job=number), LeaseState("ENDED", why))
        for number, ago, why in (("47990", 99000.0, "TIMEOUT (TimeLimit)"), ("48102", 33000.0, "released"))
    )
    waits = Allocation("48377", "slurm", SWEEP.id, WALL - 600, job="48377")
    state = LeaseState("PENDING", "Priority", starts="2025-07-15T12:40:00")
    row = replace(SWEEP, allocs=(*SWEEP.allocs, (waits, state)), ended=(first, last))
    return replace(data, leases=replace(data.leases, rows=(row, LOCAL)), had={(SWEEP.id, last[0].id): ("gpu-node-03",)})


def stale_node() -> Data:
    """One of two nodes has not been heard of for more than a minute."""
    data = busy()
    assert data.lease.snapshot
    one, two = data.lease.snapshot.nodes
    late = replace(two, health=Health.LATE, age_seconds=83.0, why="silent for 83 s")
    tasks = tuple(
        replace(task, state=State.UNKNOWN, reason="NodeLate")
        if task.state is State.RUNNING and task.node == two.node
        else task
        for task in data.lease.snapshot.tasks
    )
    totals = counted(tasks, DONE=114, FAILED=2)
    return with_snapshot(data, replace(data.lease.snapshot, nodes=(one, late), tasks=tasks, totals=totals))


def stuck_task() -> Data:
    """The runner of a node is gone; what it ran is stuck."""
    data = busy()
    assert data.lease.snapshot
    one, two = data.lease.snapshot.nodes
    down = replace(two, health=Health.DOWN, age_seconds=412.0, why="silent for 412 s")
    tasks = tuple(
        replace(task, state=State.STUCK, reason="NodeDown")
        if task.state is State.RUNNING and task.node == two.node
        else task
        for task in data.lease.snapshot.tasks
    )
    totals = counted(tasks, DONE=114, FAILED=2)
    return with_snapshot(data, replace(data.lease.snapshot, nodes=(one, down), tasks=tasks, totals=totals))


def many_tasks() -> Data:
    """Ten thousand tasks wait on 64 nodes; a hundred of them are read."""
    nodes = tuple(
        node(f"n{number:02d}", tuple(gpu(str(g), 90.0 - (number + g) % 9, 60, 60) for g in range(8)))
        for number in range(1, 65)
    )
    active = tuple(
        running(100 + n, f"n{1 + n // 8:02d}", (str(n % 8),), f"python run.py --seed {n}", 60.0 * n) for n in range(512)
    )
    waiting = tuple(pending(1000 + n, f"python run.py --seed {n + 512}") for n in range(100))
    tasks = active + waiting
    totals = counted(tasks, PENDING=9900, DONE=100_000, FAILED=412)
    shot = Snapshot("48213", None, WALL, nodes, tasks, totals)
    return Data(
        "48213",
        Watched(shot, NOW - 2, left_seconds=250_000.0),
        Leases((SWEEP,), NOW - 2, slurm_age=12.0),
        log(active[0].id, "seed 0"),
    )


def wide_characters() -> Data:
    """Names and output in scripts whose letters are two columns wide, or none."""
    tasks = (
        running(1, "atlas", (), "python 学習.py --データ 画像セット --出力 結果/モデル", 754.0, "日本語の名前"),
        pending(2, "echo 한국어 작업 이름 🚀🚀 e\u0301te\u0301", gpus=0, reason="Slots"),
        ended(3, State.FAILED, "atlas", "cat 文件.txt", ago=60, took=1, exit_code=1),
    )
    view = node("atlas", running=(run_of(tasks[0]),))
    text = "エポック 1/10 損失 0.52 ███████░░░ 71%\n한국어 출력 🚀 ok\n👩\u200d🔬 ❤\ufe0f e\u0301\nplain again"
    shot = Snapshot("local:atlas", None, WALL, (view,), tasks, counted(tasks))
    return Data(
        "local:atlas",
        Watched(shot, NOW - 1),
        Leases((LOCAL,), NOW - 1),
        log(tasks[0].id, text),
    )


HOSTILE = (
    "normal line\n"
    "\x1b[2J\x1b[H\x1b[31mred after a cleared screen\x1b[0m\n"
    "\x1b]0;owned title\x07\x1b]52;c;ZXZpbA==\x07a title and a clipboard\n"
    "\x1b[?1049h\x1b[?25l\x1b[10;10Hcursor moved\x1b[5mblink\x1b[8mhidden\x1b[0m\n"
    "\x9b31m8-bit control\x9b2J\u202eright to left\u202c\n"
    "\x1bP+q544e\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\device strings\x07\x08\x08\x08\n"
    "tab\tstops\tline\n"
    "\x1b[38;5;208morange \x1b[1;4mbold underlined\x1b[0m plain\n"
    "unfinished \x1b]0;never ends"
)


def hostile_log() -> Data:
    """A task whose output tries to take the screen, and whose command does too."""
    data = one_lease()
    assert data.lease.snapshot
    first, *rest = data.lease.snapshot.tasks
    evil = replace(first, command="printf '\x1b[2J\x1b]0;owned\x07' && rm -rf /\n# second line", name="ev\x1b[31mil")
    shot = replace(data.lease.snapshot, tasks=(evil, *rest))
    return replace(with_snapshot(data, shot), log=log(first.id, HOSTILE))


SITUATIONS = {
    "empty": empty,
    "one-lease": one_lease,
    "busy": busy,
    "gpu-truth": gpu_truth,
    "stale-node": stale_node,
    "stuck-task": stuck_task,
    "many-tasks": many_tasks,
    "wide-characters": wide_characters,
    "hostile-log": hostile_log,
}


def typed(scene: Scene, *strokes: str) -> Scene:
    """The scene after those keys; effects are dropped."""
    for stroke in strokes:
        scene = arranged(replace(scene, ui=press(scene, stroke).ui))
    return scene
