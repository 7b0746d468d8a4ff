"""`leaseq hook remove`: a hook hears of nothing more."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.dataclass import dataclass
from leaseq.verbs.hook import remove


@dataclass(frozen=True)
class RemoveHook:
    """A hook that is to be gone."""

    name: str

    def perform(self, app: App) -> int:
        remove(app.access, self.name)
        app.out.talk(f"leaseq: hook {self.name} is removed; runners know of that within a minute")
        return 0


COMMAND = Command(
    usage="NAME",
    about="Removes a hook.",
    make=RemoveHook,
    words=Words("name", "hook", least=1, most=1, ask="which hook?", hint="leaseq hook remove NAME"),
    examples=("leaseq hook remove phone",),
)
