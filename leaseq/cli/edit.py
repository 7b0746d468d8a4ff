"""`leaseq edit`: pending tasks are changed in an editor, several in one sheet."""

from __future__ import annotations

import os
from functools import partial

from leaseq.cli.acting import Said, on_each
from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.editor import edited, kept
from leaseq.cli.hold import which
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.set import told
from leaseq.cli.sheet import Line
from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError
from leaseq.lease.lookup import PENDING, Found, Located
from leaseq.models import Task
from leaseq.names import Entry
from leaseq.verbs.change import Wish, change, opened
from leaseq.verbs.fits import Fits
from leaseq.verbs.upstreams import replaced


@dataclass(frozen=True)
class Edit:
    """Pending tasks that a person is to change."""

    tasks: tuple[str, ...]
    lease: str
    json: bool

    def perform(self, app: App) -> int:
        """0 if every task is as the sheet says; nothing is changed if the sheet is wrong anywhere."""
        found = app.access.find(self.tasks, lease=self.lease, acts=True, of=PENDING)
        known = {each.row.id: opened(app.access, each) for each in found.tasks}
        lines, path = edited(known)
        different = Found(tuple(each for each in found.tasks if each.row.id in lines), found.unknown, found.problems)
        for each in different.tasks:
            if (after := lines[each.row.id].after) is not None:
                try:
                    replaced(app.access, each.reader.lease, known[each.row.id][0], after)
                except LeaseqError as error:
                    raise kept(error, path) from None
        act = partial(_change, lines=lines, known=known, fits=Fits(app.access))
        code = on_each(app, different, act, doing="changing", json=self.json, hints=True) if different.tasks else 0
        if not different.tasks:
            app.out.talk("leaseq: nothing was changed")
            if self.json:
                app.out.document({"lease": found.lease, "ids": [], "problems": []})
        if code:
            app.out.talk(f"leaseq: what you wrote is in {path}")
        else:
            os.unlink(path)
        return code


def _change(
    app: App, each: Located, *, lines: dict[str, Line], known: dict[str, tuple[Task, Entry]], fits: Fits
) -> Said:
    line = lines[each.row.id]
    wished = Wish(lambda task: line.task, line.priority, line.after, opened=str(known[each.row.id][1]))
    return told(each.row.id, change(app.access, each, wished, fits=fits))


COMMAND = Command(
    usage="ID...",
    about="Opens every field of pending tasks in $VISUAL or $EDITOR, as one sheet of YAML. What is saved counts; a "
    "sheet that is wrong anywhere changes nothing, and stays. Nothing is locked while the editor is open.",
    make=Edit,
    words=which("edit"),
    options=(LEASE, JSON),
    examples=("leaseq edit last", "leaseq edit T0c4 T9aa"),
)
