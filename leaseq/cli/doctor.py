"""`leaseq doctor`: what must be right here and on a lease's nodes, and what to do if it is not."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.options import LEASE, LOOK, Look
from leaseq.cli.output import Output
from leaseq.dataclass import dataclass
from leaseq.verbs.doctor import findings
from leaseq.verbs.findings import Finding
from leaseq.words import one_line, visible

INDENT = 25
"""Where the words of a finding begin."""


@dataclass(frozen=True, kw_only=True)
class Doctor(Look):
    """Everything is looked at, the nodes of the lease too if it is Slurm's."""

    lease: str

    def perform(self, app: App) -> int:
        """1 if something is bad."""
        out = self.output(app)
        found = []
        for each in findings(app.access, self.lease):
            found.append(each)
            if not self.json:
                self._show(out, each)
        if self.json:
            out.document({"findings": [vars(each) for each in found]})
        return 1 if any(each.verdict == "bad" for each in found) else 0

    def _show(self, out: Output, each: Finding) -> None:
        colour = {"ok": "32", "note": "33", "bad": "31"}[each.verdict]
        lines = out.in_lines(f"{each.verdict:<4}  {each.what:<18} {visible(one_line(each.words))}", indent=INDENT)
        out.line(out.paint(lines[0][:4], colour) + lines[0][4:])
        for line in lines[1:]:
            out.line(line)
        if each.advice:
            out.wrap(" " * INDENT + visible(each.advice), indent=INDENT)


COMMAND = Command(
    usage="[--lease LEASE]",
    about="Looks at Python, the home and its file system, tmux, Slurm, and the nodes of a lease (a step is started on "
    "each: clock, GPUs granted and seen, tmux, the installation). Says what to do about what is not right.",
    make=Doctor,
    options=(LEASE, *LOOK[:2]),
)
