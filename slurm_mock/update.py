"""`scontrol update`: the job or node after the changes, or Denied; nothing is changed by half."""

from slurm_mock import array, dependency, units
from slurm_mock.cluster import Settings
from slurm_mock.hostlist import expand
from slurm_mock.records import Job, Node

JOB_KEYS = ("timelimit", "starttime", "eligibletime", "comment", "numnodes", "nodelist", "name", "jobname", "requeue",
            "partition", "priority", "nice", "dependency", "arraytaskthrottle")  # fmt: skip

WHILE_PENDING = {"partition", "dependency", "starttime", "eligibletime"}
HELD = {True: "JobHeldAdmin", False: "JobHeldUser"}
"""By who holds it: root or not."""


class Denied(Exception):
    """A name of `errors.WORDS`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def hold_job(job: Job, why: str) -> None:
    """It is held for this reason, or released by an empty one; measured: a running one shows it, too."""
    job.held, job.reason = why, why or "None"


def update_job(job: Job, changes: dict[str, str], settings: Settings, *, root: bool, now: float) -> list[str]:
    """Nodes that the job gives up. Keys are those of JOB_KEYS."""
    if not job.listed or job.completing:
        raise Denied("finished")
    if "arraytaskthrottle" in changes:
        job.array_throttle = array.leading(changes["arraytaskthrottle"]) if job.array_job else 0
    _check(job, changes, settings)
    if "timelimit" in changes:
        job.limit_minutes = _limit(job, changes["timelimit"], root=root)
    for key in ("starttime", "eligibletime"):
        if key in changes:
            job.eligible = job.request.begin = units.moment(changes[key], now)
    job.comment = changes.get("comment", job.comment)
    job.request.name = changes.get("name", changes.get("jobname", job.request.name))
    job.requeue = changes.get("requeue", str(int(job.requeue))) == "1"
    if "nice" in changes:
        job.request.nice = int(changes["nice"]) if changes["nice"].lstrip("-").isdigit() else 0
    job.partition = job.request.partition = changes.get("partition", job.partition)
    job.request.dependency = changes.get("dependency", job.request.dependency)
    if "priority" in changes:
        hold_job(job, "" if changes["priority"] != "0" else HELD[root])
    return _removed(job, changes)


def _check(job: Job, changes: dict[str, str], settings: Settings) -> None:
    """Denied for a value that is none, and for what cannot change once the job has started."""
    if job.state != "PENDING" and WHILE_PENDING & changes.keys():
        raise Denied("started")
    if changes.get("partition", "") not in ("", *settings.partitions) or changes.get("partition") == "":
        raise Denied("partition")
    try:
        dependency.parse(changes.get("dependency", ""))
        names = expand(changes.get("nodelist", ""))
    except dependency.Unsupported:
        raise Denied("unsupported") from None
    except ValueError:
        raise Denied("dependency" if "dependency" in changes else "node_name") from None
    if any(name not in settings.nodes for name in names):
        raise Denied("node_name")
    if job.state == "PENDING" and "nodelist" in changes:
        job.request.nodelist = names


def _limit(job: Job, text: str, *, root: bool) -> int | None:
    """`40`, `+5`, `-10`. Measured: a user may lower the limit, root may go beyond the partition's."""
    sign = text[:1] if text[:1] in "+-" and text != "-1" else ""
    try:
        value = units.minutes(text.removeprefix(sign) if sign else text)
    except units.BadValue:
        raise Denied("time") from None
    if sign and value is not None:
        value = max(0, (job.limit_minutes or 0) + (value if sign == "+" else -value))
    raised = value is None or (job.limit_minutes is not None and value > job.limit_minutes)
    if raised and job.limit_minutes is not None and not root:
        raise Denied("access")
    return value


def _removed(job: Job, changes: dict[str, str]) -> list[str]:
    if "nodelist" in changes and job.state == "RUNNING":
        kept = expand(changes["nodelist"])
        if job.request.batch and job.nodes[0] not in kept:
            raise Denied("node_name")  # measured: the host of the batch script stays
        return [node for node in job.nodes if node not in kept]
    if "numnodes" not in changes:
        return []
    count = int(changes["numnodes"].partition("-")[0])
    if job.state == "PENDING":
        job.request.nodes_min = job.request.nodes_max = count
        return []
    if not 0 < count <= len(job.nodes):
        raise Denied("nodes")
    return job.nodes[count:]


def update_node(node: Node, changes: dict[str, str]) -> str:
    """The state asked for, upper case."""
    state = changes.get("state", "").upper()
    if state == "DRAIN":
        node.drain, node.reason = True, changes.get("reason", "")
    elif state in ("RESUME", "IDLE", "UNDRAIN"):
        node.drain, node.reason = False, ""
        node.up = node.responding
    return state
