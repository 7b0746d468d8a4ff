"""What was done here and can be taken back: a value."""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.dataclass import dataclass, field
from leaseq.words import count

NAMES = {"set": "priority", "move": "pin"}
"""What verbs did that have another name for a person."""


@dataclass(frozen=True)
class Undo:
    """One thing that was done. `verb`: of the command."""

    lease: str
    verb: str
    tasks: tuple[str, ...] = ()
    group: str = ""
    """Of what was paused, or resumed; empty: the lease."""
    before: Mapping[str, str] = field(default_factory=dict)
    """Of each task what it was: its priority, its node; of one that was held, `held`."""
    made: str = ""
    """What it was made: the priority, the node."""

    @property
    def words(self) -> str:
        """`cancel of T3k9x2ab`."""
        what = self.tasks[0][:8] if len(self.tasks) == 1 else count(len(self.tasks), "task")
        if self.verb in ("pause", "resume"):
            what = f"group {self.group}" if self.group else "the lease"
        return f"{NAMES.get(self.verb, self.verb)} of {what}"
