"""Runners in an allocation that was made elsewhere (salloc, sbatch): `leaseq lease adopt JOBID`.

The lease script is run, detached, on the host where the command is typed; it starts one overlapping step per
node, as it does in a job of its own. So the runners hang on this host: where it shuts down, or ends a user's
processes at logout, srun ends the steps with KILL and their tasks are LOST (or requeued, as for any lost node).
A power cut leaves runners and tasks alive without a supervisor. Adopting again fills the gaps either way.
A lease of `leaseq add` has no such tie.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

from leaseq import protocol
from leaseq.errors import Malformed, Refused, SlurmError
from leaseq.layout import LeaseDir, new_incarnation
from leaseq.lease import records
from leaseq.lease.scrub import for_commands
from leaseq.lease.slurm import SlurmBackend, adoptable, nodes_of
from leaseq.lease.slurm_args import Checked
from leaseq.lease.slurm_command import ask
from leaseq.lease.submit import REPLACED, Request, prepare
from leaseq.models import Lease

RECENT_SECONDS = 30.0
"""A heartbeat that is not older, or not older than four of its intervals, is a runner's that lives."""


def adopt(
    backend: SlurmBackend, job: str, *, name: str, user: str, host: str, umask: int
) -> tuple[Lease, tuple[str, ...]]:
    """(the lease, the nodes that runners are being started on); a node with a live runner keeps it."""
    fs, home = backend.fs, backend.home
    row = adoptable(backend.queue().rows.get(job), job)
    lease = home.lease(job)
    bare = tuple(node for node in nodes_of(row) if not _served(backend, lease, node))
    if not bare:
        raise Refused(f"every node of {job} has a runner", hint=f"`leaseq lease info {job}` shows them")
    in_total = _gpus_in_total(job)
    checked = Checked({"gpus": in_total} if in_total else {})
    request = Request(tokens=(), checked=checked, name=name, umask=umask)
    prepared = prepare(home, request, clock=backend.clock, user=user, host=host)
    record = replace(prepared.record, id=job, name=name or row.name, extra={**prepared.record.extra, "adopted": True})
    for directory in (home.root, home.runs):
        fs.mkdir(directory)
    stands = records.write_first(fs, lease, record)
    path = f"{lease.root}/adopt.{new_incarnation()}.sh"
    fs.create(path, prepared.script.replace(REPLACED, job).encode("utf-8", "surrogateescape"))
    environment = for_commands(os.environ) | {"SLURM_JOB_ID": job, "SLURM_JOB_NODELIST": row.nodes}
    environment |= {"LEASEQ_ONLY_NODES": ",".join(bare)} | ({"SLURM_GPUS": in_total} if in_total else {})
    with open(lease.script_log, "ab") as log:
        subprocess.Popen(
            ["/bin/bash", "-p", path],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    return stands, bare


def _served(backend: SlurmBackend, lease: LeaseDir, node: str) -> bool:
    try:
        beat = protocol.read_heartbeat(backend.fs, lease, node)
        if beat is None or beat.state == "stopped":
            return False
        return backend.fs.age(lease.heartbeat(node), lease.heartbeats) < max(RECENT_SECONDS, 4 * beat.interval_seconds)
    except (FileNotFoundError, Malformed):
        return False


def _gpus_in_total(job: str) -> str:
    """The N of a job that was asked for by --gpus=N: its steps must say how many GPUs they take; else nothing."""
    answer = ask(["scontrol", "show", "job", job])
    if answer.code != 0:
        raise SlurmError(answer.words, hint="`squeue --me` lists your jobs")
    wanted = next((word for word in answer.out.split() if word.startswith("TresPerJob=")), "")
    return wanted.rpartition(":")[2] if "gpu" in wanted else ""
