"""A node with what jobs hold of it, and the words sinfo and scontrol have for its state."""

from __future__ import annotations

from slurm_mock.cluster import Cluster, Settings
from slurm_mock.records import Node
from slurm_mock.values import dataclass

CODES = {
    "idle": "idle",
    "mixed": "mix",
    "allocated": "alloc",
    "completing": "comp",
    "down": "down",
    "drained": "drain",
    "draining": "drng",
    "unknown": "unk",
}


@dataclass(frozen=True)
class NodeView:
    """One node as seen from outside."""

    node: Node
    cpus_used: int
    gpus_used: int
    mem_used: int
    completing: bool
    gpu_name: str
    features: str

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def gres(self) -> str:
        return f"{self.gpu_name}:{self.node.gpus}" if self.node.gpus else "(null)"

    @property
    def gres_used(self) -> str:
        return f"{self.gpu_name}:{self.gpus_used}" if self.node.gpus else "gpu:0"

    @property
    def counts(self) -> tuple[int, int, int]:
        """(allocated, idle, other), one of them 1."""
        state = base(self)
        return (
            int(state in ("allocated", "mixed", "completing")),
            int(state == "idle"),
            int(state in ("down", "drained", "draining", "unknown")),
        )

    @property
    def cpu_counts(self) -> tuple[int, int, int]:
        other = 0 if self.node.up and not self.node.drain else self.node.cpus - self.cpus_used
        return self.cpus_used, self.node.cpus - self.cpus_used - other, other


def views(cluster: Cluster, settings: Settings) -> list[NodeView]:
    jobs = [job for job in cluster.jobs() if job.shares]
    found = []
    for node in cluster.nodes(settings):
        here = [job for job in jobs if node.name in job.shares]
        shares = [job.shares[node.name] for job in here]
        found.append(
            NodeView(
                node=node,
                cpus_used=sum(share.cpus for share in shares),
                gpus_used=sum(len(share.gpus) for share in shares),
                mem_used=sum(share.mem for share in shares),
                completing=bool(here) and all(job.completing for job in here),
                gpu_name=f"gpu:{settings.gpu_type}" if settings.gpu_type else "gpu",
                features=settings.features,
            )
        )
    return found


def base(view: NodeView) -> str:
    if not view.node.up:
        return "down"
    if view.node.drain:
        return "draining" if view.cpus_used else "drained"
    if view.completing:
        return "completing"
    if view.cpus_used >= view.node.cpus:
        return "allocated"
    return "mixed" if view.cpus_used else "idle"


def word(view: NodeView) -> str:
    """`allocated`, with `*` while the node does not respond."""
    return base(view) + ("" if view.node.responding else "*")


def code(view: NodeView) -> str:
    return CODES[base(view)] + ("" if view.node.responding else "*")
