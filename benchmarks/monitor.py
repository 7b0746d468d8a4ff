"""What the monitor costs: its first frame, a key, a refresh, bytes on the wire, a minute of doing nothing, memory.

Beside it stands what people leave open instead: `watch` with a status command, and a bare squeue-like listing.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import LEASEQ, Row, home, run, show

from leaseq.dataclass import replace
from leaseq.heartbeat import GpuUse, Heartbeat, Running
from leaseq.layout import Home, LeaseDir
from leaseq.models import Array, Event, Lease, Need, State, Task
from leaseq.monitor.arranging import arranged
from leaseq.monitor.data import Data, Watched
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.paint import changes
from leaseq.monitor.pane import Pane
from leaseq.monitor.press import press
from leaseq.monitor.reader import LeaseWatch
from leaseq.monitor.view import frame
from leaseq.monitor.viewing import Viewing
from leaseq.monitor.viewwatch import ViewWatch
from leaseq.monitor.wants import Look, Want
from leaseq.names import Entry, new_incarnation, new_task_id, order
from leaseq.protocol import allocs, arrays, records
from leaseq.protocol.facts import Ended
from leaseq.protocol.journal import Journal
from leaseq.protocol.plan import Plan
from leaseq.reading import views
from leaseq.reading.snapshot import Reader
from leaseq.reading.tails import Tails
from leaseq.upstream import Upstream
from leaseq.world import SystemClock, SystemFs

IDLE_SECONDS = 60.0
NODES, PENDING, FINISHED = 64, 10_000, 100_000


class Pty:
    """A program on a terminal of that size; what it writes is counted, not drawn."""

    def __init__(self, argv: list[str], env: Mapping[str, str], *, columns: int = 120, lines: int = 40) -> None:
        self.fd, child = pty.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            argv, stdin=child, stdout=child, stderr=child, env={**env, "TERM": "xterm-256color"}, start_new_session=True
        )
        os.close(child)
        self.seen = b""

    def read(self, seconds: float) -> bytes:
        """What it writes, until it is silent for so long."""
        found = b""
        while select.select([self.fd], [], [], seconds)[0]:
            data = os.read(self.fd, 1 << 16)
            found += data
        self.seen += found
        return found

    def listen(self, seconds: float) -> None:
        """What it writes in that time is read."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 1 << 16)

    def until(self, words: bytes, seconds: float = 20.0) -> float:
        """Seconds from the program's start to the end of the write that holds the words."""
        deadline = time.perf_counter() + seconds
        while words not in self.seen:
            if not select.select([self.fd], [], [], max(0.0, deadline - time.perf_counter()))[0]:
                raise SystemExit(f"no {words!r} within {seconds} s; last: {self.seen[-300:]!r}")
            self.seen += os.read(self.fd, 1 << 16)
        return time.perf_counter() - self.began

    def key(self, key: bytes) -> float:
        """Seconds from the key to the first byte that answers it."""
        self.read(0.05)
        began = time.perf_counter()
        os.write(self.fd, key)
        select.select([self.fd], [], [], 5)
        return time.perf_counter() - began

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.fd)


@contextmanager
def on_terminal(argv: list[str], env: Mapping[str, str], **size: int) -> Iterator[Pty]:
    made = Pty(argv, env, **size)
    try:
        yield made
    finally:
        made.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def live(rows: list[Row]) -> None:
    """A small local lease that runs one task, watched through a pseudo-terminal."""
    with home() as env:
        run([*LEASEQ, "submit", "--name", "long", "--", "echo first words; sleep 600"], env=env)
        for n in range(12):
            run([*LEASEQ, "submit", "--gpus", "0", "--name", f"next{n}", "--", "true"], env=env)
        try:
            _first_frame(rows, env)
            _keys(rows, env)
            _idle(rows, env)
        finally:
            run([*LEASEQ, "daemon", "stop", "--kill"], env=env)


def _first_frame(rows: list[Row], env: dict[str, str]) -> None:
    frames, answers = [], []
    for _ in range(7):
        with on_terminal([*LEASEQ, "tui"], env) as screen:
            # The task's name is in the frame only once the lease has been read.
            frames.append(screen.until(b"long:"))
            os.write(screen.fd, b"?")
            answers.append(screen.until(b"everywhere"))
    first, answer = statistics.median(frames) * 1000, statistics.median(answers) * 1000
    rows.append(
        Row("first frame, from process start", first, "ms", "<= 250", first <= 250, " with the lease's tasks in it")
    )
    rows.append(Row("first key answered, from process start", answer, "ms", note=" blessed is imported by then"))


def _keys(rows: list[Row], env: dict[str, str]) -> None:
    with on_terminal([*LEASEQ, "tui"], env, columns=200, lines=50) as screen:
        screen.until(b"long:")
        os.write(screen.fd, b"F")
        screen.until(b"All")
        taken = [screen.key(b"k" if n % 2 else b"j") for n in range(40)]
        middle, worst = statistics.median(taken) * 1000, max(taken) * 1000
        rows.append(Row("key to changed screen, 200x50, median", middle, "ms", "<= 30", middle <= 30))
        rows.append(Row("key to changed screen, 200x50, worst of 40", worst, "ms"))


def _idle(rows: list[Row], env: dict[str, str]) -> None:
    with on_terminal([*LEASEQ, "tui"], env) as screen:
        screen.until(b"long:")
        screen.listen(3.0)
        before, cpu = len(screen.seen), cpu_seconds(screen.process.pid)
        screen.listen(IDLE_SECONDS)
        used = (cpu_seconds(screen.process.pid) - cpu) / IDLE_SECONDS * 100
        wrote = (len(screen.seen) - before) / IDLE_SECONDS
        held = memory_mb(screen.process.pid)
        rows.append(Row("CPU in a quiet minute", used, "% of core", "< 1", used < 1))
        rows.append(
            Row("bytes written per second, quiet", wrote, "B", "< 200", wrote < 200, " ages and one running clock")
        )
        rows.append(Row("memory", held, "MiB", "<= 60", held <= 60))


def watched(rows: list[Row]) -> None:
    """What `watch` costs with the same lease."""
    if not shutil.which("watch"):
        return
    with home() as env:
        run([*LEASEQ, "submit", "--no-start", "--", "true"], env=env)
        with on_terminal(["watch", "-n", "2", " ".join([*LEASEQ, "tasks"])], env) as screen:
            screen.listen(3.0)
            before = _children_cpu(screen.process.pid)
            began = time.monotonic()
            screen.listen(20.0)
            used = (_children_cpu(screen.process.pid) - before) / (time.monotonic() - began) * 100
            rows.append(Row("beside it: watch -n 2 leaseq tasks, CPU", used, "% of core"))


def _children_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


# -- a big lease -------------------------------------------------------------------------------------


class Counting(SystemFs):
    """Counts what it is asked."""

    count = 0

    def names(self, directory: str) -> list[str]:
        self.count += 1
        return super().names(directory)

    def read(self, path: str) -> bytes:
        self.count += 1
        return super().read(path)

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        self.count += 1
        return super().read_range(path, offset, length)


def big(
    root: str, *, finished: int, nodes: int = NODES, pending: int = PENDING, lease_id: str = "777", kind: str = "slurm"
) -> LeaseDir:
    """A lease directory of so many nodes with eight GPUs each, so many pending tasks, and that many finished ones."""
    fs, lease = SystemFs(remote=False), Home(root).lease(lease_id)
    os.makedirs(Home(root).runs, mode=0o700, exist_ok=True)
    os.chmod(root, 0o700)
    records.prepare(fs, lease)
    names = tuple(f"n{number:02d}" for number in range(nodes))
    record = Lease(id=lease_id, kind=kind, created=time.time(), nodes=names)
    Path(lease.record).write_bytes(record.to_json())
    for n in range(pending):
        _file(lease.inbox("_any"), n, lease)
    for node in names:
        records.prepare_node(fs, lease, node)
        running = []
        for gpu in range(8):
            task = _file(lease.claimed(node), gpu, lease, owner="abcdefghjk")
            running.append(Running(task, 1, (str(gpu),), 4, 0, 100, time.time(), command="python train.py"))
        uses = tuple(GpuUse(str(gpu), f"GPU-{gpu}", "A100", 97.0, 71000.0, 81920.0, 64.0) for gpu in range(8))
        tokens = tuple(use.token for use in uses)
        beat = Heartbeat(lease_id, node, "abcdefghjk", 1, time.time(), 10.0, node, "x", 1, gpus=tokens, cpus=64)
        beat = Heartbeat(**{**vars(beat), "running": tuple(running), "gpu_use": uses})
        Path(lease.heartbeat(node)).write_bytes(beat.to_json())
        lines = [
            Event(
                new_task_id(), 1, State.DONE, time.time(), node, command="x", exit_code=0, totals={"DONE": n}
            ).to_json()
            for n in range(finished // nodes)
        ]
        Path(lease.events(node)).write_bytes(b"".join(lines))
    return lease


def _file(directory: str, number: int, lease: LeaseDir, *, owner: str = "") -> str:
    task, need = new_task_id(), Need(gpus=1)
    entry = Entry(order(priority=0, micros=int(time.time() * 1e6), sequence=number), task, need, 1, owner)
    body = Task(id=task, argv=("python", "train.py", str(number)), cwd="/", submitted=time.time(), need=need)
    Path(f"{directory}/{entry}").write_bytes(body.to_json())
    return task


def refreshes(rows: list[Row]) -> None:
    """A read of the big lease and the frame of it, and how many questions the file system is asked."""
    counts = {}
    for finished in (1_000, FINISHED):
        with home() as env:
            root = env["LEASEQ_HOME"]
            shutil.rmtree(root, ignore_errors=True)
            big(root, finished=finished)
            fs, clock = Counting(remote=False), SystemClock()
            watch = LeaseWatch(fs, Home(root), clock)
            lease, taken = Watched(), []
            for _ in range(9):
                before, began = fs.count, time.perf_counter()
                lease = watch.read(Want("777"), lease)
                taken.append(time.perf_counter() - began)
                counts[finished] = fs.count - before
            refresh = statistics.median(taken[2:]) * 1000
    assert lease.snapshot is not None
    data = Data("777", lease)
    name = f"refresh: {PENDING:,} pending, {FINISHED:,} finished, {NODES} nodes"
    rows.append(Row(name, refresh, "ms", "<= 50", refresh <= 50))
    same = counts[1_000] == counts[FINISHED]
    rows.append(Row("file system operations per refresh", counts[FINISHED], "", "same with 1,000 finished", same))
    for columns, lines in ((80, 24), (200, 50)):
        scene = arranged(Scene(data, Ui(), columns=columns, lines=lines, now=clock.monotonic(), wall=clock.now()))
        drawn = []
        for n in range(20):
            later = Scene(data, scene.ui, columns, lines, clock.monotonic() + n, clock.now() + n)
            began = time.perf_counter()
            frame(arranged(later))
            drawn.append(time.perf_counter() - began)
        rows.append(Row(f"making a frame of it, {columns}x{lines}", statistics.median(drawn) * 1000, "ms"))
    one = frame(scene)
    row = list(one[5])
    changed = (*one[:5], tuple([(text.replace("RUNNING", "DONE   "), style) for text, style in row]), *one[6:])
    rows.append(Row("bytes written per changed row, 200x50", len(changes(one, changed, mono=False).encode()), "B"))


def million(lease: LeaseDir, *, ended: int) -> str:
    """An array of a million indices, so many of which have ended on its nodes, every thousandth badly; its id."""
    fs, task = SystemFs(remote=False), new_task_id()
    array, need = Array("0-999999"), Need(gpus=1)
    entry = Entry(order(priority=9, micros=int(time.time() * 1e6), sequence=1), task, need, 1, count=1_000_000)
    body = Task(id=task, argv=("python", "sweep.py"), cwd="/", submitted=time.time(), need=need, array=array)
    Path(f"{lease.inbox('_any')}/{entry}").write_bytes(body.to_json())
    arrays.prepare(fs, lease, entry)
    plan, share = Plan(1_000_000), ended // NODES
    for number in range(NODES):
        journal = Journal(fs, lease.array(task, 1), f"n{number:02d}", new_incarnation())
        for first in range(number * share, (number + 1) * share, 500):
            some = range(first, min(first + 500, (number + 1) * share))
            ends = [
                Ended(n, 1, plan.chunk_of(n), State.FAILED if n % 1000 == 7 else State.DONE, 0, started=1.0, ended=2.0)
                for n in some
            ]
            journal.write(begun={plan.chunk_of(first): [(n, 1) for n in some]}, ended=ends)
    return task


def unfolded(rows: list[Row]) -> None:
    """The grid of an array of a million in the big lease, half of it ended: its first look, quiet ones, its frame."""
    with home() as env:
        root = env["LEASEQ_HOME"]
        shutil.rmtree(root, ignore_errors=True)
        lease = big(root, finished=FINISHED)
        task = million(lease, ended=512_000)
        fs, clock = Counting(remote=False), SystemClock()
        lease_watch, watch = LeaseWatch(fs, Home(root), clock), ViewWatch(fs, Home(root), clock)
        data = Data("777", lease_watch.read(Want("777"), Watched()))
        look, began = Look("777", "grid", task), time.process_time()
        seen = watch.read(look, data)
        while watch.reading:
            seen = watch.read(look, data)
        rows.append(Row("grid of a million, 512,000 ended, first look", time.process_time() - began, "s CPU"))
        look, taken = replace(look, task=f"{task}_777777"), []
        for _ in range(9):
            before, began = fs.count, time.process_time()
            seen = watch.read(look, data)
            taken.append(time.process_time() - began)
        spent = statistics.median(taken) * 1000
        note = f" with an index's row; {fs.count - before} operations on {NODES} nodes' journals"
        rows.append(Row("the same grid, a quiet refresh", spent, "ms CPU", "<= 50", spent <= 50, note))
        view = Viewing(Pane.GRID, task)
        drawing(rows, "the same grid", replace(data, seen=seen), Ui(view=view, focus=Pane.GRID, last_list=Pane.GRID))


def ran(rows: list[Row]) -> None:
    """The timeline of a day of the big lease: 100,000 tasks on 512 GPUs, and 512 that run."""
    with home() as env:
        root = env["LEASEQ_HOME"]
        shutil.rmtree(root, ignore_errors=True)
        lease, now = big(root, finished=0), time.time()
        names = [f"n{number:02d}" for number in range(NODES)]
        named = Path(allocs.directory(lease, allocs.all_of(SystemFs(remote=False), lease)[0]).named)
        named.write_text("\n".join(names))
        os.utime(named, (now - 90_000, now - 90_000))
        share = FINISHED // NODES
        for node in names:
            began = [now - 86_000 + 85_000 * n // share for n in range(share)]
            events = (
                Event(
                    new_task_id(),
                    1,
                    State.FAILED if n % 50 == 7 else State.DONE,
                    at + 400.0,
                    node,
                    name="sweep",
                    started=at,
                    elapsed_seconds=400.0,
                    gpus=(str(n % 8),),
                ).to_json()
                for n, at in enumerate(began)
            )
            Path(lease.events(node)).write_bytes(b"".join(events))
        fs, clock = Counting(remote=False), SystemClock()
        watch = ViewWatch(fs, Home(root), clock)
        data = Data("777", LeaseWatch(fs, Home(root), clock).read(Want("777"), Watched()))
        for hours in (6, 24):
            taken, look = [], Look("777", "timeline", "777", back=hours * 3600)
            for _ in range(9):
                before, began_at = fs.count, time.process_time()
                seen = watch.read(look, data)
                taken.append(time.process_time() - began_at)
            spent, most = statistics.median(taken[1:]) * 1000, max(taken) * 1000
            note = f" first {most:.0f}; {fs.count - before} operations"
            rows.append(Row(f"timeline of {hours} h, a quiet refresh", spent, "ms CPU", "<= 50", spent <= 50, note))
            view = Viewing(Pane.TIMELINE, "777", first=hours * 3600)
            ui = Ui(view=view, focus=Pane.TIMELINE, last_list=Pane.TIMELINE)
            drawing(rows, f"timeline of {hours} h", replace(data, seen=seen), ui)


def more_views(rows: list[Row]) -> None:
    """Dependencies and allocations of the big lease; every tenth pending task comes after the one before."""
    with home() as env:
        root = env["LEASEQ_HOME"]
        shutil.rmtree(root, ignore_errors=True)
        lease = big(root, finished=FINISHED)
        fs, clock = Counting(remote=False), SystemClock()
        watch = ViewWatch(fs, Home(root), clock)
        data = Data("777", LeaseWatch(fs, Home(root), clock).read(Want("777"), Watched()))
        before: Task | None = None
        for number, name in enumerate(sorted(os.listdir(lease.inbox("_any")))[:1000]):
            path = Path(f"{lease.inbox('_any')}/{name}")
            task = Task.from_json(path.read_bytes())
            if before is not None and number % 10:
                task = replace(task, after=(str(Upstream("ok", before.id, 1, "777")),))
                path.write_bytes(task.to_json())
            before = task
        for view, what in ((Pane.TREE, "dependencies"), (Pane.JOBS, "allocations")):
            taken, look = [], Look("777", view.value, "777")
            for _ in range(9):
                began = time.process_time()
                seen = watch.read(look, data)
                taken.append(time.process_time() - began)
            spent, first = statistics.median(taken[1:]) * 1000, taken[0] * 1000
            rows.append(Row(f"{what}, a quiet refresh", spent, "ms CPU", "<= 50", spent <= 50, f" first {first:.0f}"))
            ui = Ui(view=Viewing(view, "777"), focus=view, last_list=view)
            drawing(rows, what, replace(data, seen=seen), ui)


def drawing(rows: list[Row], name: str, data: Data, ui: Ui) -> None:
    """A key in a view and the frame after it, and what a quiet second writes."""
    clock = SystemClock()
    for columns, lines in ((80, 24), (200, 50)):
        scene, drawn = arranged(Scene(data, ui, columns, lines, clock.monotonic(), clock.now())), []
        for n in range(20):
            later = Scene(data, scene.ui, columns, lines, clock.monotonic() + n, clock.now() + n)
            began = time.process_time()
            scene = replace(scene, ui=press(arranged(later), "j" if n % 2 else "l").ui)
            frame(arranged(scene))
            drawn.append(time.process_time() - began)
        spent = statistics.median(drawn) * 1000
        rows.append(Row(f"{name}: a key and its frame, {columns}x{lines}", spent, "ms CPU", "<= 30", spent <= 30))
    one, two = (frame(arranged(replace(scene, now=scene.now + n, wall=scene.wall + n))) for n in (0, 1))
    wrote = len(changes(one, two, mono=False).encode())
    rows.append(Row(f"{name}: written in a quiet second", wrote, "B", "< 200", wrote < 200))


def progress(rows: list[Row]) -> None:
    """How far a screen of running tasks is, each with a bar in its stderr and words in its stdout."""
    with home() as env:
        root = env["LEASEQ_HOME"]
        shutil.rmtree(root, ignore_errors=True)
        lease = big(root, finished=64, nodes=7, pending=0)
        fs = Counting(remote=False)
        snapshot = Reader(lease, fs, SystemClock()).read()
        asked = views.running(snapshot.tasks)[:50]
        bar = "\rtrain:  43%|####      | {}/5005 [00:10<01:12, 19.4it/s, loss=0.43]"
        for task, attempt in asked:
            out, err = (Path(lease.log(task, attempt, stream)) for stream in ("out", "err"))
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text("loss 43% accuracy 71%\n" * 5000)
            err.write_text("".join(bar.format(n) for n in range(1000)))
        first, again = [], []
        for _ in range(5):
            tails, fs.count = Tails(fs, lease), 0
            began = time.perf_counter()
            found = tails.look(asked)
            first.append(time.perf_counter() - began)
            began = time.perf_counter()
            tails.look(asked)
            again.append(time.perf_counter() - began)
        if len(found) != len(asked):
            raise SystemExit(f"of {len(asked)} tasks {len(found)} say how far they are")
        words = f" {fs.count // 2} operations"
        rows.append(Row("how far 50 running tasks are, first look", statistics.median(first) * 1000, "ms", note=words))
        rows.append(Row("again, nothing written since", statistics.median(again) * 1000, "ms", note=words))


def main() -> None:
    rows: list[Row] = []
    live(rows)
    refreshes(rows)
    unfolded(rows)
    ran(rows)
    more_views(rows)
    progress(rows)
    watched(rows)
    show("monitor", rows)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main()
