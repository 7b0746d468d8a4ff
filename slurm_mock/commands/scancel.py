"""scancel: jobs and steps named or matched are signalled or ended; an unknown job id is no error."""

import os
import sys
from typing import Any

from slurm_mock import grammar, units
from slurm_mock.client import Client, Failure
from slurm_mock.hostlist import expand
from slurm_mock.records import CODES, Job

STEP_UNKNOWN = 225  # measured: Slurm's error 2017, cut to a byte
FILTERS = ("name", "me", "user", "state", "partition", "nodelist", "account", "qos", "reservation", "wckey")


def main(client: Client, argv: list[str]) -> int:
    given, words = grammar.Parser("scancel", grammar.SCANCEL).parse(argv, interspersed=True)
    number = _signal(given)
    targets = [_target(client, item) for word in words for item in word.split(",") if item]
    filtered = any(name in given for name in FILTERS)
    if not targets and not filtered:
        client.fail("No job identification provided")
    if client.broken:
        client.fail(client.words({"error": client.broken}))
    if filtered:
        ids = {job_id for job_id, _ in targets}
        matching = [job.id for job in client.cluster.jobs() if job.listed and _matches(job, given)]
        targets = [(job_id, "") for job_id in matching if not ids or job_id in ids]
    code = 0
    for job_id, step in targets:
        message: dict[str, Any] = {"op": "cancel", "job": job_id, "signal": number}
        message |= {"batch": "batch" in given, "full": "full" in given}
        if step:
            message["step"] = step
        code = _report(client, client.ask(message), job_id, step) or code
    return code


def _report(client: Client, reply: dict[str, Any], job_id: int, step: str) -> int:
    if "error" not in reply:
        return 0
    if reply["error"] in ("job", "done") and not step:
        return 0
    kind = "job step id" if step else "job id"
    client.say(f"error: Kill job error on {kind} {job_id}: {client.words(reply)}")
    return STEP_UNKNOWN if step else 1


def _signal(given: dict[str, str]) -> int | None:
    if "signal" not in given:
        return None
    try:
        return units.signal_number(given["signal"])
    except units.BadValue:
        print(f"Unknown job signal: {given['signal']}", file=sys.stderr)
        raise Failure(1) from None


def _target(client: Client, text: str) -> tuple[int, str]:
    job, _, step = text.partition(".")
    if not job.isdigit():
        client.fail(f"Invalid job id {text}")
    return int(job), step


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
    )
    return all(value in given[name].split(",") for name, value in pairs if name in given)
