"""scancel: jobs and steps named or matched are signalled or ended; an unknown job id is no error."""

from __future__ import annotations

import os
import pwd
import re
import sys

from slurm_mock import array, grammar, units
from slurm_mock.client import Client, Failure
from slurm_mock.hostlist import expand
from slurm_mock.options import no_clusters, unsupported
from slurm_mock.records import CODES, Job
from slurm_mock.values import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from typing import Any


STATES = ("PENDING", "PD", "RUNNING", "R", "SUSPENDED", "S")
FILTERS = ("name", "me", "user", "state", "partition", "nodelist", "account", "qos", "reservation", "wckey")


@dataclass(frozen=True)
class Target:
    """A job, some tasks of an array, or a step, and how the user wrote it."""

    job: int
    tasks: list[int] | None
    step: str
    text: str

    def covers(self, job: Job) -> bool:
        return array.owns(job, self.job) and (self.tasks is None or bool(set(self.tasks) & set(job.indices)))


def main(client: Client, argv: list[str]) -> int:
    given, words = grammar.Parser("scancel", grammar.SCANCEL).parse(argv, interspersed=True)
    _check(client, given)
    number = _signal(given)
    targets = [_target(client, item) for word in words for item in _items(word)]
    filtered = any(name in given for name in FILTERS)
    if not targets and not filtered:
        client.fail("No job identification provided")
    if client.broken:
        client.fail(client.words({"error": client.broken}))
    if filtered:
        targets = _filtered(client, given, targets)
    code = 0
    for target in targets:
        message: dict[str, Any] = {"op": "cancel", "job": target.job, "tasks": target.tasks, "signal": number}
        message |= {"batch": "batch" in given, "full": "full" in given}
        if target.step:
            message["step"] = target.step
        quiet = not target.step and number is None and "batch" not in given
        code = _report(client, client.ask(message), target, quiet=quiet) or code
    return code


def _check(client: Client, given: dict[str, str]) -> None:
    """Failure for a filter's value that is none, and for what the mock does not do."""
    for name in ("interactive", "sibling"):
        if name in given:
            client.refuse(unsupported(name, given[name]))
    if "clusters" in given:
        client.refuse(no_clusters(given["clusters"]))
    if "state" in given and given["state"].upper() not in STATES:
        print(f"Invalid job state specified: {given['state']}", file=sys.stderr)
        print("Valid job states are PENDING, RUNNING, and SUSPENDED", file=sys.stderr)
        raise Failure(1)
    user = given.get("user", "")
    try:
        if user:
            pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        client.fail(f"Invalid user name: {user}")


def _items(word: str) -> list[str]:
    """The parts between the commas that no bracket holds together."""
    return [item for item in re.split(r",(?![^\[]*\])", word) if item]


def _filtered(client: Client, given: dict[str, str], targets: list[Target]) -> list[Target]:
    """What matches; of an array that is asked for by tasks, the records that have one of them."""
    matching = [job for job in client.cluster.jobs() if job.listed and _matches(job, given)]
    found = []
    for job in matching:
        tasks = job.indices if job.array_job else None
        if not targets or any(target.covers(job) for target in targets):
            found.append(Target(job.array_job or job.id, tasks, "", array.label(job)))
    return found


def _report(client: Client, reply: dict[str, Any], target: Target, *, quiet: bool) -> int:
    """Measured: an id that is unknown or over is an error only to who asks for a signal or a step."""
    errors = [error for error, _ in reply.get("results", [])] or [reply.get("error", "")]
    if "" in errors or (quiet and errors[0] in ("job", "done")):
        return 0
    kind = "job step id" if target.step else "job id"
    words = client.words({"error": "job" if errors[0] == "done" else errors[0]})
    client.say(f"error: Kill job error on {kind} {target.text}: {words}")
    return 1


def _signal(given: dict[str, str]) -> int | None:
    if "signal" not in given:
        return None
    try:
        return units.signal_number(given["signal"])
    except units.BadValue:
        print(f"Unknown job signal: {given['signal']}", file=sys.stderr)
        raise Failure(1) from None


def _target(client: Client, text: str) -> Target:
    job, _, step = text.partition(".")
    try:
        job_id, tasks = array.target(job)
    except ValueError:
        client.fail(f"Invalid job id {text}")
    return Target(job_id, tasks, step, text)


def _matches(job: Job, given: dict[str, str]) -> bool:
    request = job.request
    user = given.get("user", "")
    if user and user not in (request.user, str(request.uid)):
        return False
    if "me" in given and request.uid != os.getuid():
        return False
    state = given.get("state", "").upper()
    if state and state not in (job.shown_state, CODES[job.shown_state]):
        return False
    if "nodelist" in given and not set(expand(given["nodelist"])) & set(job.nodes):
        return False
    pairs = (
        ("name", request.name),
        ("partition", job.partition),
        ("account", request.account),
        ("qos", request.qos),
        ("reservation", request.reservation),
        ("wckey", ""),
    )
    return all(value in given[name].split(",") for name, value in pairs if name in given)
