"""lease.json of Slurm leases: written once, whoever is first, and anew when the lease has ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from leaseq.errors import Malformed, Newer, NotFound, Refused, Unavailable
from leaseq.layout import Home, LeaseDir, is_node
from leaseq.models import Lease, whole
from leaseq.protocol import files, records
from leaseq.protocol.files import content, make
from leaseq.world import Fs


def read_lease(fs: Fs, lease: LeaseDir) -> Lease:
    """The lease's record; raises FileNotFoundError, and Malformed where it is not this lease's."""
    try:
        record = Lease.from_json(content(fs, lease.record))
    except Newer as error:
        raise Newer(f"{lease.record}: {error}", error.body) from None
    if record.id != lease.id:
        raise Malformed(f"holds lease {record.id!r:.60}, not {lease.id}")
    return record


def read_own_lease(fs: Fs, lease: LeaseDir, token: str) -> Lease:
    """The record of the lease that bears that token; raises as `read_lease`, and Refused where it is another's.

    A job's number comes again. token: empty for whoever was told none.
    """
    record = read_lease(fs, lease)
    if token and record.token != token:
        raise Refused(f"{lease.root} is another lease's: its token is {record.token}, not {token}")
    return record


def prepare(fs: Fs, lease: LeaseDir) -> None:
    """Every directory of the lease exists, durably."""
    make(fs, lease.directories())


def prepare_node(fs: Fs, lease: LeaseDir, node: str) -> None:
    """Every directory that a node of the lease needs exists, durably."""
    make(fs, lease.node_directories(node))


def register(fs: Fs, home: Home, record: Lease) -> Lease:
    """The record of that Slurm job stands, durably; it is the job's own or that of whoever was first for it.

    Its id is the job's number, or, where a lease of before or of another cluster has that number, `JOB.TOKEN`.
    """
    for lease_id in (record.job, f"{record.job}.{record.token}"):
        lease = home.lease(lease_id)
        _link(fs, lease, replace(record, id=lease_id))
        try:
            stands = records.read_lease(fs, lease)
        except Malformed:
            continue  # whose it is cannot be known, and one's own can be read
        if stands.token == record.token:
            return stands
    raise Unavailable(f"the record of job {record.job} cannot be written", hint=f"see {home.runs}/{lease_id}")


def write_first(fs: Fs, lease: LeaseDir, record: Lease) -> Lease:
    """The lease's directories and its record stand, durably; the record is that of whoever was first."""
    _link(fs, lease, record)
    return read(fs, lease)


def _link(fs: Fs, lease: LeaseDir, record: Lease) -> None:
    records.prepare(fs, lease)
    fs.mkdir(lease.notes)
    temporary = files.hidden(lease.root)
    fs.create(temporary, record.to_json())
    try:
        fs.link(temporary, lease.record)
    except OSError:
        # The lease itself was first (it writes the record that a dead command left out), or the reply was lost.
        if "lease.json" not in fs.names(lease.root):
            raise
    finally:
        files.discard(fs, temporary)
    fs.sync_dir(lease.root)


def read(fs: Fs, lease: LeaseDir) -> Lease:
    """The lease's record; raises NotFound, Newer, or Unavailable where it cannot be read."""
    try:
        return records.read_lease(fs, lease)
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


def learn_cluster(fs: Fs, lease: LeaseDir, cluster: str) -> None:
    """The record says where the lease's job is, which an early leaseq left out."""
    record = read(fs, lease)
    if not record.cluster:
        files.replace_file(fs, lease.record, replace(record, cluster=cluster).to_json())


def mark_released(fs: Fs, lease: LeaseDir) -> None:
    """The lease's directory says that leaseq has told Slurm to end it."""
    files.replace_file(fs, lease.released, b"")


def is_released(fs: Fs, lease: LeaseDir) -> bool:
    """True where leaseq has told Slurm to end the lease."""
    try:
        return "released" in fs.names(lease.root)
    except (FileNotFoundError, NotADirectoryError):
        return False


def left_at_end(fs: Fs, lease: LeaseDir) -> int | None:
    """The seconds that the lease had left when Slurm told its script to end; None where it was not, or has no limit."""
    try:
        words = fs.read(lease.told_to_end).decode("ascii", "replace").strip()
    except OSError:
        return None
    return 0 if words.startswith("-") and whole(words[1:]) is not None else whole(words)


def notes(fs: Fs, lease: LeaseDir) -> dict[str, str]:
    """What the lease script had to say, by node (`_lease`: all of them): why a node has no runner."""
    found: dict[str, str] = {}
    try:
        for node in sorted(fs.names(lease.notes)):
            found[node] = fs.read(f"{lease.notes}/{node}").decode("utf-8", "replace").strip()[:500]
    except OSError:
        # A note comes and goes with each try of a node; the next look says more.
        return found
    return found


def node_names(fs: Fs, lease: LeaseDir) -> tuple[str, ...]:
    """The nodes of the lease, in Slurm's order, as far as it is known; empty before it has started."""
    try:
        words = fs.read(lease.node_names).decode("utf-8", "replace").split()
    except OSError:
        return ()
    return tuple(word for word in words if is_node(word))


def learn_nodes(fs: Fs, lease: LeaseDir, nodes: Collection[str]) -> bool:
    """The lease's nodes are at most those; False where it has not started, or all of its own are new."""
    known = node_names(fs, lease)
    left = tuple(node for node in known if node in nodes)
    if left and left != known:
        files.replace_file(fs, lease.node_names, "".join(f"{node}\n" for node in left).encode())
    return bool(left)


def seconds_left(fs: Fs, lease: LeaseDir) -> float | None:
    """Until the lease's end, by what the lease script wrote last; None where it has no end or that is not known."""
    try:
        left = whole(fs.read(lease.ends).decode("ascii", "replace").strip())
        return None if left is None else left - fs.age(lease.ends, lease.root)
    except OSError:
        return None
