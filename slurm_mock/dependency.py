"""A `--dependency` text and whether it is satisfied, given the jobs that are known: pure."""

from __future__ import annotations

from collections.abc import Container, Mapping

from slurm_mock import array
from slurm_mock.records import ACTIVE, Job
from slurm_mock.values import dataclass

READY, WAITING, NEVER = "ready", "waiting", "never"
_KINDS = ("after", "afterany", "afterok", "afternotok", "aftercorr")


class Unsupported(ValueError):
    """Slurm knows it; slurm_mock does not."""


@dataclass(frozen=True)
class Term:
    """One condition: a kind and what it is about, as (job id, task of its array or None for all of it)."""

    kind: str
    targets: tuple[tuple[int, int | None], ...] = ()
    minutes: tuple[int, ...] = ()
    """Of `after`: how long each must have run, or been cancelled."""


def parse(text: str) -> tuple[list[Term], bool]:
    """([terms], True if any one will do). ValueError for what Slurm calls a job dependency problem."""
    any_one = "?" in text
    terms = []
    for term in text.replace("?", ",").split(",") if text else []:
        kind, *ids = term.split(":")
        if kind.isdigit() and not ids:
            terms.append(Term("afterany", (_target(kind),)))
        elif kind == "singleton" and not ids:
            terms.append(Term(kind))
        elif kind == "after" and ids:
            words = [word.partition("+") for word in ids]
            minutes = tuple(_minutes(late) if plus else 0 for _, plus, late in words)
            terms.append(Term(kind, tuple(_target(word) for word, _, _ in words), minutes if any(minutes) else ()))
        elif kind in _KINDS and ids:
            terms.append(Term(kind, tuple(map(_target, ids))))
        elif kind in ("afterburstbuffer", "expand"):
            raise Unsupported(text)
        else:
            raise ValueError(text)
    return terms, any_one


def _target(text: str) -> tuple[int, int | None]:
    return array.viewed(text.removesuffix("_*"))


def _minutes(text: str) -> int:
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


def named(text: str, arrays: Container[int]) -> str:
    """The text as squeue shows it: an array as a whole is `33_*`."""

    def shown(word: str) -> str:
        return f"{word}_*" if word.isdigit() and int(word) in arrays else word

    return "?".join(
        ",".join(":".join(map(shown, term.split(":"))) for term in part.split(",")) for part in text.split("?")
    )


def judge(job: Job, jobs: Mapping[int, Job], now: float) -> str:
    """READY, WAITING or NEVER. An id that is not known counts as satisfied (measured)."""
    terms, any_one = parse(job.request.dependency)
    verdicts = [_term(term, job, jobs, now) for term in terms]
    if not verdicts:
        return READY
    if any_one:
        return next((word for word in (READY, WAITING) if word in verdicts), NEVER)
    return next((word for word in (NEVER, WAITING) if word in verdicts), READY)


def _term(term: Term, job: Job, jobs: Mapping[int, Job], now: float) -> str:
    if term.kind == "singleton":
        same = (jobs[other] for other in jobs if other < job.id)
        mine = [j for j in same if j.request.name == job.request.name and j.request.uid == job.request.uid]
        return WAITING if any(other.listed for other in mine) else READY
    verdicts = []
    for (job_id, task), minutes in zip(term.targets, term.minutes or (0,) * len(term.targets), strict=True):
        wanted = job.array_task if term.kind == "aftercorr" and task is None else task
        verdicts += [
            _one(term.kind, other) if term.kind != "after" else _after(other, minutes, now)
            for other in jobs.values()
            if array.owns(other, job_id) and (wanted is None or not other.array_job or wanted in other.indices)
        ]
    return next((word for word in (NEVER, WAITING) if word in verdicts), READY)


def moments(job: Job, jobs: Mapping[int, Job]) -> list[float]:
    """When what the job waits for will have run for long enough."""
    if "+" not in job.request.dependency:
        return []
    return [
        _long_enough(other, minutes)
        for term in parse(job.request.dependency)[0]
        for (job_id, _), minutes in zip(term.targets, term.minutes, strict=False)
        for other in jobs.values()
        if array.owns(other, job_id) and other.state != "PENDING"
    ]


def _after(other: Job, minutes: int, now: float) -> str:
    return READY if other.state != "PENDING" and now >= _long_enough(other, minutes) else WAITING


def _long_enough(other: Job, minutes: int) -> float:
    """So long after its start, or after it was cancelled before that."""
    return (other.start or other.end) + minutes * other.minute_seconds


def _one(kind: str, other: Job) -> str:
    if other.completing or other.state in ACTIVE:
        return WAITING
    succeeded = other.state == "COMPLETED"
    if kind in ("afterok", "aftercorr"):
        return READY if succeeded else NEVER
    if kind == "afternotok":
        return NEVER if succeeded else READY
    return READY
