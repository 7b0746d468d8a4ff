"""`leaseq init`: a person's first settings, by some questions; they are shown before they are written."""

from __future__ import annotations

import difflib
import sys

from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.cli.asking import agreed, by_default, on_terminal
from leaseq.cli.command import Command, Option
from leaseq.cli.init_questions import described, questions
from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.lease import homes
from leaseq.lease.slurm.offers import Offers, offers
from leaseq.programs import slurm_is_here
from leaseq.verbs.init import Planned, plan, said_now, write

CONTEXT_LINES = 3


@dataclass(frozen=True)
class Init:
    """Questions are asked, and the settings that come of the answers are written."""

    yes: bool
    dry_run: bool

    def perform(self, app: App) -> int:
        """The exit code of `doctor`, which looks at all of it then."""
        watched = sys.stdin.isatty() and sys.stderr.isatty()
        if not (watched or self.yes or self.dry_run):
            raise Refused(
                "`leaseq init` asks questions, and nobody is there to answer",
                hint="--yes takes the defaults; --dry-run prints what they come to, and writes nothing",
            )
        try:
            planned = self._planned(app, watched=watched)
        except KeyboardInterrupt:
            app.out.talk("\nleaseq: nothing was written")
            return exits.INTERRUPTED
        if self.dry_run:
            return 0
        if planned is not None:
            write(app.access, planned)
            app.out.talk(f"leaseq: wrote {planned.path}")
        app.out.talk("leaseq: `leaseq doctor` looks at the rest:")
        return _doctor(app)

    def _planned(self, app: App, *, watched: bool) -> Planned | None:
        """What is to be written; None if nothing is."""
        homes.check_home(app.home)
        said = said_now(app.home)[1]
        found = _asked(app) if slurm_is_here() else None
        if found is None:
            app.out.talk("leaseq: no Slurm on this host: `leaseq submit` uses this machine alone")
        ask = on_terminal(app) if watched and not self.yes else by_default(app)
        if watched and not self.yes:
            app.out.talk("leaseq: Enter takes what is in [ ], `?` explains, Ctrl-C leaves all as it is")
        wanted = questions(ask, found, said)
        if not wanted:
            app.out.talk("leaseq: nothing to write: the settings are as the answers want them")
            return None
        planned = plan(app.home, wanted, about=_about(found))
        self._show(app, planned)
        if self.dry_run or self.yes or agreed(ask, f"Write {planned.path}", "No: nothing is written"):
            return planned
        raise Refused("nothing was written", hint="`leaseq init` asks once more")

    def _show(self, app: App, planned: Planned) -> None:
        if planned.beside:
            app.out.talk(
                f"leaseq: {app.home.config} cannot be added to line by line: this stands beside it, to be moved over"
            )
        if self.dry_run:
            app.out.line(planned.text.rstrip("\n"))
            return
        before, text = planned.before.splitlines(), planned.text.splitlines()
        changes = list(difflib.unified_diff(before, text, n=CONTEXT_LINES, lineterm=""))[2:] if before else text
        app.out.talk(f"\n{planned.path}:\n" + "\n".join(f"  {line}" for line in changes) + "\n")


def _asked(app: App) -> Offers:
    """What Slurm offers, which is said."""
    app.out.talk("leaseq: asking Slurm what there is (sinfo, sacctmgr)")
    found = offers()
    if found.cluster:
        app.out.talk(f"leaseq: cluster {found.cluster}")
    for partition in found.partitions:
        app.out.talk(f"  {described(partition)}")
    for words in found.unknown.values():
        app.out.talk(f"leaseq: not known: {words}")
    if found.accounts and found.accounts.elsewhere:
        others = ", ".join(found.accounts.elsewhere)
        app.out.talk(
            f"leaseq: you have accounts on other clusters, too: {others}; `export SLURM_CLUSTERS=NAME` goes there"
        )
    return found


def _about(found: Offers | None) -> str:
    """The first line of a new file."""
    where = f" for cluster {found.cluster}" if found and found.cluster else ""
    return f"Settings of leaseq{where}, by `leaseq init`; for more see docs/slurm.md"


def _doctor(app: App) -> int:
    from leaseq.cli.doctor import Doctor

    return Doctor(lease="").perform(app)


COMMAND = Command(
    usage="",
    about="Asks a few questions, one at a time, and writes config.yaml: on a cluster a profile for `leaseq add` out of "
    "what sinfo and sacctmgr say. What is in the file stays. The file is shown first; `leaseq doctor` runs last.",
    make=Init,
    options=(
        Option("yes", "ask nothing: the defaults are taken", kind="flag", short="y"),
        Option("dry-run", "print the file, and write nothing", kind="flag"),
    ),
    examples=("leaseq init", "leaseq init --yes", "leaseq init --dry-run"),
)
