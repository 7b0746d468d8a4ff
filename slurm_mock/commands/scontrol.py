"""scontrol: records in full, and changes to jobs and nodes."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Collection

from slurm_mock import array, grammar, units
from slurm_mock.client import Client
from slurm_mock.hostlist import compress, expand, ranges
from slurm_mock.node_state import views
from slurm_mock.options import no_clusters
from slurm_mock.show import job_text, node_text, partition_text, step_text
from slurm_mock.update import HELD, JOB_KEYS
from slurm_mock.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


NODE_KEYS = ("state", "reason")
JOB_KEYS_OF_SLURM = """account admincomment batchhost burstbuffer clusterfeatures clusters contiguous corespec
cpus-per-task cpuspertask deadline delayboot endtime excnodelist features gres
gresallocate licenses mailtype mailuser mcs_label mincpusnode minmemorycpu minmemorynode mintmpdisknode
network numcpus numtasks oversubscribe power prefer qos reboot
reqcores reqnodelist reqsockets reqthreads reservation reservationname resetaccruetime shared sitefactor stdout switches
tasks threadspec timemin tresperjob userid wait-for-switch wckey workdir""".split()
NODE_KEYS_OF_SLURM = (
    "activefeatures availablefeatures comment cpubind extra features gres nodeaddr nodehostname weight".split()
)
NODE_STATES = ("down", "drain", "idle", "resume", "undrain")
"""Those that the mock carries out."""
NODE_STATES_OF_SLURM = """cancel_reboot fail future noresp power_down power_down_asap power_down_force power_up
resv""".split()


def main(client: Client, argv: list[str]) -> int:
    given, words = grammar.Parser("scontrol", grammar.SCONTROL).parse(argv, interspersed=True)
    if not words:
        print("scontrol: ")
        return 0
    if "clusters" in given:
        client.refuse(no_clusters(given["clusters"]))
    verb, *rest = words
    actions: dict[str, Callable[[Client, list[str], dict[str, str]], int]] = {
        "show": _show,
        "update": _update,
        "requeue": _on_jobs,
        "requeuehold": _on_jobs,
        "hold": _on_jobs,
        "uhold": _on_jobs,
        "release": _on_jobs,
        "ping": _ping,
        "version": _version,
    }
    if verb not in actions:
        print(f"invalid keyword: {verb}", file=sys.stderr)
        return 1
    given["verb"] = verb
    return actions[verb](client, rest, given)


def _version(client: Client, words: list[str], given: dict[str, str]) -> int:
    print("slurm 22.05.8")
    return 0


def _ping(client: Client, words: list[str], given: dict[str, str]) -> int:
    print(f"Slurmctld(primary) at ctl is {'DOWN' if client.broken else 'UP'}")
    return 1 if client.broken else 0


def _show(client: Client, words: list[str], given: dict[str, str]) -> int:
    what, *names = words or [""]
    if what in ("hostnames", "hostname"):
        for name in expand(names[0] if names else os.environ.get("SLURM_JOB_NODELIST", "")):
            print(name)
        return 0
    if what in ("hostlist", "hostlistsorted"):
        print(compress(expand(names[0])))
        return 0
    shows: dict[str, Callable[[Client, str, dict[str, str]], int]] = {
        "job": _show_job,
        "jobs": _show_job,
        "node": _show_node,
        "nodes": _show_node,
        "partition": _show_partition,
        "partitions": _show_partition,
        "step": _show_step,
        "steps": _show_step,
        "config": _show_config,
    }
    key, equals, value = what.partition("=")
    if key not in shows:
        print(f"invalid entity:{what} for keyword:show ", file=sys.stderr)
        return 1
    name = value if equals else names[0] if names else ""
    if client.broken:
        print(f"slurm_load_{key.rstrip('s')}s error: {client.words({'error': client.broken})}", file=sys.stderr)
        return 1
    return shows[key](client, name, given)


def _print(text: str, given: dict[str, str]) -> None:
    if "oneliner" in given:
        print(" ".join(line.strip() for line in text.splitlines() if line.strip()))
    else:
        print(text, end="\n\n")


def _show_job(client: Client, name: str, given: dict[str, str]) -> int:
    jobs = client.cluster.jobs()
    if name:
        try:
            job_id, task = array.viewed(name)
            if "[" in name or not name.replace("_", "").isdigit():
                raise ValueError(name)
        except ValueError:
            print("scontrol_print_job error: Invalid job id specified", file=sys.stderr)
            return 1
        jobs = [job for job in jobs if array.owns(job, job_id)]
        if not jobs:
            print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
            return 1
        if task is not None:
            jobs = [job for job in (array.single(job, task) for job in jobs) if job]
            if not jobs:
                print(f"Job {name} not found")
                return 1
    for job in jobs:
        _print(job_text(job, detailed="details" in given), given)
    if not jobs:
        print("No jobs in the system")
    return 0


def _show_node(client: Client, name: str, given: dict[str, str]) -> int:
    known = {view.name: view for view in views(client.cluster, client.settings)}
    for node in expand(name) if name else known:
        if node not in known:
            print(f"Node {node} not found")
            return 1
        _print(node_text(known[node], client.settings), given)
    return 0


def _show_partition(client: Client, name: str, given: dict[str, str]) -> int:
    if name and name not in client.settings.partitions:
        print(f"Partition {name} not found")
        return 1
    for partition in [name] if name else client.settings.partitions:
        _print(partition_text(partition, client.settings), given)
    return 0


def _show_step(client: Client, name: str, given: dict[str, str]) -> int:
    job_id, _, key = name.partition(".")
    found = False
    for job in client.cluster.jobs():
        if job_id and job_id not in (str(job.id), array.label(job)):
            continue
        keys = (["batch"] if job.batch_running else []) + list(job.steps)
        for step in keys:
            if not key or step == key:
                _print(step_text(job, step), given)
                found = True
    if not found and name:
        print(f"Job step {name} not found")
        return 1
    return 0


def _show_config(client: Client, name: str, given: dict[str, str]) -> int:
    settings = client.settings
    memory = "_MEMORY" if settings.track_memory else ""
    pairs = {
        "AccountingStorageType": "accounting_storage/none",
        "ClusterName": settings.name,
        "EnforcePartLimits": "ALL" if settings.enforce_part_limits else "NO",
        "GresTypes": "gpu",
        "JobRequeue": int(settings.job_requeue),
        "KillWait": f"{settings.kill_wait:g} sec",
        "MaxArraySize": settings.max_array_size,
        "MessageTimeout": f"{settings.message_timeout:g} sec",
        "MinJobAge": f"{settings.min_job_age:g} sec",
        "ProctrackType": f"proctrack/{settings.proctrack}",
        "ReturnToService": settings.return_to_service,
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": f"CR_CORE{memory}",
        "SLURM_CONF": client.cluster.file("slurm.conf"),
        "SLURM_VERSION": "22.05.8",
        "SlurmdTimeout": f"{settings.node_detection:g} sec",
    }
    print(f"Configuration data as of {time.strftime('%Y-%m-%dT%H:%M:%S')}")
    for key, value in pairs.items():
        print(f"{key:<23} = {value}")
    print("\nSlurmctld(primary) at ctl is UP")
    return 0


def _update(client: Client, words: list[str], given: dict[str, str]) -> int:
    changes = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            print(f"Invalid input: {word}\nRequest aborted", file=sys.stderr)
            return 1
        changes[key.lower()] = (value, word)
    if "jobid" in changes:
        return _update_job(client, changes)
    if "nodename" in changes:
        return _update_node(client, changes)
    print('No valid entity in update command\nInput line must include "NodeName", "JobId"', file=sys.stderr)
    return 1


def _unsupported(
    client: Client, changes: dict[str, tuple[str, str]], keys: Collection[str], of_slurm: Collection[str]
) -> bool:
    """True if a word is refused: in Slurm's own words what it does not know, in the mock's what that does not."""
    for key, (_, word) in changes.items():
        if key in of_slurm:
            client.fail(f"update {word}: not supported by slurm_mock")
        if key not in keys:
            print(f"Update of this parameter is not supported: {word}\nRequest aborted", file=sys.stderr)
            return True
    return False


def _update_job(client: Client, changes: dict[str, tuple[str, str]]) -> int:
    jobs, _ = changes.pop("jobid")
    if _unsupported(client, changes, JOB_KEYS, JOB_KEYS_OF_SLURM):
        return 1
    values = {key: value for key, (value, _) in changes.items()}
    try:
        for key in ("starttime", "eligibletime"):
            if key in values:
                units.moment(values[key], time.time())
    except units.BadValue as bad:
        print(f"Invalid time specification (pos=0): {bad}\nNo changes specified", file=sys.stderr)
        return 1
    for key, shown in (("requeue", "Requeue"), ("priority", "Priority")):
        if not values.get(key, "0").isdigit():
            client.fail(f"Invalid {shown} value: {values[key]}")
    if not values.get("numnodes", "1").replace("-", "").isdigit():
        client.say(f'error: Invalid numeric value "{values.pop("numnodes")}" for requested node count.')
    if "timelimit" in values and not _is_limit(values["timelimit"]):
        client.fail("Invalid TimeLimit value")
    return _to_each(client, [jobs], {"op": "update", "changes": values, "uid": os.getuid()})


def _is_limit(text: str) -> bool:
    try:
        units.minutes(text.removeprefix("+").removeprefix("-"))
    except units.BadValue:
        return False
    return True


def _update_node(client: Client, changes: dict[str, tuple[str, str]]) -> int:
    names, _ = changes.pop("nodename")
    if _unsupported(client, changes, NODE_KEYS, NODE_KEYS_OF_SLURM):
        return 1
    values = {key: value for key, (value, _) in changes.items()}
    state = values.get("state", "resume").lower()
    if state in NODE_STATES_OF_SLURM:
        client.fail(f"update State={values['state']}: not supported by slurm_mock")
    if state not in NODE_STATES:
        print(f"Invalid input: State={values['state']}\nRequest aborted", file=sys.stderr)
        return 1
    reply = client.ask({"op": "update_node", "nodes": expand(names), "changes": values})
    if "error" in reply:
        print(f"slurm_update error: {client.words(reply)}", file=sys.stderr)
        return 1
    return 0


def _on_jobs(client: Client, words: list[str], given: dict[str, str]) -> int:
    verb = given["verb"]
    if not words:
        print(f"too few arguments for keyword:{verb}", file=sys.stderr)
        return 1
    why = HELD[verb != "uhold" and os.getuid() == 0]
    op = {"requeuehold": "requeue", "uhold": "hold"}.get(verb, verb)
    again = "slurm_suspend error: " if op in ("hold", "release") else ""
    return _to_each(client, words, {"op": op, "hold": verb == "requeuehold", "why": why}, again=again)


def _to_each(client: Client, words: list[str], message: dict[str, Any], *, again: str = "") -> int:
    """The message is put for each job, or task of an array, that the words name."""
    code = 0
    for text in [item for word in words for item in re.split(r",(?![^\[]*\])", word)]:
        try:
            job_id, tasks = array.target(text)
            reply = client.ask({**message, "job": job_id, "tasks": tasks})
        except ValueError:
            reply = {"error": "job"}
        code = _report(client, reply, text, again=again) or code
    return code


def _report(client: Client, reply: dict[str, Any], text: str, *, again: str) -> int:
    """Measured: what came of an array is told by its tasks, as soon as it differs or any failed."""
    results = reply.get("results", [])
    if any(error for error, _ in results):
        for error, tasks in results:
            print(f"{text.partition('_')[0]}_{ranges(tasks)}: {client.words({'error': error})}", file=sys.stderr)
        return 1
    if "error" not in reply:
        return 0
    print(f"{client.words(reply)} for job {text}", file=sys.stderr)
    if again:
        print(again + client.words(reply), file=sys.stderr)
    return 1
