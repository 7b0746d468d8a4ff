"""squeue: jobs or steps as lines of text, straight from the cluster's directory."""

from __future__ import annotations

import json
import os
import pwd
import sys
import time

from slurm_mock import array, grammar, units
from slurm_mock import format as columns
from slurm_mock.client import Client, Failure
from slurm_mock.format import Field
from slurm_mock.hostlist import compress, expand
from slurm_mock.job_fields import JOBS, TIME_FORMAT, end_time
from slurm_mock.options import no_clusters, unsupported
from slurm_mock.records import CODES, Job, Step
from slurm_mock.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


DEFAULT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
START = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R"
STEPS = "%.15i %.8j %.9P %.8u %.9M %N"
Record = tuple[Job, str, Step | None]


def main(client: Client, argv: list[str]) -> int:
    given, words = grammar.Parser("squeue", grammar.SQUEUE).parse(argv, interspersed=True)
    if "step" in given and not given["step"] and words:
        given["step"] = words.pop(0)
    if words:
        print(f"squeue: error: Unrecognized option: {words[0]}\nusage: squeue [-O | --Format]...", file=sys.stderr)
        return 1
    _check(client, given)
    ids = _ids(client, given.get("job", ""))
    states = _states(client, given)
    nodes = _nodes(client, given)
    if client.broken:
        print(f"slurm_load_jobs error: {client.words({'error': client.broken})}", file=sys.stderr)
        return 1
    jobs = client.cluster.jobs()
    if len(ids) == 1 and not any(array.owns(job, ids[0][0]) for job in jobs):
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    if "json" in given:
        return _print_json(jobs)
    shown = [job for job in _chosen(jobs, ids) if _matches(job, given, states, nodes)]
    if "step" in given:
        return _print_steps(client, shown, given)
    return _print_jobs(client, shown, given)


def _check(client: Client, given: dict[str, str]) -> None:
    """Failure for values that are none, and for what the mock does not do."""
    if "clusters" in given:
        client.refuse(no_clusters(given["clusters"]))
    if "iterate" in given and not given["iterate"].isdigit():
        client.fail(f"--iterate={given['iterate']}")
    for name in ("iterate", "yaml", "federation", "sibling"):
        if name in given:
            client.refuse(unsupported(name, given[name]))
    for key in (given.get("sort") or os.environ.get("SQUEUE_SORT") or "").split(","):
        letter = key.strip().lstrip("+-#")[:1]
        if letter and letter not in JOBS.letters:
            client.fail(f"Invalid sort specification: {letter}")


def _print_jobs(client: Client, jobs: list[Job], given: dict[str, str]) -> int:
    spec = given.get("format") or os.environ.get("SQUEUE_FORMAT") or ""
    names = given.get("Format") or ("" if spec else os.environ.get("SQUEUE_FORMAT2", ""))
    if "long" in given and not spec and not names:
        print(time.strftime("%a %b %d %H:%M:%S %Y"))
        spec = LONG
    elif "start" in given:
        spec = spec or START
        jobs = [job for job in jobs if job.state == "PENDING"]
    apart = "array" in given or "SQUEUE_ARRAY" in os.environ
    jobs = [each for job in jobs for each in array.singles(job)] if apart else array.merged(jobs)
    if names:
        wanted, unknown = JOBS.long(names)
    else:
        wanted, unknown = JOBS.short(spec or DEFAULT)
    for name in unknown:
        client.say(f"error: Invalid job format specification: {name}")
    if "noheader" not in given:
        print(columns.header(wanted))
    for job in _sorted(jobs, given.get("sort") or os.environ.get("SQUEUE_SORT") or "P,t,i"):
        print(columns.row(wanted, job))
    return 0


def _sorted(jobs: list[Job], keys: str) -> list[Job]:
    """By the letters of -S, the last key first so that the first one decides."""
    order = list(CODES)
    for key in reversed(keys.split(",")):
        letter = key.lstrip("+-")
        if letter == "i":
            jobs = sorted(jobs, key=lambda job: job.id, reverse=key.startswith("-"))
        elif letter in ("t", "T"):
            jobs = sorted(jobs, key=lambda job: order.index(job.shown_state), reverse=key.startswith("-"))
        elif letter in JOBS.letters:
            field = JOBS.letters[letter]
            jobs = sorted(jobs, key=field.text, reverse=key.startswith("-"))
    return jobs


def _ids(client: Client, text: str) -> list[tuple[int, int | None]]:
    ids = []
    for item in filter(None, text.split(",")):
        try:
            ids.append(array.viewed(item))
        except ValueError:
            client.fail(f"Invalid job id: {item}")
    return ids


def _chosen(jobs: list[Job], ids: list[tuple[int, int | None]]) -> list[Job]:
    """The jobs with these ids, and of an array the tasks; all jobs if none is named."""
    if not ids:
        return jobs
    found: list[Job] = []
    for job in jobs:
        tasks = {task for job_id, task in ids if array.owns(job, job_id)}
        if None in tasks:
            found.append(job)
        else:
            found += [each for each in (array.single(job, task) for task in sorted(filter(None.__ne__, tasks))) if each]
    return found


def _states(client: Client, given: dict[str, str]) -> list[str] | None:
    """Full names; None for the default selection."""
    text = given.get("state", os.environ.get("SQUEUE_STATES", ""))
    if not text and "all" not in given:
        return None
    codes = {code: name for name, code in CODES.items()}
    states = []
    for word in text.upper().split(","):
        if word == "ALL" or not word:
            return list(CODES) if text else None
        if word not in CODES and word not in codes:
            client.say(f"error: Invalid job state specified: {word.lower()}")
            client.say(f"error: Valid job states include: {','.join(CODES)}")
            raise Failure(1)
        states.append(codes.get(word, word))
    return states


def _nodes(client: Client, given: dict[str, str]) -> set[str]:
    names = expand(given.get("nodelist", ""))
    for name in names:
        if name not in client.settings.nodes:
            client.fail(f"Invalid node name {name}")
    return set(names)


def _matches(job: Job, given: dict[str, str], states: list[str] | None, nodes: set[str]) -> bool:
    if states is None and not job.listed:
        return False
    if states is not None and job.state not in states and job.shown_state not in states:
        return False
    if nodes and not nodes & set(job.nodes):
        return False
    if "me" in given and job.request.uid != os.getuid():
        return False
    users = given.get("user", os.environ.get("SQUEUE_USERS", ""))
    if users and not _is_user(job, users.split(",")):
        return False
    pairs = (
        ("name", job.request.name),
        ("partition", job.partition),
        ("account", job.request.account),
        ("qos", job.request.qos),
        ("reservation", job.request.reservation),
        ("licenses", job.request.licenses),
    )
    return all(value in given[name].split(",") for name, value in pairs if name in given)


def _is_user(job: Job, users: list[str]) -> bool:
    for user in users:
        try:
            uid = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
        except KeyError:
            print(f"squeue: error: Invalid user: {user}", file=sys.stderr)
            continue
        if uid == job.request.uid:
            return True
    return False


def _print_steps(client: Client, jobs: list[Job], given: dict[str, str]) -> int:
    now = time.time()
    fields: dict[str, Field[Record]] = {
        "i": Field("STEPID", lambda record: f"{array.label(record[0])}.{record[1]}"),
        "A": Field("ARRAY_JOB_ID", lambda record: str(record[0].array_job or record[0].id)),
        "j": Field("NAME", lambda record: record[2].name if record[2] else "batch"),
        "P": Field("PARTITION", lambda record: record[0].partition),
        "u": Field("USER", lambda record: record[0].request.user),
        "S": Field("START_TIME", lambda record: units.stamp(_start(record), TIME_FORMAT)),
        "M": Field("TIME", lambda record: units.span(int(now - _start(record)))),
        "N": Field("NODELIST", lambda record: compress(record[2].nodes if record[2] else [record[0].batch_host])),
        "l": Field("TIME_LIMIT", lambda record: units.UNLIMITED),
        "C": Field("CPUS", lambda record: str(record[0].cpus)),
    }
    wanted, unknown = columns.Table(fields).short(given.get("format", STEPS))
    for letter in unknown:
        client.say(f"error: Invalid job step format specification: {letter}")
    if "noheader" not in given:
        print(columns.header(wanted))
    asked = [item for item in given["step"].split(",") if item]
    for job in jobs:
        records: list[Record] = [(job, key, step) for key, step in job.steps.items()]
        records += [(job, "batch", None)] if job.batch_running else []
        for record in records:
            names = {str(job.id), f"{job.id}.{record[1]}", array.label(job), f"{array.label(job)}.{record[1]}"}
            if not asked or names & set(asked):
                print(columns.row(wanted, record))
    return 0


def _start(record: Record) -> float:
    return record[2].start if record[2] else record[0].start


def _print_json(jobs: list[Job]) -> int:
    """Measured: --json lists all jobs, ended ones included, whatever -j, -t and -u say."""
    rows: list[dict[str, Any]] = []
    for job in jobs:
        request = job.request
        rows.append(
            {
                "account": request.account,
                "array_job_id": job.array_job,
                "array_task_id": job.array_task,
                "array_max_tasks": job.array_throttle,
                "array_task_string": array.waiting(job) if job.array_tasks else None,
                "batch_host": job.batch_host,
                "command": request.command,
                "comment": job.comment,
                "current_working_directory": request.workdir,
                "dependency": request.dependency,
                "eligible_time": int(job.eligible),
                "end_time": int(end_time(job) or 0),
                "exit_code": job.exit_code << 8 | job.exit_signal,
                "job_id": job.id,
                "job_state": job.shown_state,
                "name": request.name,
                "nodes": compress(job.nodes),
                "node_count": len(job.nodes) or request.nodes_min or 1,
                "partition": job.partition,
                "restart_cnt": job.restarts,
                "start_time": int(job.start),
                "state_reason": job.reason,
                "submit_time": int(job.submit),
                "time_limit": job.limit_minutes,
                "user_id": request.uid,
                "user_name": request.user,
            }
        )
    print(json.dumps({"meta": {"Slurm": {"release": "22.05.8"}}, "errors": [], "jobs": rows}, indent=1))
    return 0
