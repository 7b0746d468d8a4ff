"""Runners in an allocation that was made elsewhere (salloc, sbatch): `leaseq lease adopt JOBID`.

The lease script is run, detached, on the host where the command is typed; it starts one overlapping step per
node, as it does in a job of its own. So the runners hang on this host: if it shuts down, or ends a user's
processes at logout, srun ends the steps with KILL and their tasks are LOST (or requeued, as for any lost node).
A power cut leaves runners and tasks alive without a supervisor. Adopting again fills the gaps either way.
A lease of `leaseq add` has no such tie.
"""

from __future__ import annotations

import os
import subprocess

from leaseq.dataclass import replace
from leaseq.errors import Refused
from leaseq.layout import Home
from leaseq.lease import leases
from leaseq.lease.slurm import clusters, squeue
from leaseq.lease.slurm.args import Checked
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.identity import Match, compare, marked, of_allocation, of_row
from leaseq.lease.slurm.job import SlurmBackend, adoptable, nodes_of
from leaseq.lease.slurm.sbatch import LeaseRequest, completed, prepare
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease
from leaseq.names import new_incarnation
from leaseq.node.scrub import for_commands
from leaseq.protocol import records
from leaseq.reading import beats
from leaseq.world import Fs


def adopt(
    backend: SlurmBackend, job: str, *, name: str, user: str, host: str, umask: int
) -> tuple[Lease, tuple[str, ...]]:
    """(the lease, the nodes that runners are being started on); a node with a live runner keeps it."""
    fs, home = backend.fs, backend.home
    found = squeue.look(job)
    row = adoptable(found if found and found.user in ("", user) else None, job)
    cluster = clusters.here(fs, home, anew=True)
    known = _known(fs, home, row, cluster)
    bare = tuple(node for node in nodes_of(row) if known is None or not beats.lives(fs, home.lease(known.id), node))
    if not bare:
        raise Refused(f"every node of {job} has a runner", hint=f"`leaseq lease info {job}` shows them")
    request = LeaseRequest(tokens=(), checked=Checked({}), name=name, umask=umask)
    token = known.token if known else ""
    prepared = prepare(home, request, clock=backend.clock, user=user, host=host, token=token)
    for directory in (home.root, home.runs):
        fs.mkdir(directory)
    if known is None:
        # Its mark tells the job from another that will have its number.
        marks = _mark(job, row, prepared.record.token)
        record = replace(prepared.record, job=job, cluster=cluster, name=name or row.name, adopted=True, marked=marks)
        known = records.register(fs, home, record)
    lease = home.lease(known.id)
    path = f"{lease.root}/adopt.{new_incarnation()}.sh"
    fs.create(path, completed(prepared.script, known).encode("utf-8", "surrogateescape"))
    environment = for_commands(os.environ) | {"SLURM_JOB_ID": job}
    environment |= dict.fromkeys(("SLURM_JOB_NODELIST", "SLURM_NODELIST"), row.nodes)
    environment |= {"SLURM_CLUSTER_NAME": cluster} if cluster else {}
    environment["LEASEQ_ONLY_NODES"] = ",".join(bare)
    with open(lease.own.script_log, "ab") as log:
        subprocess.Popen(
            ["/bin/bash", "-p", path],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    squeue.changed(fs, home, cluster)
    return known, bare


def _known(fs: Fs, home: Home, row: Row, cluster: str) -> Lease | None:
    """The lease that the job is already, or may be: by its mark, or one without marks that has not ended."""
    seen = of_row(row, cluster)
    maybe = None
    for lease in leases.list_leases(fs, home):
        match = compare(of_allocation(lease.allocation), seen) if lease.kind == "slurm" else Match.OTHER
        if match is Match.SAME:
            return lease
        if match is Match.UNKNOWN and lease.ended is None:
            maybe = maybe or lease
    return maybe


def _mark(job: str, row: Row, token: str) -> bool:
    """True if the job bears the token, in its comment: Slurm keeps that beside what its owner wrote there."""
    answer = ask(["scontrol", "update", f"JobId={job}", f"Comment={marked(row.comment, token)}"])
    return answer.code == 0
