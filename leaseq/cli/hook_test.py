"""`leaseq hook test`: a hook is called now, with a made-up event."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.options import JSON, LEASE
from leaseq.dataclass import dataclass
from leaseq.verbs.hook import known, tried


@dataclass(frozen=True)
class TestHook:
    """A hook that is to be tried."""

    name: str
    lease: str
    json: bool

    def perform(self, app: App) -> int:
        """0 if the hook ended well."""
        hook = known(app.access, self.name)
        ended = tried(app.access, hook, app.access.lease(self.lease))
        if self.json:
            app.out.document({"name": hook.name, "exit_code": ended.code, "words": ended.words})
        else:
            code = "it did not end well" if ended.code is None else f"exit code {ended.code}"
            said = f": {ended.words}" if ended.words else ""
            app.out.talk(f"leaseq: hook {hook.name}: {'ok' if ended.code == 0 else code}{said}")
        return 0 if ended.code == 0 else 1


COMMAND = Command(
    usage="NAME",
    about="Calls the hook here and now, with a made-up failure, and says how that went. A node may lack what "
    "this host has.",
    make=TestHook,
    words=Words("name", "hook", least=1, most=1, ask="which hook?", hint="leaseq hook test NAME"),
    options=(LEASE, JSON),
    examples=("leaseq hook test phone",),
)
