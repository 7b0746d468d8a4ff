"""What `leaseq init` asks: as little as the cluster and the environment leave open."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Mapping

from leaseq.cli.asking import NONE, Ask, Question, agreed
from leaseq.config import CHOICES, Config
from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.lease.slurm.estimate import limit_of, minutes_of
from leaseq.lease.slurm.offers import Account, Kind, Offers, Partition, gpus_in
from leaseq.names import NAME, valid_name
from leaseq.values import integer, one_of, seconds
from leaseq.verbs.init import Wanted
from leaseq.verbs.lease_words import OFF, unused_limit
from leaseq.words import memory

TIME_DEFAULT = 240
"""Minutes that a job is asked for if nobody says how many, and its partition allows as many."""
IDLE_DEFAULT = "30m"
FOUND_BY = {"osc9": ("xterm-kitty", "iTerm", "WezTerm"), "osc777": ("foot", "rxvt-unicode")}
"""How terminals show a notification, by how their names begin in TERM, TERM_PROGRAM or LC_TERMINAL."""


def questions(ask: Ask, found: Offers | None, said: Config) -> Wanted:
    """What is wanted, by the answers. found: None if there is no Slurm here. said: what the settings say already."""
    settings: dict[str, str] = {}
    wanted = Wanted()
    if found is not None:
        if said.origin["local"] == "default" and _is_login(ask, found):
            settings["local"] = "never"
        if not said.profiles or agreed(ask, *_another(said), default=False):
            wanted = _profile(ask, found, said)
    if said.origin["monitor_notify"] == "default":
        call = ask(_call(os.environ))
        if call and call != said.monitor_notify:
            settings["monitor_notify"] = call
    return replace(wanted, settings=settings)


def described(partition: Partition) -> str:
    """A partition in a line."""
    kinds = "; ".join(map(_kind, partition.kinds))
    return f"{partition.name}{' (default)' if partition.default else ''}: at most {partition.limit}; {kinds}"


def _kind(kind: Kind) -> str:
    having = f"{kind.cpus} CPUs, {memory(kind.mem_mb)}{f', {kind.gres}' if kind.gres else ''}"
    return f"{kind.nodes} x {having}"


def _is_login(ask: Ask, found: Offers) -> bool:
    part = {
        True: "it is one of the cluster's nodes",
        False: "it is none of the cluster's nodes",
        None: "whether it is a node is not known",
    }
    words = f"Keep tasks off this host ({part[found.is_node]})"
    explained = "`local: never`, for a login node: no task, shell or runner of leaseq on the host where it is typed"
    return agreed(ask, words, explained, default=found.is_node is False)


def _another(said: Config) -> tuple[str, str]:
    names = ", ".join(sorted(said.profiles))
    return f"Add a profile to those that are there ({names})", "A profile is a named way to ask for a lease"


def _call(environment: Mapping[str, str]) -> Question:
    names = [environment.get(name, "") for name in ("TERM", "TERM_PROGRAM", "LC_TERMINAL")]
    known = (way for way, begins in FOUND_BY.items() if any(name.startswith(begins) for name in names))
    ways = CHOICES["monitor_notify"]
    return Question(
        f"How may the monitor call you ({', '.join(ways)})",
        next(known, ways[0]),
        "If a task fails, a lease starts or ends, the queue is empty. osc9: iTerm2, kitty, WezTerm. osc777: foot",
        lambda answer: one_of(answer, what="the way", allowed=ways),
    )


def _profile(ask: Ask, found: Offers, said: Config) -> Wanted:
    name, partition = _partition(ask, found)
    kind = partition.best if partition else None
    account = _account(ask, found)
    nodes = ask(_whole("Nodes (-N)", "1", "How many nodes a lease has. `leaseq add -N4` goes before it"))
    gres = ask(_gpus(kind)) if kind is None or kind.gpus else ""
    options = {
        "partition": name,
        "account": account.name,
        "qos": ask(_qos(account)) if len(account.qos) > 1 else "",
        "nodes": nodes,
        "gres": gres,
        "cpus-per-task": ask(_cpus(kind, gres)),
        "time": ask(_time(partition)),
    }
    idle = "" if said.idle else ask(_IDLE)
    return Wanted(
        profile=ask(_name(name, said)),
        slurm={name: value for name, value in options.items() if value},
        idle=idle,
    )


def _unknown(what: str, explained: str) -> Question:
    return Question(
        f"{what} (what there is is not known)", "", f"{explained}. `{NONE}`: nothing is said, Slurm decides"
    )


def _whole(words: str, default: str, explained: str, most: int | None = None) -> Question:
    def read(answer: str) -> str:
        number = integer(answer, what="the number", low=1)
        if most and number > most:
            raise UsageError(f"a node has {most}")
        return str(number)

    return Question(words, default, explained, read)


def _one_of(words: str, default: str, explained: str, known: Iterable[str]) -> Question:
    allowed = tuple(known)
    return Question(
        words, default, explained, lambda answer: one_of(answer, what=words.partition(" ")[0], allowed=allowed)
    )


def _partition(ask: Ask, found: Offers) -> tuple[str, Partition | None]:
    """What a job is to name, and the partition that it gets, if that is known."""
    by_name = {each.name: each for each in found.partitions}
    if not by_name:
        return ask(_unknown("Partition (-p)", "A set of nodes, with limits of its own")), None
    first = found.partitions[0]
    if len(by_name) == 1:
        return first.name, first
    with_gpus = next((each.name for each in found.partitions if each.best.gpus), first.name)
    explained = "A set of nodes, with limits of its own: " + ", ".join(by_name)
    name = ask(_one_of("Partition (-p)", with_gpus, explained, by_name))
    return name, by_name.get(name, first if first.default else None)


def _account(ask: Ask, found: Offers) -> Account:
    """The account that jobs are to name; without a name if they need none, or have the only one anyway."""
    explained = "Whose budget a job is counted to"
    if found.accounts is None:
        return Account(ask(_unknown("Account (-A)", explained)))
    by_name = {each.name: each for each in found.accounts.known}
    only = next(iter(by_name.values()), Account(""))
    if len(by_name) < 2:
        return only if only.name != found.accounts.default else replace(only, name="")
    default = found.accounts.default or only.name
    name = ask(_one_of("Account (-A)", default, f"{explained}: {', '.join(by_name)}", by_name))
    return by_name.get(name, Account(""))


def _qos(account: Account) -> Question:
    explained = f"Quality of service: priority and limits: {', '.join(account.qos)}. `{NONE}`: Slurm's own choice"
    return _one_of("QOS (-q)", account.default_qos, explained, account.qos)


def _gpus(kind: Kind | None) -> Question:
    explained = "--gres, as `4`, `a100:4` or `gpu:a100:4`; 0: none"

    def read(answer: str) -> str:
        text = answer.removeprefix("gpu:")
        words = f"gpu:{text}"
        number = gpus_in(words)
        if not all(NAME.fullmatch(part) for part in text.replace(",", ":").split(":")) or (not number and text != "0"):
            raise UsageError(f"{answer!r} is no number of GPUs", hint="like 4, or a100:4")
        if kind is not None and number > kind.gpus:
            raise UsageError(f"a node has {kind.gpus}: {kind.gres}")
        return words if number else ""

    if kind is None:
        return replace(_unknown("GPUs of each node (--gres)", explained), read=read)
    return Question("GPUs of each node (--gres)", kind.gres, explained, read)


def _cpus(kind: Kind | None, gres: str) -> Question:
    explained = "-c: Slurm gives one CPU a node unless more are asked for"
    if kind is None or not kind.cpus:
        return replace(_unknown("CPUs of each node (-c)", explained), read=_whole("", "", "").read)
    share = gpus_in(gres) / kind.gpus if gres and kind.gpus else 1
    return _whole("CPUs of each node (-c)", str(max(1, int(kind.cpus * share))), explained, kind.cpus)


def _time(partition: Partition | None) -> Question:
    most = minutes_of(partition.limit) if partition else None
    default = min(TIME_DEFAULT, most or TIME_DEFAULT)
    bound = f", at most {partition.limit}" if partition and most else ""

    def read(answer: str) -> str:
        minutes = math.ceil(seconds(answer, what="the time", plain=60) / 60)
        if minutes < 1 or (most and minutes > most):
            raise UsageError(f"a job has a minute at least{bound}")
        return limit_of(minutes)

    explained = "-t: like 30m, 4h, 2d, or as Slurm writes it, 1-12:00:00. Shorter jobs start earlier, mostly"
    return Question(f"Time limit (-t{bound})", limit_of(default), explained, read)


def _idle_limit(answer: str) -> str:
    unused_limit(answer, what="the time")
    return "" if answer.lower() == OFF else answer


_IDLE = Question(
    "Give the nodes back after so long without use (--idle)",
    IDLE_DEFAULT,
    f"Nodes that nothing uses, no task and no shell that somebody looks at, are not held. `{OFF}`: to the end",
    _idle_limit,
)


def _name(partition: str, said: Config) -> Question:
    base = partition if NAME.fullmatch(partition) else "slurm"
    names = itertools.chain([base], map(f"{base}-{{}}".format, itertools.count(2)))

    def read(answer: str) -> str:
        if valid_name(answer, what="profile") in said.profiles:
            raise UsageError(f"there is a profile {answer} already")
        return answer

    default = next(name for name in names if name not in said.profiles)
    return Question("Name of the profile", default, f"`leaseq add --profile {default}` asks for such a lease", read)
