"""`leaseq triage`: what went wrong with a task, its last lines, and what to try."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Words
from leaseq.cli.details import attempt_json, attempt_text
from leaseq.cli.options import LEASE, LOOK, Look
from leaseq.cli.output import Output
from leaseq.cli.rows import reason_of, values_text
from leaseq.dataclass import dataclass
from leaseq.lease.lookup import How
from leaseq.protocol.history import command_text
from leaseq.reading.views import need_text
from leaseq.verbs.triage import BAD, Triage, triage, worst
from leaseq.words import visible


@dataclass(frozen=True, kw_only=True)
class TriageRequest(Look):
    """Tasks of which it is to be said what went wrong."""

    tasks: tuple[str, ...]
    lease: str

    def perform(self, app: App) -> int:
        out = self.output(app)
        found = app.access.find(self.tasks, lease=self.lease, indices=How.TOGETHER)
        documents = []
        for number, each in enumerate(found.tasks):
            of_array = each.row.array is not None
            one = worst(each) if of_array else each
            if not self.json and number:
                out.line()
            if not self.json and of_array:
                out.pairs([("array", f"{each.row.id} {reason_of(each.row, 'exit code')}")])
            if one is None:
                if not self.json:
                    out.pairs([("cause", "none of its indices went wrong so far")])
                continue
            about = triage(one)
            documents.append(_json(about))
            if not self.json:
                _tell(out, about)
        if self.json:
            out.document({"lease": found.lease, "tasks": documents, "unknown": list(found.unknown)})
        return app.tell(found.problems)


def _tell(out: Output, found: Triage) -> None:
    row, task = found.row, found.detail.task
    reason = reason_of(row, "exit code")
    pairs = [
        ("id", row.id),
        ("state", row.state.name + (f": {reason}" if reason else "")),
        ("command", command_text(task) if task else row.command),
        ("values", values_text(row.values) if row.values else ""),
        ("directory", task.cwd if task else ""),
        ("limits", need_text(task.need) if task else ""),
        (f"attempt {row.attempt}", attempt_text(found.outcome) if found.outcome else ""),
    ]
    out.pairs((title, text) for title, text in pairs if text)
    if found.lines:
        out.line(f"its last {'line' if len(found.lines) == 1 else f'{len(found.lines)} lines'} of std{found.stream}:")
        for line in found.lines:
            out.line(f"  {line}".rstrip())
    elif found.outcome is not None:
        gone = "`leaseq clean` has removed what it wrote" if row.cleaned else "it wrote nothing"
        out.pairs([("output", gone)])
    if found.cause:
        out.pairs([("likely" if found.likely else "cause", visible(found.cause))])
    elif row.state in BAD:
        out.pairs([("cause", "not known: its last lines name none that leaseq knows")])
    if found.way:
        out.pairs([("try", found.way)])


def _json(found: Triage) -> dict[str, object]:
    row, task = found.row, found.detail.task
    return {
        "id": row.id,
        "state": row.state.name,
        "reason": row.reason,
        "exit_code": row.exit_code,
        "command": command_text(task) if task else row.command,
        "attempt": attempt_json(found.lease, found.outcome) if found.outcome else None,
        "stream": found.stream,
        "last_lines": list(found.lines),
        "cause": found.cause,
        "likely": found.likely,
        "try": found.way,
    }


COMMAND = Command(
    usage="ID...",
    about="Says what went wrong with a task: its state, limits, last lines, the likely cause, and what to try. Of an "
    "array it takes an index that went wrong.",
    make=TriageRequest,
    words=Words("tasks", "task", least=1, ask="which task?", hint="leaseq triage ID, or `leaseq triage last`"),
    options=(LEASE, *LOOK),
    examples=("leaseq triage last", "leaseq triage T0c4_17 --json"),
)
