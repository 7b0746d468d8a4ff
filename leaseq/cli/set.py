"""`leaseq set`: pending tasks are other than they were."""

from __future__ import annotations

from functools import partial
from typing import Any

from leaseq.cli.acting import Said, on_each
from leaseq.cli.after import AFTER
from leaseq.cli.app import App
from leaseq.cli.changes import CHANGE_OPTIONS, PRIORITY, with_changes
from leaseq.cli.command import Command, Option
from leaseq.cli.hold import which
from leaseq.cli.options import JSON, LEASE
from leaseq.dataclass import dataclass, replace
from leaseq.errors import UsageError
from leaseq.lease.lookup import PENDING, Located
from leaseq.names import valid_group
from leaseq.protocol.edges import After
from leaseq.values import integer
from leaseq.verbs.arrays import set_throttle
from leaseq.verbs.change import Changed, Wish, change, wish
from leaseq.verbs.changes import Changes
from leaseq.verbs.fits import Fits

NONE = "none"
"""After nothing."""


@dataclass(frozen=True)
class Set:
    """Pending tasks, and what is to be different. What was not said stays as it was."""

    tasks: tuple[str, ...]
    lease: str
    changes: Changes
    priority: int | None
    group: str | None
    after: tuple[After, ...] | None
    """What they are to come after."""
    throttle: int | None
    """Of arrays, those that run too: how many of its indices may run at once; 0: any number."""
    json: bool

    def __post_init__(self) -> None:
        if not self._changes and self.throttle is None:
            raise UsageError("what is to be different?", hint="leaseq set ID... --priority 5, --gpus 2, --group x, ...")
        if self._changes and self.throttle is not None:
            raise UsageError(
                "--throttle stands alone: it is of arrays that run, too", hint="leaseq set ID --throttle 8"
            )

    @property
    def _changes(self) -> bool:
        return self.changes.said or self.priority is not None or self.group is not None or self.after is not None

    def perform(self, app: App) -> int:
        if self.throttle is not None:
            found = app.access.find(self.tasks, lease=self.lease, acts=True)
            return on_each(app, found, partial(_throttle, most=self.throttle), doing="changing", json=self.json)
        found = app.access.find(self.tasks, lease=self.lease, acts=True, of=PENDING)
        wished = wish(self.changes, priority=self.priority, group=self.group, after=self.after)
        act = partial(_set, wished=wished, fits=Fits(app.access))
        return on_each(app, found, act, doing="changing", json=self.json, hints=True)


def _set(app: App, each: Located, *, wished: Wish, fits: Fits) -> Said:
    return told(each.row.id, change(app.access, each, wished, fits=fits))


def _throttle(app: App, each: Located, *, most: int) -> Said:
    set_throttle(app.access, each, most)
    many = f"at most {most:,}" if most else "any number"
    return "changed", f"{each.row.id}: {many} of its indices may run at once; what runs goes on"


def told(task_id: str, changed: Changed) -> Said:
    """What became of the task, for a sum of many and as a sentence."""
    if not changed.said:
        return "as it was", f"{task_id} is so already"
    return "changed", f"{task_id} is changed: {', '.join(changed.said)}"


def group_or_none(text: str, *, what: str) -> str:
    """The group, or nothing for none."""
    return valid_group(text, what=what) if text.strip() else ""


def _request(**fields: Any) -> Set:
    said = fields["after"]
    if not said:
        fields["after"] = None
    elif any(each.word == NONE for each in said):
        if len(said) > 1:
            raise UsageError("--after none stands alone", hint="what is said with --after is all that it comes after")
        fields["after"] = ()
    return Set(**with_changes(fields))


COMMAND = Command(
    usage="ID... OPTIONS",
    about="Changes pending tasks, held ones too: what they need, their priority, group, environment. They keep their "
    "ids. A task that has started meanwhile is named, and left as it is.",
    make=_request,
    words=which("set"),
    options=(
        LEASE,
        replace(PRIORITY, default=""),
        Option("group", "put it into this group; '' into none", metavar="GROUP", read=group_or_none, blank=True),
        *CHANGE_OPTIONS,
        replace(AFTER, help="what it is to come after instead, as `submit --after` says it; none: nothing"),
        Option(
            "throttle",
            "of an array, one that runs too: at most N of its indices at once; 0: any number",
            metavar="N",
            read=partial(integer, low=0),
        ),
        JSON,
    ),
    examples=(
        "leaseq set last --priority 5",
        "leaseq set T0c4 T9aa --gpus 2 --time 4h",
        "leaseq set last --after T0c4",
    ),
)
