"""What squeue can say about a job: its letters for -o, its names for -O."""

from __future__ import annotations

import os
import time

from slurm_mock import array, units
from slurm_mock.format import Field, Table
from slurm_mock.hostlist import compress
from slurm_mock.records import CODES, Job
from slurm_mock.request import file_name, output_of

TIME_FORMAT = os.environ.get("SLURM_TIME_FORMAT", "")
REASON_STATES = ("PENDING", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "FAILED")


def _used(job: Job) -> int:
    return job.seconds(time.time())


def time_left(job: Job) -> str:
    """Measured: INVALID once more was used than allowed."""
    if job.limit_minutes is None:
        return units.UNLIMITED
    return units.span(job.limit_minutes * 60 - _used(job))


def where(job: Job) -> str:
    """Nodes, or the reason in brackets for what waits or failed."""
    if job.state in REASON_STATES and not job.completing:
        return f"({job.reason})"
    return nodes_text(job)


def nodes_text(job: Job) -> str:
    """The job's nodes; of an ending one those that it still occupies."""
    return compress(list(job.shares) if job.completing else job.nodes)


def node_count(job: Job) -> int:
    """What it has; before, the least it needs: enough nodes for its tasks."""
    return len(job.nodes) or job.request.nodes_min or len(job.request.nodelist) or 1


def end_time(job: Job) -> float | None:
    if job.state == "PENDING" and start_time(job) and job.limit_minutes is not None:
        return start_time(job) + job.limit_minutes * 60
    return job.deadline if job.state == "RUNNING" else job.end or None


def memory(job: Job) -> str:
    request = job.request
    megabytes = request.mem_per_node if request.mem_per_node is not None else request.mem_per_cpu or 0
    if megabytes and megabytes % 1024 == 0:
        return f"{megabytes // 1024}G"
    return f"{megabytes}M" if megabytes else "0"


def tres_per_node(job: Job) -> str:
    request = job.request
    if request.gres and request.gres != "none":
        return ",".join(f"gres:{item.removeprefix('gres:')}" for item in request.gres.split(","))
    return f"gres:gpu:{request.gpus_per_node}" if request.gpus_per_node else "N/A"


def tres(job: Job) -> str:
    pairs = [f"cpu={job.cpus}"]
    megabytes = sum(share.mem for share in job.shares.values())
    pairs += [f"mem={megabytes}M"] if megabytes else []
    return ",".join([*pairs, f"node={node_count(job)}", f"billing={job.cpus}"])


def output_path(job: Job, *, error: bool = False) -> str:
    if not job.request.batch:
        return ""
    pattern = (job.request.stderr if error else "") or output_of(job.request)
    return file_name(job, pattern, node=job.batch_host or "%N")


def _stamp(epoch: float | None) -> str:
    return units.stamp(epoch, TIME_FORMAT)


def _dependency(job: Job) -> str:
    text = job.request.dependency
    if not text or job.state != "PENDING":
        return "(null)"
    fate = "failed" if job.reason == "DependencyNeverSatisfied" else "unfulfilled"
    return ",".join(f"{term}({fate})" for term in text.split(","))


def min_cpus(job: Job) -> int:
    return (job.request.ntasks_per_node or 1) * (job.request.cpus_per_task or 1)


def start_time(job: Job) -> float:
    """When it started, or may start at the earliest if that is known."""
    return job.eligible if job.state == "PENDING" and job.eligible > time.time() else job.start


def _null(text: str) -> str:
    return text or "(null)"


LETTERS = {
    "i": Field("JOBID", array.label),
    "A": Field("JOBID", lambda job: str(job.id)),
    "F": Field("ARRAY_JOB_ID", lambda job: str(job.array_job or job.id)),
    "K": Field("ARRAY_TASK_ID", lambda job: array.tasks_text(job) or "N/A"),
    "j": Field("NAME", lambda job: job.request.name),
    "T": Field("STATE", lambda job: job.shown_state),
    "t": Field("ST", lambda job: CODES[job.shown_state]),
    "M": Field("TIME", lambda job: units.span(_used(job))),
    "L": Field("TIME_LEFT", time_left),
    "l": Field("TIME_LIMIT", lambda job: units.limit_text(job.limit_minutes)),
    "D": Field("NODES", lambda job: str(node_count(job))),
    "N": Field("NODELIST", nodes_text),
    "R": Field("NODELIST(REASON)", where),
    "r": Field("REASON", lambda job: job.reason),
    "e": Field("END_TIME", lambda job: _stamp(end_time(job))),
    "S": Field("START_TIME", lambda job: _stamp(start_time(job))),
    "V": Field("SUBMIT_TIME", lambda job: _stamp(job.submit)),
    "P": Field("PARTITION", lambda job: job.partition),
    "u": Field("USER", lambda job: job.request.user),
    "U": Field("UID", lambda job: str(job.request.uid)),
    "g": Field("GROUP", lambda job: job.request.group),
    "G": Field("GROUP", lambda job: str(job.request.gid)),
    "b": Field("TRES_PER_NODE", tres_per_node),
    "k": Field("COMMENT", lambda job: _null(job.comment)),
    "C": Field("CPUS", lambda job: str(job.cpus)),
    "c": Field("MIN_CPUS", lambda job: str(min_cpus(job))),
    "m": Field("MIN_MEMORY", memory),
    "Z": Field("WORK_DIR", lambda job: job.request.workdir),
    "a": Field("ACCOUNT", lambda job: _null(job.request.account)),
    "q": Field("QOS", lambda job: _null(job.request.qos)),
    "B": Field("EXEC_HOST", lambda job: job.batch_host or "n/a"),
    "E": Field("DEPENDENCY", _dependency),
    "f": Field("FEATURES", lambda job: _null(job.request.features)),
    "h": Field("OVER_SUBSCRIBE", lambda job: "NO" if job.request.exclusive else "OK"),
    "n": Field("REQ_NODES", lambda job: compress(job.request.nodelist)),
    "x": Field("EXC_NODES", lambda job: compress(job.request.exclude)),
    "o": Field("COMMAND", lambda job: _null(job.request.command)),
    "p": Field("PRIORITY", lambda job: "0.99998474121093"),
    "Q": Field("PRIORITY", lambda job: str(4294901760 - job.id)),
    "v": Field("RESERVATION", lambda job: _null(job.request.reservation)),
    "w": Field("WCKEY", lambda job: "(null)"),
    "W": Field("LICENSES", lambda job: "(null)"),
    "y": Field("NICE", lambda job: str(job.request.nice)),
    "Y": Field("SCHEDNODES", lambda job: "(null)"),
    "X": Field("CORE_SPEC", lambda job: "N/A"),
    "z": Field("S:C:T", lambda job: "*:*:*"),
    "d": Field("MIN_TMP_DISK", lambda job: "0"),
    "O": Field("CONTIGUOUS", lambda job: "0"),
    "H": Field("SOCKETS_PER_NODE", lambda job: "*"),
    "I": Field("CORES_PER_SOCKET", lambda job: "*"),
    "J": Field("THREADS_PER_CORE", lambda job: "*"),
    "s": Field("", lambda job: ""),
    "%": Field("", lambda job: ""),
}
NAMES: dict[str, str | Field[Job]] = {
    "jobid": "A",
    "jobarrayid": "i",
    "arrayjobid": "F",
    "arraytaskid": "K",
    "name": "j",
    "state": "T",
    "statecompact": "t",
    "timeused": "M",
    "timeleft": "L",
    "timelimit": "l",
    "numnodes": "D",
    "nodelist": "N",
    "reasonlist": "R",
    "reason": "r",
    "endtime": "e",
    "starttime": "S",
    "submittime": "V",
    "eligibletime": Field("ELIGIBLE_TIME", lambda job: _stamp(job.eligible)),
    "partition": "P",
    "username": "u",
    "userid": "U",
    "groupname": "g",
    "tres": Field("TRES_ALLOC", tres),
    "tresalloc": Field("TRES_ALLOC", tres),
    "trespernode": "b",
    "gres": "b",
    "comment": "k",
    "numcpus": "C",
    "numtasks": Field("TASKS", lambda job: str(job.ntasks)),
    "mincpus": "c",
    "minmemory": "m",
    "workdir": "Z",
    "account": "a",
    "qos": "q",
    "batchhost": "B",
    "dependency": "E",
    "feature": "f",
    "reqnodes": "n",
    "command": "o",
    "priority": "p",
    "prioritylong": "Q",
    "reservation": "v",
    "nice": "y",
    "restartcnt": Field("RESTART_COUNT", lambda job: str(job.restarts)),
    "requeue": Field("REQUEUE", lambda job: str(int(job.requeue))),
    "exitcode": Field("EXIT_CODE", lambda job: str(job.exit_code)),
    "stdout": Field("STDOUT", lambda job: job.request.stdout or output_path(job)),
    "stderr": Field("STDERR", lambda job: job.request.stderr or job.request.stdout or output_path(job)),
    "stdin": Field("STDIN", lambda job: job.request.stdin),
    "oversubscribe": "h",
}
JOBS = Table(LETTERS, NAMES)
