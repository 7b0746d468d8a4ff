"""What a cluster offers its user, by sinfo and sacctmgr: partitions, accounts, and whether this host is a node."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from leaseq.dataclass import dataclass, field
from leaseq.errors import LeaseqError
from leaseq.lease.slurm import clusters
from leaseq.lease.slurm.command import Answer, ask
from leaseq.lease.slurm.text import SEPARATOR
from leaseq.schema import whole
from leaseq.words import one_line
from leaseq.world import hostname, user_name

SECONDS_MAX = 20.0
FORMAT = SEPARATOR.join(("%P", "%a", "%l", "%D", "%c", "%m", "%G"))
_SOCKETS = re.compile(r"\([^)]*\)")
_NO_ACCOUNTING = "accounting_storage"
"""sacctmgr, where Slurm keeps no accounts: `You are not running a supported accounting_storage plugin`."""


@dataclass(frozen=True)
class Kind:
    """Nodes of a partition that are alike."""

    nodes: int
    cpus: int
    mem_mb: int
    gres: str
    """All GPUs of one of them, as --gres takes them: `gpu:a100:4`; empty if it has none."""

    @property
    def gpus(self) -> int:
        return gpus_in(self.gres)


@dataclass(frozen=True)
class Partition:
    """A partition, and what its nodes are like: the most frequent first."""

    name: str
    default: bool
    limit: str
    """The longest time that a job may have there, as Slurm writes it; `infinite` if there is none."""
    kinds: tuple[Kind, ...]

    @property
    def best(self) -> Kind:
        """Its most frequent nodes with GPUs; if it has none, its most frequent nodes."""
        return next((kind for kind in self.kinds if kind.gpus), self.kinds[0])


@dataclass(frozen=True)
class Account:
    """An account that jobs of the user may name, and the qualities of service that go with it."""

    name: str
    qos: tuple[str, ...] = ()
    default_qos: str = ""


@dataclass(frozen=True)
class Accounts:
    """The accounts of a user on a cluster. None at all: Slurm's jobs need none."""

    known: tuple[Account, ...] = ()
    default: str = ""
    elsewhere: tuple[str, ...] = ()
    """Other clusters on which the user has accounts."""


@dataclass(frozen=True)
class Offers:
    """What a cluster offers. What is None or empty is not known if `unknown` says why."""

    cluster: str = ""
    partitions: tuple[Partition, ...] = ()
    """Those that take jobs; the default one first."""
    accounts: Accounts | None = None
    is_node: bool | None = None
    """True if this host is one of the cluster's nodes."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """The name of a command to the reason why what it says is not known."""


def offers() -> Offers:
    """What Slurm says of itself; nothing is written, and no error is raised."""
    unknown: dict[str, str] = {}
    cluster = clusters.asked()[0]
    if not cluster:
        unknown["scontrol"] = "scontrol does not name the cluster"
    said = _said(["sinfo", "--noheader", "--exact", f"--format={FORMAT}"], unknown)
    found = parse_partitions(said.out) if said else ()
    if said and not found:
        unknown["sinfo"] = "sinfo names no partition that takes jobs"
    here = _said(["sinfo", "--noheader", "--Node", f"--nodes={hostname()}", "--format=%N"], unknown) if found else None
    return Offers(
        cluster=cluster,
        partitions=found,
        accounts=_accounts(cluster, unknown),
        is_node=None if here is None else hostname() in here.out.split(),
        unknown=unknown,
    )


def _said(argv: Sequence[str], unknown: dict[str, str]) -> Answer | None:
    """What the command says; None if it says nothing of use, and why."""
    try:
        answer = ask(argv, seconds_max=SECONDS_MAX)
    except LeaseqError as error:
        unknown[argv[0]] = error.message
        return None
    if answer.code:
        unknown[argv[0]] = one_line(f"{argv[0]}: {answer.words}")
        return None
    return answer


def _accounts(cluster: str, unknown: dict[str, str]) -> Accounts | None:
    columns = "format=user,defaultaccount,cluster,account,partition,qos,defaultqos"
    user = user_name(os.getuid())
    answer = _said(["sacctmgr", "--noheader", "--parsable2", "show", "user", user, "withassoc", columns], unknown)
    if answer is not None:
        return parse_accounts(answer.out, cluster)
    if _NO_ACCOUNTING in unknown["sacctmgr"]:
        del unknown["sacctmgr"]
        return Accounts()
    return None


# -- their words, as values -------------------------------------------------------------------------


def parse_partitions(output: str) -> tuple[Partition, ...]:
    """The partitions in sinfo's output that take jobs; lines of another shape (banners, clusters) are left out."""
    found: dict[str, Partition] = {}
    for line in output.splitlines():
        parts = [part.strip() for part in line.split(SEPARATOR)]
        if len(parts) != 7 or parts[1] != "up":
            continue
        name, _, limit, nodes, cpus, memory, gres = parts
        kind = Kind(whole(nodes) or 0, whole(cpus) or 0, whole(memory) or 0, _gpus(gres))
        before = found.get(name, Partition(name.removesuffix("*"), name.endswith("*"), limit, ()))
        kinds = sorted((*before.kinds, kind), key=lambda each: -each.nodes)
        found[name] = Partition(before.name, before.default, before.limit, tuple(kinds))
    return tuple(sorted(found.values(), key=lambda each: not each.default))


def _gpus(gres: str) -> str:
    """`gpu:a100:4` of `gpu:a100:4(S:0,2),craynetwork:4`; empty if no GPU is among them."""
    return ",".join(word for word in _SOCKETS.sub("", gres).split(",") if word.partition(":")[0] == "gpu")


def gpus_in(gres: str) -> int:
    """How many GPUs `gpu:a100:2,gpu:h100:1` names."""
    last = [word.rpartition(":")[2] for word in gres.split(",") if word]
    return sum(1 if word == "gpu" else whole(word) or 0 for word in last)


def parse_accounts(output: str, cluster: str) -> Accounts:
    """The accounts in sacctmgr's output that are of that cluster; of every cluster if it is not known which this is."""
    rows = [line.split("|") for line in output.splitlines()]
    rows = [row for row in rows if len(row) == 7 and row[3]]
    own = [row for row in rows if cluster in ("", row[2].lower())]
    found: dict[str, Account] = {}
    for row in own:
        name = row[3]
        before = found.get(name, Account(name))
        qos = dict.fromkeys((*before.qos, *(word for word in row[5].split(",") if word)))
        found[name] = Account(name, tuple(qos), before.default_qos or row[6])
    default = next((row[1] for row in own if row[1] in found), "")
    elsewhere = dict.fromkeys(row[2] for row in rows if row not in own)
    return Accounts(tuple(found.values()), default, tuple(elsewhere))
