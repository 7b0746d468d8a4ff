"""mockslurm: a cluster is brought up in a directory, disturbed on request, and taken down without a trace."""

import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable

from slurm_mock import ctld, processes, slurmd, wire
from slurm_mock.cluster import Cluster, Settings, write
from slurm_mock.hostlist import compress, expand

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "salloc")
FAULTS = ("stdout", "stderr", "slow", "slow-signals", "timeout", "lost-reply", "down", "vanish", "preempt")
OPTIONS = {"dir", "nodes", "cpus", "gpus", "mem", "option", "until-exit-of", "command", "count"}
START_SECONDS = 20.0
USAGE = """usage: mockslurm COMMAND [OPTIONS]

  start [--dir D] [--nodes N|NAMES] [--cpus C] [--gpus G] [--mem MB] [--option NAME=VALUE]...
        [--until-exit-of PID]         a cluster comes up; prints lines for `eval`
  stop                                nothing of it is left but its directory
  status                              nodes, jobs and faults
  kill-node NODE | revive-node NODE   power cut; power on
  kill-slurmd NODE | start-slurmd NODE
                                      only the node's daemon dies; there is one again
  fault stdout|stderr TEXT            noise before a command's output
  fault slow SECONDS                  commands answer late
  fault slow-signals SECONDS          so long passes between the signals to two processes of a step
  fault timeout                       requests fail with "Socket timed out", nothing is done
  fault lost-reply                    the same words, but the request was carried out
  fault down                          the controller cannot be reached
  fault vanish JOB                    the job is unknown to squeue and scontrol, yet runs on
  fault preempt JOB [requeue]         the job is preempted now
        [--command NAME] [--count N]  only that command; only the first N times (default: until cleared)
  clear-faults

The cluster is the one in --dir, else $SLURM_MOCK_DIR, else the folder of $SLURM_CONF.
"""


class Usage(Exception):
    """Wrong words; exit code 2."""


def main(argv: list[str]) -> int:
    """The exit code."""
    options, words = _split(argv)
    if "help" in options:
        print(USAGE.rstrip())
        return 0
    actions: dict[str, Callable[[dict[str, list[str]], list[str]], int]] = {
        "start": _start,
        "stop": _stop,
        "status": _status,
        "kill-node": _kill_node,
        "revive-node": _revive_node,
        "kill-slurmd": _kill_slurmd,
        "start-slurmd": _start_slurmd,
        "fault": _fault,
        "clear-faults": _clear_faults,
    }
    try:
        if not words or words[0] not in actions:
            raise Usage(USAGE)
        for name in options.keys() - OPTIONS:
            raise Usage(f"mockslurm: there is no option --{name}; see mockslurm --help")
        return actions[words[0]](options, words[1:])
    except Usage as usage:
        print(str(usage).rstrip(), file=sys.stderr)
        return 2


def _split(argv: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {}
    words = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            words.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if name == "help":
            return {"help": []}, []
        options.setdefault(name, []).append(value if equals else rest.pop(0) if rest else "")
    return options, words


def _cluster(options: dict[str, list[str]]) -> Cluster:
    conf = os.environ.get("SLURM_CONF", "")
    path = options.get("dir", [""])[-1] or os.environ.get("SLURM_MOCK_DIR", "") or os.path.dirname(conf)
    if not path or not os.path.exists(os.path.join(path, "cluster.json")):
        raise Usage(f"mockslurm: no cluster in {path or '--dir, SLURM_MOCK_DIR or SLURM_CONF'}")
    return Cluster(path)


def settings_from(options: dict[str, list[str]]) -> Settings:
    settings = Settings()
    for name in ("cpus", "gpus", "mem"):
        for text in options.get(name, []):
            settings.option(name, text)
    for text in options.get("nodes", []):
        settings.nodes = [f"node{n}" for n in range(1, int(text) + 1)] if text.isdigit() else expand(text)
    for text in options.get("option", []):
        name, _, value = text.partition("=")
        try:
            settings.option(name, value)
        except (KeyError, ValueError):
            known = ", ".join(sorted(vars(Settings())))
            raise Usage(f"mockslurm: bad option {text}; options are {known}") from None
    return settings


def _start(options: dict[str, list[str]], words: list[str]) -> int:
    path = options.get("dir", [""])[-1] or tempfile.mkdtemp(prefix="mockslurm-")
    cluster = Cluster(path)
    if processes.recorded(cluster.file("ctld.pid")):
        raise Usage(f"mockslurm: a cluster runs in {path} already")
    create(cluster, settings_from(options))
    _daemonize(cluster, int(options.get("until-exit-of", ["0"])[-1] or 0))
    until = time.monotonic() + START_SECONDS
    while not (wire.call(cluster.socket, {"op": "ready"}) or {}).get("ready"):
        if time.monotonic() > until:
            print(f"mockslurm: the cluster did not come up, see {cluster.file('ctld.log')}", file=sys.stderr)
            return 1
        time.sleep(0.01)
    for line in exports(cluster):
        print(line)
    return 0


def exports(cluster: Cluster) -> list[str]:
    return [
        f"export SLURM_MOCK_DIR={shlex.quote(cluster.path)}",
        f"export SLURM_CONF={shlex.quote(cluster.file('slurm.conf'))}",
        f"export PATH={shlex.quote(cluster.file('bin'))}:$PATH",
    ]


def create(cluster: Cluster, settings: Settings) -> None:
    """The directory as it is before the first job; earlier jobs and faults are gone."""
    for folder in ("bin", "jobs", "spool", "nodes", "faults"):
        _clear(cluster.file(folder))
        os.makedirs(cluster.file(folder), mode=0o700, exist_ok=True)
    os.chmod(cluster.path, 0o700)
    for node in settings.nodes:
        os.makedirs(cluster.file("nodes", node), mode=0o700)
    cluster.save_settings(settings)
    write(cluster.file("slurm.conf"), _conf(settings))
    main_file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    for command in COMMANDS:
        words = [sys.executable, "-IS", main_file, cluster.path, command]
        text = f'#!/bin/sh\nexec {" ".join(map(shlex.quote, words))} "$@"\n'
        write(cluster.file("bin", command), text, mode=0o700)


def _clear(path: str) -> None:
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            os.rmdir(os.path.join(folder, name))


def _conf(settings: Settings) -> str:
    nodes = compress(settings.nodes)
    gres = f" Gres=gpu:{settings.gpus}" if settings.gpus else ""
    lines = [
        f"ClusterName={settings.name}",
        "SlurmctldHost=ctl(127.0.0.1)",
        f"ProctrackType=proctrack/{settings.proctrack}",
        "SelectType=select/cons_tres",
        f"SelectTypeParameters=CR_Core{'_Memory' if settings.track_memory else ''}",
        f"KillWait={settings.kill_wait:g}",
        f"MinJobAge={settings.min_job_age:g}",
        f"NodeName={nodes} CPUs={settings.cpus} RealMemory={settings.mem}{gres}",
    ]
    for index, (name, limit) in enumerate(settings.partitions.items()):
        default = " Default=YES" if index == 0 else ""
        lines.append(f"PartitionName={name} Nodes=ALL{default} MaxTime={limit or 'UNLIMITED'} State=UP")
    return "\n".join(lines) + "\n"


def _daemonize(cluster: Cluster, until_exit_of: int) -> None:
    """The controller runs apart from this process's session, streams and working directory."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    os.chdir("/")
    log = os.open(cluster.file("ctld.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(fd, target)
    os.closerange(3, 4096)
    try:
        ctld.run(cluster, until_exit_of=until_exit_of)
    finally:
        sys.stderr.flush()
        os._exit(0)


def _stop(options: dict[str, list[str]], words: list[str]) -> int:
    cluster = _cluster(options)
    controller = processes.recorded(cluster.file("ctld.pid"))
    if controller:
        wire.call(cluster.socket, {"op": "shutdown"})
        _until(lambda: not processes.start_time(controller))
    for node in cluster.settings().nodes:
        left = processes.recorded(cluster.file("nodes", node, "slurmd.pid"))
        if left:
            processes.power_cut(left)
    if processes.recorded(cluster.file("ctld.pid")):
        processes.send([controller], signal.SIGKILL)
    return 0


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _status(options: dict[str, list[str]], words: list[str]) -> int:
    cluster = _cluster(options)
    up = processes.recorded(cluster.file("ctld.pid"))
    print(f"controller {'up, pid ' + str(up) if up else 'down'} in {cluster.path}")
    for node in cluster.nodes(cluster.settings()):
        words = ["up" if node.up else "down", "" if node.responding else "not responding"]
        print(f"{node.name} {' '.join(filter(None, words))}")
    for job in cluster.jobs():
        print(f"job {job.id} {job.shown_state} {compress(job.nodes)}")
    for fault in cluster.faults():
        print(f"fault {fault.kind} {fault.target} {fault.text}".rstrip())
    return 0


def _node(cluster: Cluster, words: list[str]) -> str:
    if len(words) != 1 or words[0] not in cluster.settings().nodes:
        raise Usage(f"mockslurm: one of {compress(cluster.settings().nodes)} is needed")
    return words[0]


def _kill_node(options: dict[str, list[str]], words: list[str]) -> int:
    """Every process of the node is gone at once; the mark comes first, so that nobody takes it for a kill."""
    cluster = _cluster(options)
    node = _node(cluster, words)
    pid = processes.recorded(cluster.file("nodes", node, "slurmd.pid"))
    write(cluster.file("nodes", node, "crashed"), "")
    if pid:
        processes.power_cut(pid)
        _until(lambda: not processes.start_time(pid))
    for name in os.listdir(cluster.file("nodes", node)):
        if name.endswith(".sock"):
            os.unlink(cluster.file("nodes", node, name))
    return 0


def _revive_node(options: dict[str, list[str]], words: list[str]) -> int:
    cluster = _cluster(options)
    node = _node(cluster, words)
    if processes.recorded(cluster.file("nodes", node, "slurmd.pid")):
        raise Usage(f"mockslurm: {node} is up")
    os.unlink(cluster.file("nodes", node, "crashed"))
    wire.call(cluster.socket, {"op": "start_node", "node": node})
    return 0 if _until(lambda: _responds(cluster, node)) else 1


def _responds(cluster: Cluster, node: str) -> bool:
    return any(each.name == node and each.responding for each in cluster.nodes(cluster.settings()))


def _kill_slurmd(options: dict[str, list[str]], words: list[str]) -> int:
    """The controller has noticed it."""
    cluster = _cluster(options)
    node = _node(cluster, words)
    pid = processes.recorded(cluster.file("nodes", node, "daemon.pid"))
    if not pid:
        raise Usage(f"mockslurm: {node} has no slurmd")
    processes.send([pid], signal.SIGKILL)
    return 0 if _until(lambda: not _responds(cluster, node)) else 1


def _start_slurmd(options: dict[str, list[str]], words: list[str]) -> int:
    cluster = _cluster(options)
    node = _node(cluster, words)
    first = processes.recorded(cluster.file("nodes", node, "slurmd.pid"))
    if not first or processes.recorded(cluster.file("nodes", node, "daemon.pid")):
        raise Usage(f"mockslurm: {node} is down, or has a slurmd")
    processes.send([first], slurmd.START_DAEMON)
    return 0 if _until(lambda: _responds(cluster, node)) else 1


def _fault(options: dict[str, list[str]], words: list[str]) -> int:
    cluster = _cluster(options)
    kind, *arguments = words or [""]
    if kind not in FAULTS:
        raise Usage(f"mockslurm: faults are {', '.join(FAULTS)}")
    if kind == "preempt":
        job, how = [*arguments, "", ""][:2]
        reply = wire.call(cluster.socket, {"op": "preempt", "job": int(job), "requeue": how == "requeue"})
        return 0 if reply and "error" not in reply else 1
    target = arguments[0] if kind == "vanish" else options.get("command", [""])[-1]
    count = options.get("count", [""])[-1]
    numbers = [f"{time.monotonic_ns()}-{n:04d}" for n in range(int(count))] if count else ["always"]
    for number in numbers:
        write(cluster.file("faults", f"{kind}.{target}.{number}"), " ".join(arguments))
    return 0


def _clear_faults(options: dict[str, list[str]], words: list[str]) -> int:
    cluster = _cluster(options)
    for fault in cluster.faults():
        fault.take()
        if fault.number == "always":
            os.unlink(fault.path)
    return 0
