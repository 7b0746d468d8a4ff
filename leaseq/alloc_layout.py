"""Every path in the directory of one allocation of a lease."""

from __future__ import annotations

from leaseq.dataclass import dataclass
from leaseq.names import node_part


@dataclass(frozen=True)
class AllocDir:
    """Paths of what gives a lease its nodes, and of what its script says."""

    root: str

    @property
    def record(self) -> str:
        return f"{self.root}/alloc.json"

    @property
    def notes(self) -> str:
        """One file per node that has no runner, saying why; written by the lease script."""
        return f"{self.root}/note"

    @property
    def ends(self) -> str:
        """The seconds left to the allocation, as of the moment the file was written; by the lease script."""
        return f"{self.root}/ends"

    @property
    def released(self) -> str:
        """There once Slurm has been told by leaseq to end it."""
        return f"{self.root}/released"

    @property
    def told_to_end(self) -> str:
        """What the lease script wrote when Slurm told it to end: how long it had left."""
        return f"{self.root}/told-to-end"

    @property
    def idle_limit(self) -> str:
        """How long it may stand unused, if that was changed since it was asked for."""
        return f"{self.root}/idle-limit"

    @property
    def leaving(self) -> str:
        """Where its runners agree that all of them leave, because nothing uses it: see `protocol.leaving`."""
        return f"{self.root}/leave"

    def decision(self, round_id: str) -> str:
        """How that round came out."""
        return f"{self.leaving}/{round_id}"

    def would_leave(self, round_id: str, node: str) -> str:
        """There once that node's runner would leave."""
        return f"{self.leaving}/{round_id}.{node_part(node)}"

    @property
    def left(self) -> str:
        """Why it has given its nodes back by itself."""
        return f"{self.root}/left"

    @property
    def node_names(self) -> str:
        """Its nodes, one per line, in Slurm's order; by the lease script when it starts."""
        return f"{self.root}/nodes"

    @property
    def named(self) -> str:
        """The names of all nodes that it has ever had, one per line; by the lease script, beside `node_names`."""
        return f"{self.root}/named"

    def heard(self, node: str) -> str:
        """The node's last heartbeat of this allocation, once another allocation's runner serves the node."""
        return f"{self.root}/heard.{node}"

    @property
    def script_log(self) -> str:
        """What the lease script and its runners had to say."""
        return f"{self.root}/slurm.log"

    @property
    def script(self) -> str:
        """The script as Slurm was given it."""
        return f"{self.root}/lease.sh"
