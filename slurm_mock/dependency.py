"""A `--dependency` text and whether it is satisfied, given the jobs that are known: pure."""

from collections.abc import Mapping

from slurm_mock.records import ACTIVE, Job

READY, WAITING, NEVER = "ready", "waiting", "never"
_KINDS = ("after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer", "expand")


def parse(text: str) -> tuple[list[tuple[str, list[int]]], bool]:
    """([(kind, ids)], True if any one will do). ValueError for what Slurm calls a job dependency problem."""
    any_one = "?" in text
    terms = []
    for term in text.replace("?", ",").split(",") if text else []:
        kind, *ids = term.split(":")
        if kind.isdigit() and not ids:
            terms.append(("afterany", [int(kind)]))
        elif kind == "singleton" and not ids:
            terms.append((kind, []))
        elif kind in _KINDS and ids:
            terms.append((kind, [int(item.partition("+")[0].partition("_")[0]) for item in ids]))
        else:
            raise ValueError(text)
    return terms, any_one


def judge(job: Job, jobs: Mapping[int, Job]) -> str:
    """READY, WAITING or NEVER. An id that is not known counts as satisfied (measured)."""
    terms, any_one = parse(job.request.dependency)
    verdicts = [_term(kind, ids, job, jobs) for kind, ids in terms]
    if not verdicts:
        return READY
    if any_one:
        return next((word for word in (READY, WAITING) if word in verdicts), NEVER)
    return next((word for word in (NEVER, WAITING) if word in verdicts), READY)


def _term(kind: str, ids: list[int], job: Job, jobs: Mapping[int, Job]) -> str:
    if kind == "singleton":
        same = (jobs[other] for other in jobs if other < job.id)
        mine = [j for j in same if j.request.name == job.request.name and j.request.uid == job.request.uid]
        return WAITING if any(other.listed for other in mine) else READY
    verdicts = [_one(kind, jobs[other]) for other in ids if other in jobs]
    return next((word for word in (NEVER, WAITING) if word in verdicts), READY)


def _one(kind: str, other: Job) -> str:
    if kind == "after":
        return WAITING if other.state == "PENDING" else READY
    if other.completing or other.state in ACTIVE:
        return WAITING
    succeeded = other.state == "COMPLETED"
    if kind in ("afterok", "aftercorr"):
        return READY if succeeded else NEVER
    if kind == "afternotok":
        return NEVER if succeeded else READY
    return READY
