"""What must be right here and on a lease's nodes, and what to do if it is not."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator

from leaseq import config, programs
from leaseq.errors import LeaseqError
from leaseq.installation import interpreter, package_directory
from leaseq.lease import homes
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.private import open_places
from leaseq.models import Lease
from leaseq.node.nodedir import find_node_dir, node_path
from leaseq.protocol import terms
from leaseq.verbs.access import Access
from leaseq.verbs.findings import SKEW_SECONDS_MAX, Finding
from leaseq.world import file_system, hostname, is_remote

PACKAGES = ("jinja2", "simple-slurm", "fire", "blessed", "pyyaml", "gputil")
SLOW_SECONDS = 0.5
"""A file operation that takes longer is worth a word."""
FREE_MB_MIN = 200
Check = Callable[[Access], Iterator[Finding]]


def findings(access: Access, lease: str = "") -> Iterator[Finding]:
    """Everything is looked at, the nodes of that lease too (none: of the default one) if it is Slurm's."""
    checks: tuple[Check, ...] = (python, path, home, node, files, terminal, logout, slurm)
    for check in checks:
        try:
            yield from check(access)
        except (OSError, LeaseqError) as error:
            yield Finding(check.__name__, "bad", str(error), getattr(error, "hint", ""))
    yield from _nodes(access, lease)


def _nodes(access: Access, lease: str) -> Iterator[Finding]:
    """The nodes of the lease that was named, or of the default one if that is Slurm's."""
    from leaseq.verbs.doctor_nodes import nodes

    try:
        record = access.record(access.lease(lease))
    except LeaseqError as error:
        if lease:
            raise
        yield Finding("lease", "ok", error.message)
        return
    if not is_borrowed(record):
        yield from _gpus(access, record)
        return
    state = access.state(record)
    if state.word != "RUNNING":
        yield Finding(f"lease {record.id}", "ok", f"is {state.word}: its nodes cannot be looked at")
        return
    yield from nodes(access, record, state.nodes)


def _gpus(access: Access, record: Lease) -> Iterator[Finding]:
    """What this host's runner knows of its GPUs."""
    is_node = hostname() in record.nodes
    beat = terms.read_heartbeat(access.fs, access.home.lease(record.id), hostname()) if is_node else None
    if beat is None:
        yield Finding("GPUs", "ok", "this host's runner asks the driver when it starts")
    elif beat.gpu_error:
        known = f"{len(beat.gpus)} known" if beat.gpus_known else "not known yet, asked again and again"
        yield Finding("GPUs", "bad", f"{known}: {beat.gpu_error}", "`nvidia-smi -L` (or rocm-smi) by hand says more")
    else:
        yield Finding("GPUs", "ok", ", ".join(beat.gpus) or "none")


def python(access: Access) -> Iterator[Finding]:
    """The interpreter that will run on nodes too, and its packages."""
    from importlib.metadata import PackageNotFoundError, version

    import leaseq

    where = file_system(interpreter())[0] or "unknown"
    yield Finding("python", "ok", f"{platform.python_version()}, {interpreter()} ({where})")
    yield Finding("leaseq", "ok", f"{leaseq.__version__}, {package_directory()}")
    missing, versions = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "bad", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    else:
        yield Finding("packages", "ok", ", ".join(versions))


def path(access: Access) -> Iterator[Finding]:
    """PATH names no directory that is another one wherever the user stands."""
    if entries := programs.passed_over():
        words = f"names the current directory, or one in it ({', '.join(map(repr, entries))}); leaseq passes over it"
        yield Finding("PATH", "note", words, "take it out: your shell runs what somebody put into theirs, as `ls`, say")


def home(access: Access) -> Iterator[Finding]:
    """The home is private, on a file system with room, and if there is Slurm, on a shared one."""
    root = access.home.root
    if not os.path.exists(root):
        yield Finding("home", "ok", f"{root} does not exist yet; the first submit makes it")
        return
    homes.check_home(access.home)
    kind, source = file_system(root)
    shared = "shared" if is_remote(root) else "local to this host"
    mode = os.stat(root).st_mode & 0o777
    private = mode & 0o077 == 0
    alone = not is_remote(root) and programs.slurm_is_here()
    advice = "" if private else f"chmod 700 {root}"
    advice = advice or "nodes other than this host do not see it: put LEASEQ_HOME where all see it" * alone
    fine = private and not alone
    yield Finding("home", "ok" if fine else "note", f"{root} ({kind} {source}, {shared}, mode {mode:o})", advice)
    for path, words in open_places(access.home, access.host().lease, hostname(), owner=os.getuid()):
        yield Finding(
            "home", "bad", f"{path} {words}", f"chmod -R go-w {access.home.runs}, after a look at what is there"
        )
    room = os.statvfs(root)
    free_mb = room.f_bavail * room.f_frsize >> 20
    low = free_mb < FREE_MB_MIN
    yield Finding("room", "bad" if low else "ok", f"{free_mb} MiB free", "`leaseq clean` makes room" if low else "")


def node(access: Access) -> Iterator[Finding]:
    """The node-local directory of this host's runner is the user's alone."""
    lease = access.host().lease
    path = node_path(access.home.root, lease.id, hostname())
    found = find_node_dir(access.home.root, lease.id, hostname())
    yield Finding("node directory", "ok", path if found else f"{path} does not exist yet")


def files(access: Access) -> Iterator[Finding]:
    """What the protocol stands on: rename within and between directories, exclusive links, fsync; and the clock."""
    access.make_home()
    place = f"{access.home.root}/.doctor-{os.getpid()}-{time.monotonic_ns()}"
    os.mkdir(place, 0o700)
    try:
        os.mkdir(f"{place}/b", 0o700)
        began = time.monotonic()
        access.fs.create(f"{place}/one", b"1\n")
        now = time.time()
        skew = os.stat(f"{place}/one").st_mtime - now
        access.fs.rename(f"{place}/one", f"{place}/b/two")
        access.fs.sync_dir(f"{place}/b")
        access.fs.link(f"{place}/b/two", f"{place}/b/three")
        try:
            access.fs.link(f"{place}/b/two", f"{place}/b/three")
            yield Finding("links", "bad", "a link over an existing name is not refused", "put LEASEQ_HOME elsewhere")
        except FileExistsError:
            yield Finding("renames, links", "ok", "as the protocol needs them")
        took = (time.monotonic() - began) / 6
        slow = took > SLOW_SECONDS
        yield Finding("speed", "note" if slow else "ok", f"{took * 1000:.1f} ms for a file operation")
        wrong = abs(skew) > SKEW_SECONDS_MAX
        words = f"{abs(skew):.1f} s {'behind' if skew < 0 else 'ahead of'} this host's"
        yield Finding("file server clock", "note" if wrong else "ok", words, "times in tables differ" if wrong else "")
    finally:
        for name in ("one", "b/two", "b/three"):
            try:
                os.unlink(f"{place}/{name}")
            except FileNotFoundError:
                pass
        os.rmdir(f"{place}/b")
        os.rmdir(place)


def terminal(access: Access) -> Iterator[Finding]:
    """tmux carries terminal sessions of this host's lease."""
    found = programs.found("tmux")
    words = found or "none here: `leaseq shell` on this host ends with its terminal"
    yield Finding("tmux", "ok" if found else "note", words, "" if found else "install tmux, or load its module")


def logout(access: Access) -> Iterator[Finding]:
    """Whether systemd ends this host's runner when the user logs out (logind.conf(5), KillUserProcesses)."""
    from leaseq.lease.slurm.command import ask

    if not programs.found("busctl"):
        return
    manager = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
    answer = ask(["busctl", "get-property", *manager, "KillUserProcesses"], seconds_max=10)
    said = answer.out.strip()
    if answer.code != 0 or said not in ("b true", "b false"):
        return  # no systemd, or none that answers: a container, mostly
    ends = said == "b true"
    words = "ends what you leave running on this host, runner and tasks too" if ends else "leaves your processes alone"
    yield Finding("logout", "note" if ends else "ok", words, "see docs/troubleshooting.md" if ends else "")


def slurm(access: Access) -> Iterator[Finding]:
    """Slurm's commands, their version, and whether the controller answers."""
    from leaseq.lease.slurm.clusters import here, slurm_version
    from leaseq.lease.slurm.command import ask
    from leaseq.lease.slurm.squeue import command

    missing = [name for name in ("sbatch", "srun", "squeue", "scancel", "scontrol") if not programs.found(name)]
    if len(missing) == 5:
        yield Finding("slurm", "ok", "no Slurm on this host: `leaseq submit` uses this machine alone")
        return
    if missing:
        yield Finding("slurm", "bad", f"missing: {', '.join(missing)}", "is the site's Slurm module loaded?")
        return
    version = ask(["sbatch", "--version"], seconds_max=20)
    began = time.monotonic()
    answer = ask(command(), seconds_max=75)
    took = time.monotonic() - began
    if answer.code != 0:
        ping = ask(["scontrol", "ping"], seconds_max=75)
        advice = "is SLURM_CONF right, and the controller up? `scontrol ping`"
        if ping.code == 0:
            words, squeue = " ".join(answer.argv[:3]), programs.found("squeue")
            advice = f"the controller answers: is {squeue} Slurm's own? leaseq asks `{words} -h -t all -o ...`"
        yield Finding("slurm", "bad", f"squeue: {answer.words}", advice)
        return
    cluster = here(access.fs, access.home, anew=True)
    named = f", cluster {cluster} of Slurm {slurm_version(access.fs, access.home) or 'unknown'}" if cluster else ""
    yield Finding("slurm", "ok", f"{version.out.strip() or version.words}{named}, answers in {took * 1000:.0f} ms")
    old = tuple(int(part) for part in version.out.strip().partition(" ")[2].split(".")[:2] if part.isdigit())
    if old and old < (20, 11):
        yield Finding("slurm version", "bad", "steps cannot overlap before 20.11", "`leaseq shell` needs --overlap")
    if not config.local_is_forbidden(access.home):
        advice = "`local: never` in config.yaml forbids that, if this is a login node"
        yield Finding("this host", "ok", "tasks may run here, too", advice)
    surrounding = sorted(name for name in os.environ if name.startswith("SLURM_STEP"))
    if surrounding:
        yield Finding("surroundings", "ok", "inside a Slurm step; its variables are kept from leaseq's own commands")
