"""A real Slurm cluster of several nodes on this one host, without systemd, for the contract tests.

Needs root and Debian's slurm-wlm and munge (Slurm 22.05 or later, built with --enable-multiple-slurmd).
Every node is a slurmd in UTS, PID and mount namespaces of its own: it has its own host name, processes,
/tmp, /var/tmp and /dev/shm; all other files, the network and the clock are shared with the host.
A node's first process is `slurmconf/node_init.py`; killing it is a power cut.

    python real_slurm.py start DIR          prints `export SLURM_CONF=...`; the cluster outlives the command
    python real_slurm.py kill-node DIR node2
    python real_slurm.py stop DIR

In a test, `with RealCluster(directory) as cluster:`; that cluster dies with the thread that started it,
even when that is killed. The file DIR/cluster.json is the truth about which processes were started, so
commands and objects may be mixed. What a job on a node must see below /tmp is named by `share`; DIR, the
running Python and this repository always are. `DIR/shared` is there for tests to use.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

CONFIG_TEMPLATES = Path(__file__).resolve().parent / "slurmconf"
REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "unshare", "nsenter", "setpriv", "mount")
PROCTRACKS = ("linuxproc", "cgroup")
PRIVATE_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
EMPTY_AFTER_BOOT = "/dev/shm"
CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("freezer", "devices")
NAMESPACES = ("--uts", "--mount", "--pid")
PATH_WITH_SBIN = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
NVIDIA_MAJOR = 195
DIRECTORY_LENGTH_MAX = 60  # a Unix socket's path has at most 107 bytes, and DIR/node1/spool/node1_7.0 is one
START_SECONDS_MAX = 30.0
END_SECONDS_MAX = 10.0
# Below the usual range of ephemeral ports: a client's connection cannot take the port of a node that is down.
PORTS = range(12000, 30000)
Condition = Callable[[], object]


class Unavailable(Exception):
    """This host cannot run a real Slurm; the message says why."""


class Process(NamedTuple):
    """A process that cannot be confused with a later one of the same pid."""

    pid: int
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this pid now."""
        return cls(pid, _state_and_start(pid)[1])

    @classmethod
    def of_all(cls, pids: Iterable[int]) -> list["Process"]:
        """The processes that have these pids now, without those that just ended."""
        processes = []
        for pid in pids:
            with contextlib.suppress(OSError):
                processes.append(cls.of(pid))
        return processes

    def is_alive(self) -> bool:
        """True while it runs; a zombie does not."""
        try:
            state, started_ticks = _state_and_start(self.pid)
            threads = len(os.listdir(f"/proc/{self.pid}/task"))
        except OSError:
            return False
        # The first thread of a killed process can be a zombie while others still hold its sockets.
        return started_ticks == self.started_ticks and (state not in "ZX" or threads > 1)

    def children(self) -> list["Process"]:
        """The children of its main thread; [] when it is gone."""
        try:
            pids = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return []
        return Process.of_all(map(int, pids)) if self.is_alive() else []

    def kill(self) -> None:
        """It is gone, and its pid was not someone else's."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: not self.is_alive(), f"the end of process {self.pid}", END_SECONDS_MAX)


@dataclasses.dataclass(frozen=True)
class Shape:
    """What kind of cluster is asked for."""

    nodes: int = 3
    cpus: int = 8
    gpus: int = 4
    proctrack: str = "linuxproc"
    share: tuple[str, ...] = ()
    gpu_types: tuple[str, ...] = ()
    """The type of each GPU of a node, those of one type together; empty if they have none."""


class RealCluster:
    """A Slurm cluster in one directory; a context manager that starts and stops it."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        nodes: int = 3,
        cpus: int = 8,
        gpus: int = 4,
        proctrack: str = "linuxproc",
        share: Sequence[str | os.PathLike[str]] = (),
        gpu_types: Sequence[str] = (),
    ) -> None:
        """Nothing is started or written yet. With `gpu_types` a node has as many GPUs as that names."""
        self.directory = Path(directory).resolve()
        if len(str(self.directory)) > DIRECTORY_LENGTH_MAX:
            raise ValueError(f"{self.directory}: longer than {DIRECTORY_LENGTH_MAX}, too long for sockets")
        shared = tuple(str(Path(path).resolve()) for path in share)
        self.shape = Shape(nodes, cpus, len(gpu_types) or gpus, proctrack, shared, tuple(gpu_types))
        self.nodes = tuple(f"node{number}" for number in range(1, nodes + 1))
        self.shared = self.directory / "shared"
        self._record_file = self.directory / "cluster.json"
        self._outlives_starter = False
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    @classmethod
    def at(cls, directory: str | os.PathLike[str]) -> "RealCluster":
        """The cluster that was started in this directory, by whichever process."""
        try:
            record = json.loads((Path(directory) / "cluster.json").read_text())
        except FileNotFoundError:
            raise ValueError(f"{directory}: no cluster was started here") from None
        cluster = cls(directory, **record["shape"])
        cluster._outlives_starter = record["outlives_starter"]
        return cluster

    def __enter__(self) -> "RealCluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """The environment for clients: this process's own with SLURM_CONF, without other Slurm variables."""
        return {**_environment_without_slurm(), "SLURM_CONF": str(self.directory / "etc" / "slurm.conf")}

    def start(self, *, outlives_starter: bool = False) -> None:
        """All nodes are idle; or everything is stopped again and the reason is raised."""
        require_available(self.shape.proctrack)
        self._claim_directory()
        self._outlives_starter = outlives_starter
        try:
            self._make_folders()
            self._record({})
            self._write_files(self._hold_ports())
            self._start_munged()
            self.start_ctld()
            for node in self.nodes:
                self._boot(node)
            self.wait_for_idle(*self.nodes)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """No process and no cgroup of the cluster is left; its logs are. May be repeated."""
        if not self._record_file.exists():
            return
        for node in self.nodes:
            self.kill_node(node)
        self.kill_ctld()
        self._end("munged")
        self._end("ports")

    def kill_node(self, node: str) -> None:
        """The node has lost its power: all its processes are gone at once."""
        with contextlib.suppress(LookupError):
            self._init_of(node).kill()
        self._end(node)
        _remove_cgroups(self.cgroups(node))

    def revive_node(self, node: str) -> None:
        """The node has booted and is idle (or busy, if its death was not noticed); /dev/shm is empty."""
        self._boot(node)
        self.wait_for_state(node, "idle", "mix", "alloc", "comp")

    def kill_slurmd(self, node: str) -> None:
        """Only the node's slurmd is gone, by SIGKILL; its jobs' processes live on."""
        for process in self._slurmds(node):
            process.kill()

    def start_slurmd(self, node: str) -> None:
        """The node has a slurmd again, after kill_slurmd."""
        argv = self.argv_in(node, *self._slurmd_argv(node))
        subprocess.run(argv, check=True, env=_environment_without_slurm())
        address = self._address(rf"NodeName={node} .*Port=(\d+)")
        self._wait(lambda: _accepts(socket.AF_INET, address), f"an answer of slurmd on {node}")

    def save_state(self, job: str) -> None:
        """The controller has written down what it knows of the job, as it does some seconds after a change."""
        saved, began = self.directory / "state" / "job_state", time.time()
        argv = [_program("scontrol"), "update", f"JobId={job}", f"Comment=saved-{began}"]
        subprocess.run(argv, check=True, env=self.env)
        self._wait(lambda: saved.stat().st_mtime > began, "the controller's save")

    def kill_ctld(self) -> None:
        """The controller is gone, by SIGKILL, with its helper process; the nodes live on.

        It saves its state some seconds after a change (`save_state` waits for that): a job that began just before is
        pending again later.
        """
        controller = self._recorded().get("slurmctld")
        helpers = controller.children() if controller else []
        self._end("slurmctld")
        for helper in helpers:
            helper.kill()

    def start_ctld(self) -> None:
        """The controller answers; it has read back its state if there is one."""
        self._launch("slurmctld", [_program("slurmctld"), "-D", "-f", self.env["SLURM_CONF"]])
        address = self._address(r"SlurmctldPort=(\d+)")
        self._wait_for_daemon("slurmctld", lambda: _accepts(socket.AF_INET, address))

    @contextlib.contextmanager
    def slow_signals(self, node: str, seconds: float) -> Iterator[None]:
        """Meanwhile so long passes between the signals to two processes of a step that runs on the node (strace)."""
        steps = [pid for pid, line in self.processes(node) if line.startswith("slurmstepd: [")]
        slow = ["strace", "-f", "-qq", "-e", "trace=kill", "-e", f"inject=kill:delay_exit={int(seconds * 1e6)}"]
        traces = [
            subprocess.Popen([*slow, "-o", os.devnull, "-p", str(pid)], start_new_session=True, stderr=subprocess.PIPE)
            for pid in steps
        ]
        try:
            self._wait(lambda: all(map(_is_traced, steps)), f"strace of {len(steps)} steps")
            yield
        finally:
            for trace in traces:
                trace.terminate()
                trace.communicate()

    def squeue(self, *options: str) -> str:
        """What squeue prints now; it has succeeded."""
        argv = [_program("squeue"), *options]
        return subprocess.run(argv, check=True, env=self.env, capture_output=True, text=True).stdout

    def processes(self, node: str) -> list[tuple[int, str]]:
        """The node's processes but its first, as (pid on this host, command line); [] when it is down."""
        try:
            init = self._init_of(node)
            namespace = os.readlink(f"/proc/{init.pid}/ns/pid")
        except (LookupError, OSError):
            return []
        return [(pid, line) for pid, line in _processes_in(namespace) if pid != init.pid]

    def argv_in(self, node: str, *command: str) -> list[str]:
        """The command that runs `command` on the node, from / and outside every job."""
        return [_program("nsenter"), f"--target={self._init_of(node).pid}", *NAMESPACES, "--", *command]

    def cgroups(self, node: str) -> list[Path]:
        """The cgroups that the node takes for the roots; [] with proctrack/linuxproc."""
        if self.shape.proctrack != "cgroup":
            return []
        name = f"leaseq-{hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:10]}-{node}"
        return [CGROUPS / controller / name for controller in CONTROLLERS]

    def node_states(self) -> dict[str, str]:
        """What sinfo says, such as {"node1": "idle", "node2": "down*"}; {} when the controller is silent."""
        return dict(line.split() for line in self._sinfo() or ())

    def wait_for_idle(self, *nodes: str) -> None:
        """All these nodes are idle."""
        for node in nodes:
            self.wait_for_state(node, "idle")

    def wait_for_state(self, node: str, *states: str, seconds_max: float = START_SECONDS_MAX) -> None:
        """The node is in one of these states, by sinfo's short names."""
        self._wait(lambda: self.node_states().get(node) in states, f"{node} {'/'.join(states)}", seconds_max)

    # The directory

    def _claim_directory(self) -> None:
        """The directory is this cluster's and empty; what an ended cluster left there is removed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(process.is_alive() for process in self._recorded().values()):
            raise ValueError(f"{self.directory}: a cluster runs here already")
        if any(self.directory.iterdir()) and not self._record_file.exists():
            raise ValueError(f"{self.directory}: not empty, and not a cluster's directory")
        shutil.rmtree(self.directory)

    def _make_folders(self) -> None:
        """Every folder that the daemons use is there."""
        for folder in ("etc", "dev", "log", "state", "shared", *(f"{node}/spool" for node in self.nodes)):
            (self.directory / folder).mkdir(parents=True)

    def _write_files(self, ports: Sequence[int]) -> None:
        """Every file that the daemons read is there; the first port is the controller's."""
        key = self.directory / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        (self.directory / "hosts").write_text(f"127.0.0.1 localhost ctl {' '.join(self.nodes)}\n")
        (self.directory / "etc" / "slurm.conf").write_text(self._slurm_conf(*ports))
        (self.directory / "etc" / "gres.conf").write_text(self._gres_conf())
        if self.shape.proctrack == "cgroup":
            shutil.copy(CONFIG_TEMPLATES / "cgroup.conf", self.directory / "etc")

    def _slurm_conf(self, ctld_port: int, *node_ports: int) -> str:
        """slurm.conf with these ports."""
        shape = self.shape
        resources = f"Sockets=1 CoresPerSocket={shape.cpus} ThreadsPerCore=1 RealMemory=4000"
        if shape.gpus:
            counts = Counter(shape.gpu_types)
            words = [f"gpu:{name}:{count}" for name, count in counts.items()] or [f"gpu:{shape.gpus}"]
            resources += f" Gres={','.join(words)}"
        node_lines = [
            f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.1 Port={port} {resources}"
            for node, port in zip(self.nodes, node_ports, strict=True)
        ]
        return string.Template((CONFIG_TEMPLATES / "slurm.conf").read_text()).substitute(
            directory=self.directory,
            host=socket.gethostname().partition(".")[0],
            ctld_port=ctld_port,
            proctrack=shape.proctrack,
            task_plugin="cgroup" if shape.proctrack == "cgroup" else "none",
            gres_types="GresTypes=gpu" if shape.gpus else "",
            node_lines="\n".join(node_lines),
        )

    def _address(self, line_with_port: str) -> tuple[str, int]:
        """Where the daemon listens by slurm.conf; the pattern's group is the port."""
        found = re.search(line_with_port, Path(self.env["SLURM_CONF"]).read_text())
        assert found, line_with_port
        return "127.0.0.1", int(found[1])

    def _gres_conf(self) -> str:
        """gres.conf, with device nodes that exist but have no driver behind them."""
        devices = [self.directory / "dev" / f"nvidia{number}" for number in range(self.shape.gpus)]
        for number, device in enumerate(devices):
            _make_device(device, number)
        types = [f"Type={name} " for name in self.shape.gpu_types] or [""] * len(devices)
        return "".join(f"Name=gpu {type_}File={device}\n" for type_, device in zip(types, devices, strict=True))

    def _record(self, processes: Mapping[str, Process]) -> None:
        """cluster.json names these processes as the ones that were started."""
        record = {
            "shape": dataclasses.asdict(self.shape),
            "outlives_starter": self._outlives_starter,
            "processes": processes,
        }
        prepared = self._record_file.with_suffix(".new")
        prepared.write_text(json.dumps(record, indent=1))
        prepared.replace(self._record_file)

    def _recorded(self) -> dict[str, Process]:
        """The processes that were started and not ended by us, alive or not."""
        if not self._record_file.exists():
            return {}
        record = json.loads(self._record_file.read_text())
        return {name: Process(*pid_and_start) for name, pid_and_start in record["processes"].items()}

    # The processes

    def _hold_ports(self) -> list[int]:
        """Ports that are this cluster's until it is stopped, a node that is down included: a process has them bound."""
        with contextlib.ExitStack() as ours:
            held = [ours.enter_context(each) for each in hold_ports(1 + len(self.nodes))]
            idle = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()", str(self.directory)]
            self._launch("ports", idle, pass_fds=[each.fileno() for each in held])
            return [each.getsockname()[1] for each in held]

    def _start_munged(self) -> None:
        """munged answers on its socket."""
        directory = self.directory
        munge_socket = directory / "munge.sock"
        files = {"key": "munge.key", "pid": "munged.pid", "log": "log/munged.log", "seed": "munge.seed"}
        options = [f"--{kind}-file={directory / name}" for kind, name in files.items()]
        program = [_program("munged"), "--foreground", "--force", f"--socket={munge_socket}"]
        self._launch("munged", [*program, *options])
        self._wait_for_daemon("munged", lambda: _accepts(socket.AF_UNIX, str(munge_socket)))

    def _boot(self, node: str) -> None:
        """The node's first process is there and about to start slurmd."""
        recorded = self._recorded().get(node)
        if recorded and recorded.is_alive():
            raise ValueError(f"{node} is up")
        mounts = [f"{source}={target}" for source, target in self._mounts(node)]
        init = [sys.executable, "-I", "-S", str(CONFIG_TEMPLATES / "node_init.py"), node, *mounts, "--"]
        namespaces = [_program("unshare"), *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
        self._launch(node, [*namespaces, *init, *self._slurmd_argv(node)])
        self._wait_for_daemon(node, lambda: self._slurmds(node))

    def _slurmd_argv(self, node: str) -> list[str]:
        return [_program("slurmd"), "-f", self.env["SLURM_CONF"], "-N", node]

    def _mounts(self, node: str) -> Iterator[tuple[Path, Path]]:
        """(source, target) of the node's own mounts in their order; the sources and targets exist."""
        yield self.directory / "hosts", Path("/etc/hosts")
        yield self.directory / "etc", Path("/etc/slurm")
        for cgroup in self.cgroups(node):
            cgroup.mkdir(parents=True, exist_ok=True)
            yield cgroup, CGROUPS / cgroup.relative_to(CGROUPS).parts[0]
        for folder in PRIVATE_FOLDERS:
            private = self.directory / node / folder.strip("/").replace("/", "-")
            if folder == EMPTY_AFTER_BOOT:
                shutil.rmtree(private, ignore_errors=True)
            private.mkdir(exist_ok=True)
            private.chmod(0o1777)
            for path in self._paths_to_share():
                if path.is_relative_to(folder):
                    window = private / path.relative_to(folder)
                    window.mkdir(parents=True, exist_ok=True)
                    yield path, window
            yield private, Path(folder)

    def _paths_to_share(self) -> list[Path]:
        """What every node sees although it may lie in a folder that is private to a node."""
        always = (self.directory, REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))
        return sorted({path.resolve() for path in (*always, *map(Path, self.shape.share))})

    def _launch(self, name: str, argv: Sequence[str], *, pass_fds: Sequence[int] = ()) -> None:
        """The program runs, detached from the terminal, and is recorded under this name."""
        dies_with_us = [] if self._outlives_starter else [_program("setpriv"), "--pdeathsig=KILL", "--"]
        with (self.directory / "log" / f"{name}.out").open("ab") as output:
            child = subprocess.Popen(
                [*dies_with_us, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=_environment_without_slurm(),
                pass_fds=pass_fds,
            )
        self._children[child.pid] = child
        self._record({**self._recorded(), name: Process.of(child.pid)})

    def _end(self, name: str) -> None:
        """The recorded process of this name is gone, and no longer recorded."""
        recorded = self._recorded()
        process = recorded.pop(name, None)
        if process is None:
            return
        process.kill()
        if process.pid in self._children:
            self._children.pop(process.pid).wait()
        self._record(recorded)

    def _init_of(self, node: str) -> Process:
        """The node's first process; LookupError when the node is down."""
        unshare = self._recorded().get(node)
        children = unshare.children() if unshare else []
        if not children:
            raise LookupError(f"{node} is down")
        return children[0]

    def _slurmds(self, node: str) -> list[Process]:
        """The node's slurmd, or [] while it has none."""
        return Process.of_all(pid for pid, _ in self.processes(node) if _comm(pid) == "slurmd")

    def _sinfo(self) -> list[str] | None:
        """Lines "node state" of the default partition; None when the controller does not answer."""
        argv = [_program("sinfo"), "-h", "-N", "-p", "gpu", "-o", "%N %t"]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)
        return done.stdout.splitlines() if done.returncode == 0 else None

    def _wait_for_daemon(self, name: str, is_up: Condition) -> None:
        """What was launched under this name is up; it is noticed at once when it ends instead."""
        process = self._recorded()[name]
        self._wait(lambda: is_up() or not process.is_alive(), f"the start of {name}")
        if not process.is_alive():
            raise RuntimeError(f"{name} ended while it was started\n{self._log_ends()}")

    def _wait(self, condition: Condition, what: str, seconds_max: float = START_SECONDS_MAX) -> None:
        """The condition holds; otherwise the error shows the ends of all logs."""
        try:
            wait_until(condition, what, seconds_max)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{self._log_ends()}") from None

    def _log_ends(self) -> str:
        """The last lines of every log."""
        logs = sorted((self.directory / "log").iterdir())
        return "\n".join(f"== {log.name}\n" + "\n".join(log.read_text().splitlines()[-8:]) for log in logs)


def _is_traced(pid: int) -> bool:
    """True if strace has its hand on the process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in status


def require_available(proctrack: str) -> None:
    """A cluster can be started on this host; otherwise Unavailable says why not."""
    if proctrack not in PROCTRACKS:
        raise ValueError(f"proctrack {proctrack}: one of {', '.join(PROCTRACKS)}")
    if os.geteuid() != 0:
        raise Unavailable("a real Slurm needs root, for namespaces and mounts")
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH_WITH_SBIN) is None]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge, util-linux)")
    if not Path("/etc/slurm").is_dir():
        raise Unavailable("/etc/slurm does not exist, nodes cannot have their configuration mounted there")
    _require_namespaces()
    if proctrack == "cgroup":
        _require_cgroups()


def _require_namespaces() -> None:
    """This process may make namespaces and mount in them."""
    attempt = [_program("unshare"), *NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
    attempt += [_program("mount"), "--rbind", "/etc/slurm", "/etc/slurm"]
    done = subprocess.run(attempt, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"unshare or mount is not permitted: {done.stderr.strip()}")


def _require_cgroups() -> None:
    """The controllers of cgroup v1 that Slurm will use are mounted, and cgroups can be made there."""
    for controller in CONTROLLERS:
        attempt = CGROUPS / controller / f"leaseq-attempt-{os.getpid()}"
        if not (attempt.parent / "tasks").exists():
            raise Unavailable(f"proctrack/cgroup needs cgroup v1's {controller} at {attempt.parent}")
        try:
            attempt.mkdir()
            attempt.rmdir()
        except OSError as refused:
            raise Unavailable(f"proctrack/cgroup: {refused}") from None


def wait_until(condition: Condition, what: str, seconds_max: float) -> None:
    """The condition holds, or TimeoutError says what was waited for."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds_max:.0f} s for {what}")
        time.sleep(0.02)


def _program(name: str) -> str:
    """The program's path; sbin is looked at even if PATH does not have it."""
    return shutil.which(name, path=PATH_WITH_SBIN) or name


def _environment_without_slurm() -> dict[str, str]:
    """This process's environment without what would change what Slurm's programs do."""
    slurm = ("SLURM_", "SRUN_", "SBATCH_", "SALLOC_", "SINFO_", "SQUEUE_", "SCANCEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(slurm)}


def hold_ports(count: int, among: Sequence[int] = PORTS) -> list[socket.socket]:
    """Sockets bound to ports of 127.0.0.1 that nobody had; nobody else is given these while the sockets live.

    They were bound without SO_REUSEADDR, so two holders cannot have the same port. They have it afterwards: a daemon of
    Slurm's asks for it too, and may listen on the port while it is held.
    """
    held: list[socket.socket] = []
    for port in random.sample(among, len(among)):
        attempt = socket.socket()
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            attempt.close()
            continue
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.append(attempt)
        if len(held) == count:
            return held
    for each in held:
        each.close()
    raise Unavailable(f"fewer than {count} free ports among {among}")


def _accepts(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Somebody listens at the address."""
    with socket.socket(family) as attempt:
        return attempt.connect_ex(address) == 0


def _make_device(device: Path, number: int) -> None:
    """A character device of NVIDIA's number; a plain file if mknod is refused, enough for linuxproc."""
    try:
        os.mknod(device, 0o666 | 0o020000, os.makedev(NVIDIA_MAJOR, number))
    except PermissionError:
        device.touch()


def _remove_cgroups(tops: Sequence[Path]) -> None:
    """These cgroups and all below are gone; their processes were killed before."""
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            wait_until(partial(_remove_cgroup, folder), f"the end of cgroup {folder}", END_SECONDS_MAX)


def _remove_cgroup(folder: str) -> bool:
    """True when it is gone, False while the kernel still holds it."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _state_and_start(pid: int) -> tuple[str, int]:
    """The state letter and the start time in clock ticks since boot (proc(5), stat fields 3 and 22)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _processes_in(namespace: str) -> Iterator[tuple[int, str]]:
    """(pid, command line) of every live process in the PID namespace, such as "pid:[4026532284]"."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and os.readlink(folder / "ns" / "pid") == namespace:
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                if words != [b""]:
                    yield int(folder.name), b" ".join(words).decode(errors="replace")


def _comm(pid: int) -> str:
    """The process's short name; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def main(arguments: Sequence[str]) -> int:
    """The command line's wish is done; 0, or 1 with the reason on stderr."""
    request = _parser().parse_args(arguments)
    try:
        _perform(request)
    except (Unavailable, ValueError, LookupError, RuntimeError, TimeoutError) as failure:
        print(f"{type(failure).__name__}: {failure}", file=sys.stderr)
        return 1
    return 0


def _perform(request: argparse.Namespace) -> None:
    """The parsed command is done; `exec` does not return."""
    if request.command == "start":
        _start(request)
        return
    cluster = RealCluster.at(request.directory)
    if request.command == "exec":
        argv = cluster.argv_in(request.node, *request.argv)
        os.execv(argv[0], argv)
    method = getattr(cluster, request.command.replace("-", "_"))
    method(*([request.node] if "node" in request else []))


def _start(request: argparse.Namespace) -> None:
    """The cluster is up, and the lines that a shell needs for it are printed."""
    cluster = RealCluster(
        request.directory,
        nodes=request.nodes,
        cpus=request.cpus,
        gpus=request.gpus,
        proctrack=request.proctrack,
        share=request.share,
        gpu_types=request.gpu_types.split(",") if request.gpu_types else (),
    )
    cluster.start(outlives_starter=True)
    print(f"export SLURM_CONF={shlex.quote(cluster.env['SLURM_CONF'])}")


def _parser() -> argparse.ArgumentParser:
    """One command per verb of RealCluster."""
    parser = argparse.ArgumentParser(prog="real_slurm.py", description="A real Slurm cluster on this host.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="bring a cluster up in DIR and print its environment")
    start.add_argument("directory", metavar="DIR")
    start.add_argument("--nodes", type=int, default=3)
    start.add_argument("--cpus", type=int, default=8, help="per node, declared only")
    start.add_argument("--gpus", type=int, default=4, help="per node, device nodes without a driver")
    start.add_argument("--gpu-types", default="", metavar="TYPE,...", help="the type of each GPU of a node")
    start.add_argument("--proctrack", choices=PROCTRACKS, default="linuxproc")
    start.add_argument("--share", action="append", default=[], metavar="PATH", help="seen by all nodes")
    for command in ("stop", "kill-ctld", "start-ctld"):
        commands.add_parser(command).add_argument("directory", metavar="DIR")
    for command in ("kill-node", "revive-node", "kill-slurmd", "start-slurmd", "exec"):
        of_node = commands.add_parser(command)
        of_node.add_argument("directory", metavar="DIR")
        of_node.add_argument("node", metavar="NODE")
        if command == "exec":
            of_node.add_argument("argv", metavar="CMD", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
