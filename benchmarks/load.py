"""What much of everything costs: pending tasks, nodes, leases, submitters, output, long lines, readers of logs.

Each dimension is measured at two sizes, and the ratio is printed: it tells how the cost grows, whatever else this
machine does meanwhile. Operations are those that the port Fs is asked for; names and bytes are what they brought.
Many runners on one inbox are in crowd.py, and 100,000 finished tasks in scale.py. Parts are named as arguments.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import LEASEQ, ROOT, Row, home, median_ms, run, show, wait_for
from crowd import lease_of as lease_of_nodes
from monitor import big, memory_mb
from operations import holders
from scale import make_history
from throughput import lease_of

sys.path.insert(0, str(ROOT))

from leaseq.dataclass import replace
from leaseq.layout import Home, LeaseDir
from leaseq.models import ANY, Lease, Need, Task
from leaseq.monitor.data import Seek, Watched
from leaseq.monitor.logwatch import LogWatch
from leaseq.monitor.reader import LeasesWatch, LeaseWatch
from leaseq.monitor.wants import Want
from leaseq.names import Entry, new_incarnation, new_task_id, order
from leaseq.node.record import Rec
from leaseq.protocol import records, terms
from leaseq.reading import logtail
from leaseq.reading.find import find
from leaseq.reading.output import Log
from leaseq.reading.snapshot import Reader
from leaseq.room import Room
from leaseq.runner.decide import rank
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Options, Ports
from leaseq.runner.pulse import heartbeat_of, interval_seconds
from leaseq.world import SystemClock, SystemFs

PENDING = (10_000, 100_000)
RUN = 5_000
"""How many of the pending tasks are run."""
NODES = (64, 1_000)
LEASES = (1, 8)
SUBMITTERS = (10, 100)
AT_ONCE = 10
"""Submitters that run at one time: the others wait for a processor anyway."""
OUTPUT_BYTES = (1_000_000, 1_000_000_000)
LINE_BYTES = (1_000, 131_072)
LOOKS = 10_000
LINE = "a line of output that a task prints, of the length that such lines have"


class Counting(SystemFs):
    """The real file system, with a count of the operations, and of the names and bytes that they brought."""

    def __init__(self) -> None:
        super().__init__(remote=False)
        self.operations = self.found = self.bytes = 0

    def names(self, directory: str) -> list[str]:
        self.operations += 1
        names = super().names(directory)
        self.found += len(names)
        return names

    def read(self, path: str) -> bytes:
        return self._counted(super().read(path))

    def read_range(self, path: str, offset: int, length: int) -> tuple[bytes, int]:
        data, size = super().read_range(path, offset, length)
        return self._counted(data), size

    def _counted(self, data: bytes) -> bytes:
        self.operations += 1
        self.bytes += len(data)
        return data

    def create(self, path: str, data: bytes, *, durable: bool = True) -> None:
        self.operations += 1
        super().create(path, data, durable=durable)

    def append(self, path: str, data: bytes) -> None:
        self.operations += 1
        super().append(path, data)

    def rename(self, source: str, target: str) -> None:
        self.operations += 1
        super().rename(source, target)

    def link(self, source: str, target: str) -> None:
        self.operations += 1
        super().link(source, target)

    def unlink(self, path: str) -> None:
        self.operations += 1
        super().unlink(path)

    def sync(self, path: str) -> None:
        self.operations += 1
        super().sync(path)

    def sync_dir(self, directory: str) -> None:
        self.operations += 1
        super().sync_dir(directory)


def grown(what: str, unit: str, sizes: tuple[int, int], found: tuple[float, float], *, note: str = "") -> list[Row]:
    """The figure at both sizes, and how it grew."""
    small, large = found
    ratio = f"x {large / small:.2f} for x {sizes[1] / sizes[0]:.3g}" if small else ""
    return [
        Row(f"{what}, {sizes[0]:,}", small, unit),
        Row(f"{what}, {sizes[1]:,}", large, unit, ratio, note=note),
    ]


@dataclass(frozen=True)
class Cost:
    """What one command or call took: processor time where it is this process, else time; operations; memory."""

    ms: float
    operations: float = 0.0
    found: float = 0.0
    bytes: float = 0.0
    mb: float = 0.0


def cost_of(fs: Counting, action: Callable[[], object], *, times: int = 1) -> Cost:
    """What the action asks of the file system, and the processor's milliseconds, each time."""
    before, began = (fs.operations, fs.found, fs.bytes), time.process_time()
    for _ in range(times):
        action()
    taken = (time.process_time() - began) * 1000 / times
    asked = [(now - then) / times for now, then in zip((fs.operations, fs.found, fs.bytes), before, strict=True)]
    return Cost(taken, *asked)


def command(env: Mapping[str, str], *words: str, stdin: Any = subprocess.DEVNULL) -> Cost:
    """Milliseconds and the largest memory of a command that succeeded."""
    began = time.perf_counter()
    process = subprocess.Popen([*LEASEQ, *words], env=env, stdin=stdin, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words}: exit code {process.returncode}")
    return Cost((time.perf_counter() - began) * 1000, mb=usage.ru_maxrss / 1024)


def outcomes(lease: LeaseDir) -> int:
    return sum(len(os.listdir(shard)) for shard in Path(f"{lease.root}/done").iterdir())


# -- pending tasks -----------------------------------------------------------------------------------


def pending() -> list[Row]:
    """Submitting them by file, looking at them, and running some of them."""
    kinds = ("submit", "status", "tasks", "refresh", "run", "runner")
    small, large = (dict(zip(kinds, _pending(count), strict=True)) for count in PENDING)

    def row(what: str, kind: str, unit: str, field: str, note: str = "") -> list[Row]:
        return grown(
            f"{what}; pending", unit, PENDING, (getattr(small[kind], field), getattr(large[kind], field)), note=note
        )

    return [
        *row("submit --file", "submit", "ms", "ms"),
        *row("submit --file, memory", "submit", "MB", "mb"),
        *row("status", "status", "ms", "ms"),
        *row("status, memory", "status", "MB", "mb"),
        *row("tasks", "tasks", "ms", "ms"),
        *row("a refresh of the monitor", "refresh", "ms CPU", "ms"),
        *row("a refresh of the monitor", "refresh", "ops", "operations"),
        *row("a refresh of the monitor, names listed", "refresh", "names", "found"),
        *row("a task claimed and run", "run", "ms", "ms", f"{RUN:,} were run"),
        *row("runner, memory", "runner", "MB", "mb"),
    ]


def _pending(count: int) -> tuple[Cost, ...]:
    with home() as env:
        run([*LEASEQ, "wait", run([*LEASEQ, "submit", "--", "true"], env=env).strip()], env=env)
        run([*LEASEQ, "daemon", "stop"], env=env)
        tasks = Path(env["LEASEQ_HOME"]).parent / "tasks"
        tasks.write_text("true\n" * count)
        submitted = command(env, "submit", "--no-start", "--file", str(tasks))
        status, listed = command(env, "status"), command(env, "tasks")
        fs, lease = Counting(), lease_of(env)
        watch, seen = LeaseWatch(fs, Home(env["LEASEQ_HOME"]), SystemClock()), Watched()
        watch.read(Want(lease.id), seen)
        refresh = cost_of(fs, lambda: watch.read(Want(lease.id), seen), times=3)
        run([*LEASEQ, "daemon", "start"], env=env)
        began, before = time.perf_counter(), outcomes(lease)
        wait_for(lambda: outcomes(lease) >= before + RUN, seconds=400, what="tasks")
        taken = (time.perf_counter() - began) * 1000 / RUN
        runner = max(memory_mb(pid) for pid in holders(env))
        return submitted, status, listed, refresh, Cost(taken), Cost(0, mb=runner)


# -- a runner that polls, in this process -------------------------------------------------------------


class Instant:
    """A keeper whose tasks are over at once. What a runner asks of it and is not here, does nothing."""

    def __init__(self) -> None:
        self.over: set[str] = set()

    def start(self, key: str, request: Mapping[str, Any]) -> None:
        self.over.add(key)

    def record(self, key: str) -> Rec | None:
        return Rec(pid=1, started=1.0, ended=2.0, elapsed=1.0, status=0) if key in self.over else None

    def forget(self, key: str) -> None:
        self.over.discard(key)

    def reap(self) -> None: ...


class Hand:
    """A clock that goes where it is put."""

    def __init__(self) -> None:
        self.at = 1e6

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def polling_runner(fs: SystemFs, lease: LeaseDir, clock: Hand, nodes: list[str]) -> Runner:
    """The runner of the first of those nodes, which no kernel tells of new files."""
    procs: Any = Instant()
    ledger = Ledger(fs=fs, procs=procs, lease=lease, node=nodes[0], totals={})
    ports = Ports(fs, clock, procs, lease, nodes[0], new_incarnation(), ledger, Lease(lease.id, "local", 0.0).first)
    return Runner(ports, Options(Room(1, 1000, ()), nodes=tuple(nodes)))


def turn(runner: Runner, clock: Hand, seconds: float, *, pace: float = 0.0) -> None:
    """That much time has passed for the runner, which turned when it wanted to, or each `pace` seconds."""
    end = clock.at + seconds
    while clock.at < end:
        wait = runner.step()
        runner.ports.ledger.persist()
        clock.at += pace or max(wait, 0.01)


def fill(fs: SystemFs, lease: LeaseDir, count: int) -> None:
    """So many tasks are pending, not synced."""
    body = Task(id=new_task_id(), argv=("true",), cwd="/", submitted=1.0)
    for number in range(count):
        entry = Entry(order(priority=0, micros=10**15, sequence=number), new_task_id(), Need(cpus=1), 1)
        text = body.to_json().replace(body.id.encode(), entry.id.encode())
        Path(f"{lease.inbox(ANY)}/{entry}").write_bytes(text)


def polling() -> list[Row]:
    """A node on a file server: what its runner asks for each task of a long queue, and when it has nothing to do."""
    busy, idle, ranks = [], [], []
    for count in PENDING:
        with home() as env:
            fs, clock, nodes = Counting(), Hand(), ["n1"]
            lease = lease_of_nodes(env, nodes)
            records.prepare_node(fs, lease, nodes[0])
            fill(fs, lease, count)
            runner = polling_runner(fs, lease, clock, nodes)
            spent = cost_of(fs, partial(turn, runner, clock, 60.0, pace=0.5))
            done = outcomes(lease)
            busy.append(Cost(spent.ms / done, spent.operations / done, spent.found / done))
    for number in NODES:
        with home() as env:
            fs, clock, nodes = Counting(), Hand(), [f"n{n:04d}" for n in range(number)]
            lease = lease_of_nodes(env, nodes)
            records.prepare_node(fs, lease, nodes[0])
            runner = polling_runner(fs, lease, clock, nodes)
            turn(runner, clock, 60.0)
            spent = cost_of(fs, partial(turn, runner, clock, 6000.0))
            beat = cost_of(fs, partial(terms.beat, fs, lease, heartbeat_of(runner)))
            idle.append((spent.operations / 6000, beat.operations / interval_seconds(number)))
            ranks.append(cost_of(fs, partial(rank, nodes[0], "T0123456789a", nodes), times=2000).ms * 1000)
    each = f"nodes, one runner (times {NODES[0]} and {NODES[1]:,}: the lease)"
    a_lease = tuple(number * (turns + beats) for number, (turns, beats) in zip(NODES, idle, strict=True))
    return [
        *grown(
            "a polling runner, one task each 0.5 s; pending", "ops/task", PENDING, _pair(c.operations for c in busy)
        ),
        *grown("names listed meanwhile; pending", "per task", PENDING, _pair(c.found for c in busy)),
        *grown("processor meanwhile; pending", "ms/task", PENDING, _pair(c.ms for c in busy)),
        *grown("idle turns; nodes", "ops/s", NODES, _pair(turns for turns, _ in idle), note=each),
        *grown("idle heartbeats; nodes", "ops/s", NODES, _pair(beats for _, beats in idle), note=each),
        *grown("idle lease, all its runners; nodes", "ops/s", NODES, _pair(a_lease)),
        *grown("a node's place in a task's order; nodes", "us CPU", NODES, _pair(ranks)),
    ]


def _pair(values: Any) -> tuple[float, float]:
    small, large = values
    return small, large


# -- nodes and leases --------------------------------------------------------------------------------


def nodes() -> list[Row]:
    """A reader of a lease of many nodes with eight tasks each, and what is found of 500 finished tasks on each."""
    looks: dict[str, list[Cost]] = {"first look (status)": [], "first look, 100 ended": [], "refresh": [], "`last`": []}
    for number in NODES:
        with home() as env:
            root = env["LEASEQ_HOME"]
            lease = big(root, finished=500 * number, nodes=number, pending=1000)
            fs = Counting()
            reader = Reader(lease, fs, SystemClock())
            actions: tuple[Callable[[], object], ...] = (
                partial(_look, lease, fs),
                reader.read,
                reader.read,
                partial(_find, lease, fs, "last"),
            )
            for found, action in zip(looks.values(), actions, strict=True):
                found.append(cost_of(fs, action))
    rows = []
    for what, costs in looks.items():
        rows += grown(f"{what}; nodes", "ms CPU", NODES, _pair(c.ms for c in costs))
        rows += grown(f"{what}; nodes", "ops", NODES, _pair(c.operations for c in costs))
    return rows


def _look(lease: LeaseDir, fs: SystemFs) -> object:
    return Reader(lease, fs, SystemClock()).read(recent=1, pending=0)


def _find(lease: LeaseDir, fs: SystemFs, word: str) -> object:
    return find(Reader(lease, fs, SystemClock()), word)


def leases() -> list[Row]:
    """Leases of 8 nodes, 64 running, 100 pending and 1,000 finished tasks each, of one user."""
    listed, status, refresh, roster = [], [], [], []
    for number in LEASES:
        with home() as env:
            root = env["LEASEQ_HOME"]
            for n in range(number):
                big(root, finished=1000, nodes=8, pending=100, lease_id=f"{700 + n}", kind="local")
            listed.append(median_ms(partial(command, env, "lease", "ls"), 5))
            status.append(median_ms(partial(command, env, "status", "--lease", "700"), 5))
            fs, clock = Counting(), SystemClock()
            watch, others = LeaseWatch(fs, Home(root), clock), LeasesWatch(fs, Home(root), clock)
            watch.read(Want("700"), Watched())
            refresh.append(cost_of(fs, partial(watch.read, Want("700"), Watched()), times=5))
            roster.append(cost_of(fs, partial(others.read, "700"), times=5))
    return [
        *grown("lease ls; leases", "ms", LEASES, _pair(listed)),
        *grown("status of one; leases", "ms", LEASES, _pair(status)),
        *grown("monitor, a refresh of its lease; leases", "ops", LEASES, _pair(c.operations for c in refresh)),
        *grown("monitor, a refresh of its lease; leases", "ms CPU", LEASES, _pair(c.ms for c in refresh)),
        *grown("monitor, its list of leases; leases", "ops", LEASES, _pair(c.operations for c in roster)),
        *grown("monitor, its list of leases; leases", "ms CPU", LEASES, _pair(c.ms for c in roster)),
    ]


def finished() -> list[Row]:
    """A finished task found by its whole id, and by the first letters of it."""
    sizes = 1_000, 100_000
    whole: list[Cost] = []
    first: list[Cost] = []
    for count in sizes:
        with home() as env:
            run([*LEASEQ, "wait", run([*LEASEQ, "submit", "--", "true"], env=env).strip()], env=env)
            fs, lease = Counting(), lease_of(env)
            make_history(lease, count)
            name = os.listdir(f"{lease.root}/done/7")[0].partition(".")[0]
            for found, word in ((whole, name), (first, name[:9])):
                found.append(cost_of(fs, partial(_find, lease, fs, word)))
    return [
        *grown("info by whole id; finished", "ops", sizes, _pair(c.operations for c in whole)),
        *grown("info by first letters; finished", "ops", sizes, _pair(c.operations for c in first)),
        *grown("info by first letters, names listed; finished", "names", sizes, _pair(c.found for c in first)),
    ]


# -- submitters --------------------------------------------------------------------------------------


def submitters() -> list[Row]:
    """So many processes, ten at a time: each id is another one, and each task stands whole in the inbox."""
    taken = []
    for count in SUBMITTERS:
        with home() as env:
            run([*LEASEQ, "submit", "--no-start", "--", "true"], env=env)
            inbox = Path(lease_of(env).inbox(ANY))
            before = set(os.listdir(inbox))
            argv = [*LEASEQ, "submit", "--no-start", "--", "echo", "x"]
            began = time.perf_counter()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                ids = [said.strip() for said in pool.map(partial(run, env=env), [argv] * count)]
            taken.append((time.perf_counter() - began) * 1000 / count)
            names = set(os.listdir(inbox)) - before
            found = {Task.from_json((inbox / name).read_bytes()).id for name in names}
            if len(set(ids)) != count or found != set(ids):
                raise AssertionError(f"{count} submitters, {len(set(ids))} ids, {len(found)} tasks")
    note = "all ids distinct, all tasks there"
    return grown(f"one submit of many, {AT_ONCE} at a time; submitters", "ms", SUBMITTERS, _pair(taken), note=note)


# -- output and lines --------------------------------------------------------------------------------


def output() -> list[Row]:
    """A task that prints so much, and what it costs to look at the end of it."""
    costs: dict[str, list[Cost]] = {}
    for count in OUTPUT_BYTES:
        with home() as env:
            line = f"yes '{LINE}' | head -c {count}"
            began = time.perf_counter()
            task = run([*LEASEQ, "submit", "--", line], env=env).strip()
            run([*LEASEQ, "wait", task], env=env)
            costs.setdefault("the task that prints", []).append(Cost((time.perf_counter() - began) * 1000))
            for words in (("logs", task, "--tail", "20"), ("follow", task)):
                costs.setdefault(f"leaseq {words[0]} {' '.join(words[2:])}".rstrip(), []).append(command(env, *words))
            fs, lease = Counting(), lease_of(env)
            log = Log(fs, lease.log(task, 1, "out"))
            if os.path.getsize(log.path) != count:
                raise AssertionError(f"{os.path.getsize(log.path)} bytes, not {count}")
            costs.setdefault("the last 20 lines", []).append(cost_of(fs, partial(_last_lines, log, 20)))
            many = cost_of(fs, partial(_last_lines, log, 100), times=LOOKS)
            costs.setdefault(f"a follower's start, one of {LOOKS:,}", []).append(many)
            watch, want = LogWatch(fs, Home(env["LEASEQ_HOME"]), SystemClock()), Want(lease.id, task=task, attempt=1)
            costs.setdefault("the monitor's log pane, first", []).append(cost_of(fs, partial(watch.read, want)))
            again = cost_of(fs, partial(watch.read, want))
            costs.setdefault("the monitor's log pane, again", []).append(again)
            costs.setdefault("the monitor's log pane, the first line", []).append(
                cost_of(fs, partial(watch.read, replace(want, log_top=0)))
            )
            seek = replace(want, seek=Seek(count, text="not there"))
            costs.setdefault("a search of all of it in the monitor", []).append(
                cost_of(fs, partial(_sought, watch, seek))
            )
    rows = []
    for what, found in costs.items():
        rows += grown(f"{what}; bytes", "ms", OUTPUT_BYTES, _pair(c.ms for c in found))
        if found[0].operations:
            rows += grown(f"{what}; bytes", "ops", OUTPUT_BYTES, _pair(c.operations for c in found))
            rows += grown(f"{what}; bytes", "B read", OUTPUT_BYTES, _pair(c.bytes for c in found))
        if found[0].mb:
            rows += grown(f"{what}, memory; bytes", "MB", OUTPUT_BYTES, _pair(c.mb for c in found))
    return rows


def _sought(watch: LogWatch, want: Want) -> None:
    """The search has gone through all of the output."""
    log = watch.read(want)
    while not (log and log.sought and log.sought.done):
        log = watch.read(want) or log
    if log.sought.at is not None:
        raise AssertionError("words that are not there were found")


def _last_lines(log: Log, count: int) -> None:
    for _ in logtail.chunks(log, logtail.start_of_last_lines(log, count)):
        pass


def lines() -> list[Row]:
    """A task line of that length, submitted by file and by its words, and run."""
    by_file: list[float] = []
    by_words: list[float] = []
    with home() as env:
        run([*LEASEQ, "wait", run([*LEASEQ, "submit", "--", "true"], env=env).strip()], env=env)
        for count in LINE_BYTES:
            line = "echo '" + "x" * (count - 7) + "'"
            words = [line[at : at + 1000] for at in range(0, count, 1000)]
            for found, argv, text in (
                (by_file, ["--file", "-"], line),
                (by_words, ["--", "printf", "%s", *words], None),
            ):
                began = time.perf_counter()
                task = run([*LEASEQ, "submit", *argv], env=env, text=text).strip()
                run([*LEASEQ, "wait", task], env=env)
                found.append((time.perf_counter() - began) * 1000)
                said = run([*LEASEQ, "logs", task], env=env)
                if len(said) != (count - 6 if text else count):
                    raise AssertionError(f"{argv}: {len(said)} characters came back")
    return [
        *grown("a line run, by file; bytes", "ms", LINE_BYTES, _pair(by_file)),
        *grown("a line run, by words; bytes", "ms", LINE_BYTES, _pair(by_words)),
    ]


PARTS = {part.__name__: part for part in (pending, polling, nodes, leases, finished, submitters, output, lines)}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    for name in wanted:
        show(f"load-{name}", PARTS[name]())


if __name__ == "__main__":
    main()
