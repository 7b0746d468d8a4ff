"""When a job would start by Slurm's present plan, with the time that is asked for and with less of it.

`sbatch --test-only` tells, and queues nothing; it uses up a job's number. What it says is an estimate: measured with
22.05 and 24.11, it knows of reservations and running jobs, and puts a job behind all that wait before it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from leaseq.dataclass import dataclass
from leaseq.errors import LeaseqError
from leaseq.forms import Form
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.sbatch import LeaseRequest, Prepared
from leaseq.node.scrub import for_sbatch

SECONDS_MAX = 10.0
"""How long all questions together may take: then what is not known stays unsaid."""
PARTS = (2, 4)
EARLIER_SECONDS = 60.0
"""Less than that is no reason to ask for less time."""
_LIMIT = Form(r"(?:(?P<days>[0-9]{1,4})-)?(?P<clock>[0-9]{1,6}(?::[0-9]{1,6}){0,2})")
_STARTS = re.compile(r"\bto start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\b")


@dataclass(frozen=True)
class Estimate:
    """When the job would start with that time limit."""

    limit: str
    """As Slurm takes it; empty: what the job gets without one."""
    starts: str
    """In the cluster's local time, as Slurm writes it."""


def estimates(prepared: Prepared, request: LeaseRequest) -> list[Estimate]:
    """With the time that is asked for; and with half and a quarter of it, if it would start earlier then.

    None if Slurm does not say, or not in time.
    """
    limit = request.checked.options.get("time") or request.environment.get("SBATCH_TIMELIMIT", "")
    deadline = time.monotonic() + SECONDS_MAX
    first = _ask(prepared, request, "", deadline=deadline)
    if not first:
        return []
    found = [Estimate(limit, first)]
    for shorter in _shorter(limit):
        starts = _ask(prepared, request, shorter, deadline=deadline)
        if not starts:
            break
        if _seconds(found[-1].starts) - _seconds(starts) >= EARLIER_SECONDS:
            found.append(Estimate(shorter, starts))
    return found


def _ask(prepared: Prepared, request: LeaseRequest, limit: str, *, deadline: float) -> str:
    """When it would start; empty if that is not known."""
    left = deadline - time.monotonic()
    tokens = [word for word in request.tokens if word != "--"]
    words = ["sbatch", "--test-only", *tokens, *([f"--time={limit}"] if limit else [])]
    try:
        answer = ask(
            words, environment=for_sbatch(request.environment), seconds_max=max(0.1, left), fed=prepared.script
        )
    except LeaseqError:
        return ""
    match = _STARTS.search(answer.err) or _STARTS.search(answer.out)
    return match[1] if match and answer.code == 0 else ""


def _shorter(limit: str) -> Iterator[str]:
    minutes = minutes_of(limit) or 0
    for part in PARTS:
        if minutes // part:
            yield limit_of(minutes // part)


def minutes_of(limit: str) -> int | None:
    """Whole minutes of a time limit as sbatch takes it; None if it is none, or has none.

    `MINUTES[:SECONDS]`, `HOURS:MINUTES:SECONDS`, or `DAYS-HOURS[:MINUTES[:SECONDS]]`.
    """
    match = _LIMIT.fullmatch(limit.strip())
    if not match:
        return None
    parts = [int(part) for part in match["clock"].split(":")]
    if match["days"] is not None:
        hours, minutes = [*parts, 0][:2]
        return (int(match["days"]) * 24 + hours) * 60 + minutes
    return parts[0] * 60 + parts[1] if len(parts) == 3 else parts[0]


def limit_of(minutes: int) -> str:
    """So many minutes as sbatch takes them: `30`, `3:00:00`, `1-12:00:00`."""
    hours, rest = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}-{hours:02d}:{rest:02d}:00"
    return f"{hours}:{rest:02d}:00" if hours else str(rest)


def _seconds(stamp: str) -> float:
    return time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S"))
