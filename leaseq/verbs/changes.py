"""What a task is to be other than it was, when it runs once more."""

from __future__ import annotations

import os

from leaseq.dataclass import dataclass, field, replace
from leaseq.models import Need, Task
from leaseq.protocol.submission import environment_known, with_environment


@dataclass(frozen=True)
class Changes:
    """What was not said stays as it was."""

    need: Need = field(default_factory=Need)
    name: str | None = None
    env: tuple[str, ...] = ()
    export: str = ""
    node: str = ""
    cwd: str = ""
    retries: int | None = None
    on_lost: str = ""
    requeue: bool | None = None
    anyway: bool = False
    """True if it is to wait for nothing."""

    @property
    def said(self) -> bool:
        """True if anything is to be different."""
        return self != Changes()

    def forgets(self, old: Task) -> bool:
        """True if the task gets this process's environment because its own is not known any more."""
        return not self.export and not environment_known(old)

    def applied(self, old: Task) -> Task:
        """The task with these changes; what its environment and directory are said to be is of this process."""
        task = with_environment(old, self.export, self.env, os.environ)
        return replace(
            task,
            need=self.need_after(old.need),
            name=old.name if self.name is None else self.name,
            node=self.node or old.node,
            cwd=os.path.normpath(os.path.join(os.getcwd(), os.path.expanduser(self.cwd))) if self.cwd else old.cwd,
            retries=old.retries if self.retries is None else self.retries,
            on_lost=self.on_lost or old.on_lost,
            requeue=old.requeue if self.requeue is None else self.requeue,
            after=() if self.anyway else old.after,
        )

    def need_after(self, old: Need) -> Need:
        """What the task needs with these changes."""
        said = {name: value for name, value in vars(self.need).items() if value is not None and name != "extra"}
        return replace(old, **said)


NONE = Changes()
