"""lease.json of Slurm leases: written once, by the first who can, and again when the lease has ended."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.errors import Malformed, Newer, NotFound, Refused, Unavailable
from leaseq.layout import Home, LeaseDir
from leaseq.models import ANY, Lease
from leaseq.protocol import files
from leaseq.protocol.files import content, make
from leaseq.world import Fs


def read_lease(fs: Fs, lease: LeaseDir) -> Lease:
    """The lease's record; raises FileNotFoundError, and Malformed if it is not this lease's."""
    try:
        record = Lease.from_json(content(fs, lease.record))
    except Newer as error:
        raise Newer(f"{lease.record}: {error}", error.body) from None
    if record.id != lease.id:
        raise Malformed(f"holds lease {record.id!r:.60}, not {lease.id}")
    return record


def read_own_lease(fs: Fs, lease: LeaseDir, token: str) -> Lease:
    """The record of the lease that bears that token; raises as `read_lease`, and Refused if it is another's.

    A job's number comes again. token: empty if the job's script was given none.
    """
    record = read_lease(fs, lease)
    if token and record.token != token:
        raise Refused(f"{lease.root} is another lease's: its token is {record.token}, not {token}")
    return record


def prepare(fs: Fs, lease: LeaseDir) -> None:
    """Every directory of the lease exists, durably."""
    make(fs, lease.directories())


def prepare_node(fs: Fs, lease: LeaseDir, node: str) -> None:
    """Every directory that a node of the lease needs exists, durably; also those that an older leaseq did not make."""
    make(fs, [lease.edges, lease.waitings, lease.waiting(ANY), *lease.node_directories(node)])


def register(fs: Fs, home: Home, record: Lease) -> Lease:
    """The record of that Slurm job stands, durably; it is the job's own or the one that was first for it.

    Its id is the job's number, or, if a lease of before or of another cluster has that number, `JOB.TOKEN`.
    """
    for lease_id in (record.job, f"{record.job}.{record.token}"):
        lease = home.lease(lease_id)
        _link(fs, lease, replace(record, id=lease_id))
        try:
            stands = read_lease(fs, lease)
        except Malformed:
            continue  # whose it is cannot be known, and one's own can be read
        if stands.token == record.token:
            return stands
    raise Unavailable(f"the record of job {record.job} cannot be written", hint=f"see {home.runs}/{lease_id}")


def write_first(fs: Fs, lease: LeaseDir, record: Lease) -> Lease:
    """The lease's directories and its record stand, durably; the record is the one that was written first."""
    _link(fs, lease, record)
    return read(fs, lease)


def _link(fs: Fs, lease: LeaseDir, record: Lease) -> None:
    prepare(fs, lease)
    link_first(fs, lease.record, record.to_json())


def link_first(fs: Fs, path: str, data: bytes) -> None:
    """A file of that name is there, durably: with the data, or as whoever was first has made it."""
    place, _, name = path.rpartition("/")
    temporary = files.hidden(place)
    fs.create(temporary, data)
    try:
        fs.link(temporary, path)
    except OSError:
        # Another was first (a lease script writes the records that a dead command left out), or the reply was lost.
        if name not in fs.names(place):
            raise
    finally:
        files.discard(fs, temporary)
    fs.sync_dir(place)


def read(fs: Fs, lease: LeaseDir) -> Lease:
    """The lease's record; raises NotFound, Newer, or Unavailable if it cannot be read."""
    try:
        return read_lease(fs, lease)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no lease {lease.id}", hint="`leaseq lease ls` lists the leases") from None
    except Newer:
        raise
    except (OSError, Malformed) as error:
        raise Unavailable(
            f"the record of lease {lease.id} cannot be read: {error}", hint=f"see {lease.record}"
        ) from None


def mark_ended(fs: Fs, lease: LeaseDir, *, ended: float, reason: str) -> None:
    """The record says that the lease has ended and why; what it said first stays."""
    record = read(fs, lease)
    if record.ended is None:
        files.replace_file(fs, lease.record, replace(record, ended=ended, end_reason=reason).to_json())


def mark_alive(fs: Fs, lease: LeaseDir) -> None:
    """The record says no end: Slurm has requeued a job that had ended."""
    record = read(fs, lease)
    if record.ended is not None:
        files.replace_file(fs, lease.record, replace(record, ended=None, end_reason="").to_json())


def mark_kept(fs: Fs, lease: LeaseDir) -> None:
    """The record says that others are asked for when they are due: who queues a task sees to that."""
    record = read(fs, lease)
    if not record.kept:
        files.replace_file(fs, lease.record, replace(record, kept=True).to_json())


def learn_cluster(fs: Fs, lease: LeaseDir, cluster: str) -> None:
    """The record says where the lease's job is, which an early leaseq left out."""
    record = read(fs, lease)
    if not record.cluster:
        files.replace_file(fs, lease.record, replace(record, cluster=cluster).to_json())
