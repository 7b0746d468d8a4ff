"""The cluster is a directory: settings, jobs, nodes, spool and faults, each a file that appears whole.

cluster.json            settings, written once at start
slurm.conf              what SLURM_CONF names; commands find the cluster through it
bin/                    the commands for PATH
ctld.sock ctld.pid ctld.log
jobs/ID.json            one job, written by the controller only
spool/ID/script, env    the submitted script and environment
nodes/NAME.json         one node's state
nodes/NAME/             its daemon's socket, log, pid, bin/hostname and one socket per running step
faults/KIND[.TARGET].N  one misbehaviour each; a command that meets it takes the file away unless N is `always`
"""

from __future__ import annotations

import json
import os

from slurm_mock.records import Job, Node, job_from, to_json
from slurm_mock.values import TYPE_CHECKING, dataclass, field

if TYPE_CHECKING:
    from typing import Any


VERSION = "22.05.8"


@dataclass(kw_only=True)
class Settings:
    """slurm.conf of the mock; times in seconds, memory in megabytes, partitions with their limits in minutes.

    `minute` is how long a minute of a time limit lasts.
    `node_detection` is what SlurmdTimeout makes of a crash: from the power cut to DOWN. `limit_check` is how often
    limits are looked at (30 s in the real one), `message_timeout` how long a launch waits for a silent node.
    """

    name: str = "mock"
    nodes: list[str] = field(default_factory=lambda: ["node1", "node2", "node3"])
    cpus: int = 8
    gpus: int = 4
    gpu_type: str = ""
    mem: int = 4000
    partitions: dict[str, int | None] = field(default_factory=lambda: {"gpu": 60, "long": 240})
    features: str = ""
    kill_wait: float = 5.0
    output_wait: float = 60.0
    node_detection: float = 2.0
    limit_check: float = 1.0
    minute: float = 60.0
    sched_delay: float = 0.1
    min_job_age: float = 300.0
    requeue_delay: float = 120.0
    enforce_part_limits: bool = True
    job_requeue: bool = True
    return_to_service: int = 2
    proctrack: str = "linuxproc"
    constrain_devices: bool = False
    track_memory: bool = False
    def_mem_per_cpu: int = 0
    hostnames: bool = True
    message_timeout: float = 1.0
    first_job_id: int = 1
    max_array_size: int = 1001

    def option(self, name: str, text: str) -> None:
        """Sets one field from its text. KeyError for an unknown name, ValueError for a bad value."""
        current = vars(self)[name]
        if isinstance(current, bool):
            value: Any = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}[text.lower()]
        elif name == "partitions":
            pairs = [item.partition(":") for item in text.split(",")]
            value = {part: int(limit) if limit else None for part, _, limit in pairs}
        elif isinstance(current, (int, float)):
            value = type(current)(text)
        else:
            value = text
        if name == "proctrack" and value not in ("linuxproc", "cgroup"):
            raise ValueError(value)
        setattr(self, name, value)


class Cluster:
    """Paths and files of one cluster directory."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def file(self, *parts: str) -> str:
        return os.path.join(self.path, *parts)

    @property
    def socket(self) -> str:
        return self.file("ctld.sock")

    def node_socket(self, node: str) -> str:
        return self.file("nodes", node, "slurmd.sock")

    def step_socket(self, node: str, job_id: int, step: str) -> str:
        return self.file("nodes", node, f"{job_id}.{step}.sock")

    def steps_on(self, node: str) -> list[tuple[int, str]]:
        """(job id, step) of all that runs on the node, batch scripts included."""
        names = [name.split(".") for name in os.listdir(self.file("nodes", node)) if name.endswith(".sock")]
        return [(int(name[0]), name[1]) for name in names if len(name) == 3]

    def settings(self) -> Settings:
        """A setting that this version does not know is left out."""
        known = vars(Settings())
        return Settings(**{key: value for key, value in _load(self.file("cluster.json")).items() if key in known})

    def save_settings(self, settings: Settings) -> None:
        _save(self.file("cluster.json"), vars(settings))

    def save_job(self, job: Job) -> None:
        _save(self.file("jobs", f"{job.id}.json"), to_json(job))

    def job(self, job_id: int) -> Job | None:
        try:
            return job_from(_load(self.file("jobs", f"{job_id}.json")))
        except FileNotFoundError:
            return None

    def jobs(self) -> list[Job]:
        """By id; one that is purged meanwhile is left out, and so is one under the fault `vanish`."""
        vanished = {fault.target for fault in self.faults() if fault.kind == "vanish"}
        names = [name[:-5] for name in os.listdir(self.file("jobs")) if name.endswith(".json")]
        found = [self.job(int(name)) for name in names if name not in vanished]
        return sorted((job for job in found if job), key=lambda job: job.id)

    def save_node(self, node: Node) -> None:
        _save(self.file("nodes", f"{node.name}.json"), to_json(node))

    def nodes(self, settings: Settings) -> list[Node]:
        return [Node(**_load(self.file("nodes", f"{name}.json"))) for name in settings.nodes]

    def crashed(self, node: str) -> bool:
        """The node's power was cut and it was not started again."""
        return os.path.exists(self.file("nodes", node, "crashed"))

    def faults(self) -> list[Fault]:
        found = []
        for name in sorted(os.listdir(self.file("faults"))):
            kind, target, number = name.split(".")
            try:
                with open(self.file("faults", name), encoding="utf-8") as stream:
                    text = stream.read()
            except FileNotFoundError:
                continue
            found.append(Fault(kind=kind, target=target, text=text, number=number, path=self.file("faults", name)))
        return found


@dataclass(kw_only=True)
class Fault:
    """One misbehaviour: `target` is a command's name, a job id, or empty for all."""

    kind: str
    target: str
    text: str
    number: str
    path: str

    def take(self) -> bool:
        """True if it applies to the caller: always, or because the caller was first to take this one away."""
        if self.number == "always":
            return True
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            return False
        return True


def _save(path: str, data: Any) -> None:
    hidden = f"{path}.{os.getpid()}.tmp"
    with open(hidden, "w", encoding="utf-8") as stream:
        json.dump(data, stream)
    os.replace(hidden, path)


def _load(path: str) -> Any:
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def write(path: str, text: str, *, mode: int = 0o600) -> None:
    """The file appears whole."""
    hidden = f"{path}.{os.getpid()}.tmp"
    with open(
        os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode),
        "w",
        encoding="utf-8",
        errors="surrogateescape",
    ) as stream:
        stream.write(text)
    os.replace(hidden, path)
