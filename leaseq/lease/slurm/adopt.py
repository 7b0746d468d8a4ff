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
from leaseq.lease.host import note_end
from leaseq.lease.slurm import clusters, squeue
from leaseq.lease.slurm.args import Checked
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.identity import Match, compare, marked, of_allocation, of_row
from leaseq.lease.slurm.job import SlurmBackend, adoptable, nodes_of
from leaseq.lease.slurm.sbatch import Asked, LeaseRequest, ask_of, register, script_of
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease
from leaseq.names import new_incarnation
from leaseq.node.scrub import for_commands
from leaseq.protocol import allocs
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
    bare = tuple(host for host in nodes_of(row) if known is None or not _lives(fs, home, known, host))
    if not bare:
        raise Refused(f"every node of {job} has a runner", hint=f"`leaseq lease info {job}` shows them")
    request = LeaseRequest(tokens=(), checked=Checked({}), name=name, umask=umask)
    for directory in (home.root, home.runs):
        fs.mkdir(directory)
    if known is None:
        asked = ask_of(request, clock=backend.clock, user=user, host=host).known_as(job, cluster)
        name = name or row.name
        # Its mark tells the job from another that will have its number.
        marked = _mark(job, row, asked.alloc.token)
        alloc = replace(asked.alloc, name=name, adopted=True, marked=marked)
        known = register(fs, home, Asked(replace(asked.lease, name=name), alloc))
    place = allocs.directory(home.lease(known.lease.id), known.alloc)
    path = f"{place.root}/adopt.{new_incarnation()}.sh"
    allocs.record_first(fs, home.lease(known.lease.id), known.alloc)
    fs.create(path, script_of(home, request, known).encode("utf-8", "surrogateescape"))
    environment = for_commands(os.environ) | {"SLURM_JOB_ID": job}
    environment |= dict.fromkeys(("SLURM_JOB_NODELIST", "SLURM_NODELIST"), row.nodes)
    environment |= {"SLURM_CLUSTER_NAME": cluster} if cluster else {}
    environment["LEASEQ_ONLY_NODES"] = ",".join(bare)
    with open(place.script_log, "ab") as log:
        child = subprocess.Popen(
            ["/bin/bash", "-p", path],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    note_end(child)
    squeue.changed(fs, home, cluster)
    return known.lease, bare


def _known(fs: Fs, home: Home, row: Row, cluster: str) -> Asked | None:
    """The allocation that the job is already, or may be: by its mark, or one without marks that has not ended."""
    seen = of_row(row, cluster)
    maybe = None
    for each in leases.list_holdings(fs, home):
        for alloc in each.allocs:
            match = compare(of_allocation(alloc), seen) if alloc.kind == "slurm" else Match.OTHER
            if match is Match.SAME:
                return Asked(each.lease, alloc)
            if match is Match.UNKNOWN and alloc.ended is None:
                maybe = maybe or Asked(each.lease, alloc)
    return maybe


def _lives(fs: Fs, home: Home, known: Asked, host: str) -> bool:
    """True if the allocation's runner of that host was heard lately."""
    lease = home.lease(known.lease.id)
    names = allocs.hosts(fs, allocs.directory(lease, known.alloc))
    return any(beats.lives(fs, lease, node) for node, at in (names or {host: host}).items() if at == host)


def _mark(job: str, row: Row, token: str) -> bool:
    """True if the job bears the token, in its comment: Slurm keeps that beside what its owner wrote there."""
    answer = ask(["scontrol", "update", f"JobId={job}", f"Comment={marked(row.comment, token)}"])
    return answer.code == 0
