"""Slurm's texts as values: squeue's lines, durations, host lists, job ids. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from leaseq.dataclass import dataclass, field
from leaseq.forms import Form
from leaseq.schema import Record, _as, integer, maybe, number, text, whole

FIELDS = ("%i", "%T", "%L", "%l", "%S", "%V", "%D", "%P", "%C", "%N", "%r", "%u", "%o", "%k", "%j")
SEPARATOR = "\x1f"
"""No option of Slurm can hold it; a job's name or path can hold a bar, a blank or a comma."""
FORMAT = SEPARATOR.join(FIELDS)

PENDING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
RUNNING = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"})
ENDED = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT".split()
)
_DURATION = Form(r"(?:(?P<days>[0-9]{1,9})-)?(?P<clock>[0-9]{1,12}(?::[0-9]{1,9}){0,2})")
_JOB = Form(r"([0-9]{1,15})(?:;(\S+))?")


@dataclass(frozen=True)
class Row(Record):
    """One job as squeue tells it."""

    id: str = _as(text)
    state: str = _as(text)
    """Slurm's long name: PENDING, RUNNING, COMPLETING, CANCELLED, ..."""
    reason: str = _as(text, default="")
    left_seconds: float | None = _as(maybe(number), default=None)
    """Until its time limit; None if it has none or Slurm does not say."""
    limit: str = _as(text, default="")
    starts: str = _as(text, default="")
    """When it started, or will by the scheduler's present plan, in the cluster's local time; empty if unknown."""
    submitted: str = _as(text, default="")
    node_count: int = _as(integer, default=0)
    nodes: str = _as(text, default="")
    """The host list as Slurm folds it."""
    partition: str = _as(text, default="")
    cpus: str = _as(text, default="")
    user: str = _as(text, default="")
    script: str = _as(text, default="")
    comment: str = _as(text, default="")
    name: str = _as(text, default="")

    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.state in ENDED


_NO_ANSWER = (
    "socket timed out",
    "unable to contact slurm controller",
    "communication connection failure",
    "zero bytes were transmitted",
    "transport endpoint is not connected",
    "connection timed out",
    "connection reset",
    "controller in standby",
    "slurm_receive_msg",
)


def is_no_answer(words: str) -> bool:
    """True if a Slurm command's words say that the controller gave it none: what it asked may be done or not."""
    said = words.lower()
    return any(text in said for text in _NO_ANSWER)


def parse_rows(output: str) -> list[Row]:
    """The jobs in squeue's output; lines of another shape (banners, warnings) are left out."""
    return [row for row in map(_row, output.splitlines()) if row]


def _row(line: str) -> Row | None:
    parts = line.split(SEPARATOR, len(FIELDS) - 1)
    if len(parts) != len(FIELDS) or not re.fullmatch(r"[0-9]{1,15}(_\S{1,100}|\+[0-9]{1,15})?", parts[0].strip()):
        return None
    values = dict(zip(FIELDS, (part.strip() for part in parts), strict=True))
    return Row(
        id=values["%i"],
        state=values["%T"],
        reason="" if values["%r"] in ("None", "(null)") else values["%r"],
        left_seconds=parse_duration(values["%L"]),
        limit=values["%l"],
        starts=known_time(values["%S"]),
        submitted=known_time(values["%V"]),
        node_count=whole(values["%D"]) or 0,
        nodes="" if values["%N"] == "(null)" else values["%N"],
        partition=values["%P"],
        cpus=values["%C"],
        user=values["%u"],
        script=values["%o"],
        comment="" if values["%k"] == "(null)" else values["%k"],
        name=values["%j"],
    )


def known_time(value: str) -> str:
    """The time stamp, or nothing if Slurm says N/A, Unknown or None."""
    return value if re.match(r"\d{4}-\d\d-\d\dT", value) else ""


def parse_duration(value: str) -> float | None:
    """Seconds of `[DAYS-][[HOURS:]MINUTES:]SECONDS` as Slurm prints it; None for UNLIMITED, INVALID and the like."""
    match = _DURATION.fullmatch(value.strip())
    if not match:
        return None
    seconds = 0
    for part in match["clock"].split(":"):
        seconds = seconds * 60 + int(part)
    return float(seconds + 86400 * int(match["days"] or 0))


def parse_job_id(output: str) -> tuple[str, str] | None:
    """(job id, cluster or empty) of `sbatch --parsable` among a site's banners: the last line that is just that."""
    for line in reversed(output.splitlines()):
        match = _JOB.fullmatch(line.strip())
        if match:
            return match[1], match[2] or ""
    return None
