"""`leaseq hook`: which hooks there are, and how their last calls went."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.columns import Column
from leaseq.cli.command import Command
from leaseq.cli.options import LOOK, Look
from leaseq.cli.output import iso
from leaseq.dataclass import dataclass
from leaseq.verbs.hook import Listed, listed
from leaseq.words import about, command_line

COLUMNS = (
    Column("NAME"),
    Column("ON", least=12, rank=4),
    Column("EVERY", right=True, rank=2),
    Column("LAST", least=16, rank=5),
    Column("COMMAND", least=20),
)


@dataclass(frozen=True, kw_only=True)
class ListHooks(Look):
    """The hooks of this home."""

    def perform(self, app: App) -> int:
        out = self.output(app)
        found = listed(app.access)
        if self.json:
            out.document({"hooks": [_json(each) for each in found]})
            return 0
        out.table(COLUMNS, [_row(each, app.clock.now()) for each in found])
        if not found:
            out.talk("leaseq: no hook yet: `leaseq hook add NAME --on failed,empty -- COMMAND`")
        return 0


def command_of(each: Listed) -> str:
    """The command as a person would type it."""
    if each.hook is None:
        return "its file cannot be read: add it again, or remove it"
    return command_line(each.hook.argv, shell=each.hook.shell)


def _row(each: Listed, now: float) -> list[str]:
    on = ",".join(each.hook.on) if each.hook else ""
    every = f"{each.hook.every_seconds:.0f} s" if each.hook else ""
    return [each.name, on or "--notify", every, _last(each, now), command_of(each)]


def _last(each: Listed, now: float) -> str:
    if each.last is None:
        return "never called"
    ago = f"{about(max(0.0, now - each.last.time))} ago"
    if each.last.code == 0:
        return f"ok {ago}"
    code = f"exit code {each.last.code}" if each.last.code is not None else ""
    why = ": ".join(word for word in (code, each.last.words) if word)
    return f"failed {ago} on {each.node}: {why}"


def _json(each: Listed) -> dict[str, object]:
    hook, last = each.hook, each.last
    return {
        "name": each.name,
        "on": list(hook.on) if hook else [],
        "every_seconds": hook.every_seconds if hook else None,
        "argv": list(hook.argv) if hook else [],
        "shell": hook.shell if hook else False,
        "last": None
        if last is None
        else {
            "lease": each.lease,
            "node": each.node,
            "time": last.time,
            "time_at": iso(last.time),
            "exit_code": last.code,
            "words": last.words,
            "events": last.events,
        },
    }


COMMAND = Command(
    usage="",
    about="Lists the hooks: commands that runners call when something happens in a lease, and how each call went last.",
    make=ListHooks,
    options=LOOK,
    examples=("leaseq hook", "leaseq hook --json"),
)
