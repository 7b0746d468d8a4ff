"""`leaseq clean`: results and logs of old tasks go; nothing that is pending, running or to be recovered."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.progress import TOLD_MAX, Progress
from leaseq.dataclass import dataclass
from leaseq.values import seconds
from leaseq.verbs.clean import clean, clean_code, due, unnamed_code
from leaseq.words import count


@dataclass(frozen=True)
class Clean:
    lease: str
    older_seconds: float
    keep_failed: bool
    dry_run: bool
    json: bool

    def perform(self, app: App) -> int:
        """The results that are old enough are gone, or were only listed."""
        lease = app.access.lease(self.lease)
        old = due(app.access, lease, older_seconds=self.older_seconds, keep_failed=self.keep_failed)
        progress = Progress(app.out, "removing", len(old.tasks), quiet=self.json)
        left: dict[str, OSError] = {}
        if not self.dry_run:
            try:
                left = clean(app.access, old, told=progress.at)
            finally:
                progress.clear()
        code = unnamed_code(app.access, older_seconds=self.older_seconds)
        if not self.dry_run:
            clean_code(app.access, code)
        removed = [each.outcome for each in old.tasks if each.outcome.task.id not in left]
        problems = [f"{task_id} stays: {error.strerror}: {error.filename}" for task_id, error in left.items()]
        if self.json:
            tasks = [{"id": each.task.id, "state": each.state.name, "ended": each.ended} for each in removed]
            body = {"lease": lease.id, "dry_run": self.dry_run, "removed": tasks, "leftovers": len(old.leftovers)}
            kept = {"diffs": len(code.diffs), "trees": len(code.trees), "trees_used": list(code.used)}
            app.out.document({**body, **kept, "problems": problems})
            return 1 if problems else 0
        verb = "would remove" if self.dry_run else "removed"
        parts = [f"the results and logs of {count(len(removed), 'task')}"]
        parts += [count(len(old.leftovers), "leftover file")] if old.leftovers else []
        parts += [f"what differed in {count(len(code.diffs), 'state')} of code"] if code.diffs else []
        parts += [count(len(code.trees), "copy of code", "copies of code")] if code.trees else []
        app.out.wrap(f"{verb} {', '.join(parts[:-1])} and {parts[-1]}" if parts[1:] else f"{verb} {parts[0]}")
        for path in code.used:
            app.out.talk(f"leaseq: {path} stays: tasks have written files there")
        for problem in problems[:TOLD_MAX]:
            app.out.talk(f"leaseq: {problem}")
        if len(problems) > TOLD_MAX:
            app.out.talk(f"leaseq: and {len(problems) - TOLD_MAX} more like these")
        return 1 if problems else 0


COMMAND = Command(
    usage="[--older-than 30d] [--keep-failed] [--dry-run]",
    about="Removes results and logs of tasks that ended longer ago than --older-than. Pending, held, running and lost "
    "tasks stay as they are. One line of history per task remains.",
    make=Clean,
    options=(
        Option(
            "older-than",
            "how long ago a task must have ended: 12h, 7d, 0",
            metavar="AGE",
            read=seconds,
            default="30d",
            field="older_seconds",
        ),
        Option("keep-failed", "only tasks that ended as DONE", kind="flag"),
        Option("dry-run", "only say what would go", kind="flag", short="n"),
        LEASE,
        JSON,
    ),
    examples=("leaseq clean --dry-run", "leaseq clean --older-than 7d --keep-failed"),
)
