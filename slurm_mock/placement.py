"""Which nodes a request gets, and how many tasks, CPUs, GPUs and megabytes on each: a pure function."""

from __future__ import annotations

from collections.abc import Sequence

from slurm_mock.cluster import Settings
from slurm_mock.records import Node, Request, Share
from slurm_mock.values import dataclass

# Refusals by the names that `errors` spells out.
BAD_PARTITION = "partition"
BAD_NODES = "nodes"
BAD_NODE_NAME = "node_name"
BAD_FEATURE = "feature"
BAD_TIME = "time"
BAD_MEMORY = "memory"
BAD_CPUS_PER_NODE = "cpus_per_node"
TOO_MANY_CPUS = "cpus"
BAD_CONFIG = "config"


@dataclass(kw_only=True)
class Free:
    """What is left of a node; `whole` if no job is on it, `shared` if no exclusive job is."""

    name: str
    cpus: int
    gpus: list[int]
    mem: int
    whole: bool = True
    features: str = ""


def whole(node: Node, settings: Settings) -> Free:
    return Free(name=node.name, cpus=node.cpus, gpus=list(range(node.gpus)), mem=node.mem, features=settings.features)


def refusal(request: Request, settings: Settings, nodes: list[Node]) -> str:
    """The first reason why this cluster can never run the request as asked; "" if there is none.

    The order is that of the real controller: partition, names, counts and limit (which only EnforcePartLimits
    makes a refusal), then what no idle cluster could give.
    """
    if request.partition not in settings.partitions:
        return BAD_PARTITION
    nothing_of = _not_here(request, settings)
    if nothing_of:
        return nothing_of
    if any(name not in settings.nodes for name in [*request.nodelist, *request.exclude]):
        return BAD_NODE_NAME
    if request.features and request.features not in settings.features.split(","):
        return BAD_FEATURE
    tasks = tasks_total(request, request.nodes_min or 1)
    if max(tasks, request.nodes_min or 1) * (request.cpus_per_task or 1) > settings.cpus * len(settings.nodes):
        return TOO_MANY_CPUS
    over = over_partition(request, settings)
    if over and (settings.enforce_part_limits or request.nodes_min == 0):
        return over
    if request.hold:  # measured: what the nodes could give is not asked before it may start
        return ""
    if request.mem_per_node is not None and request.mem_per_node > settings.mem:
        return BAD_MEMORY
    if (request.ntasks_per_node or 1) * (request.cpus_per_task or 1) > settings.cpus:
        return BAD_CPUS_PER_NODE
    if not over and place(request, settings, [whole(node, settings) for node in nodes]) is None:
        return BAD_CONFIG
    return ""


def _not_here(request: Request, settings: Settings) -> str:
    """What a cluster without reservations and licenses, whose nodes are all alike, can never give."""
    features = [*settings.features.split(",")]
    if request.reservation:
        return "reservation"
    if request.licenses:
        return "licenses"
    if request.prefer and request.prefer not in features:
        return "prefer"
    if request.batch_features and request.batch_features not in request.features.split(","):
        return "batch"
    return BAD_TIME if request.stale else ""


def over_partition(request: Request, settings: Settings) -> str:
    """The partition limit that the request exceeds, or ""."""
    if request.nodes_min == 0 or (request.nodes_min or 1) > len(settings.nodes):
        return BAD_NODES
    limit = settings.partitions[request.partition]
    if request.limit_set and request.limit_minutes == 0:
        return BAD_TIME
    asked = request.limit_minutes if request.limit_set else limit
    if limit is not None and (asked is None or asked > limit):
        return BAD_TIME
    return ""


def tasks_total(request: Request, nodes: int) -> int:
    return request.ntasks if request.ntasks is not None else nodes * (request.ntasks_per_node or 1)


def place(request: Request, settings: Settings, free: Sequence[Free]) -> dict[str, Share] | None:
    """Shares by node, in node order; None if the free resources do not do."""
    usable = [node for node in free if node.name not in request.exclude and (node.whole or not request.exclusive)]
    least = max(request.nodes_min or 1, len(request.nodelist))
    most = max(least, request.nodes_max or (least if request.nodes_min else len(usable)))
    counts = range(least, min(most, len(usable)) + 1)
    for count in reversed(counts) if request.nodes_max else counts:  # measured: -N2-3 takes 3 if it can
        shares = _place_on(request, settings, usable, count)
        if shares is not None:
            return shares
    return None


def _place_on(request: Request, settings: Settings, free: list[Free], count: int) -> dict[str, Share] | None:
    room = {node.name: _tasks_max(request, settings, node) for node in free}
    able = [node for node in free if room[node.name] >= 1]
    named = [node for node in able if node.name in request.nodelist]
    if len(named) < len(request.nodelist) or len(able) < count:
        return None
    others = [node for node in able if node not in named]
    tasks = tasks_total(request, count)
    if tasks < count:
        return None
    for order in (others, sorted(others, key=lambda node: -room[node.name])):
        chosen = [*named, *order][:count]
        counts = fill(tasks, [room[node.name] for node in chosen])
        if counts is not None:
            counted = sorted(zip(chosen, counts, strict=True), key=lambda pair: settings.nodes.index(pair[0].name))
            return _shares(request, settings, counted)
    return None


def _tasks_max(request: Request, settings: Settings, node: Free) -> int:
    """How many of the request's tasks fit on the node; 0 if it is of no use."""
    if len(node.gpus) < request.gpus_per_node:
        return 0
    room = node.cpus // (request.cpus_per_task or 1)
    if request.overcommit:
        room = min(1, node.cpus) * 1_000_000
    if request.ntasks_per_node:
        room = min(room, request.ntasks_per_node) if room >= request.ntasks_per_node else 0
    if request.gpus_per_task:
        room = min(room, len(node.gpus) // request.gpus_per_task)
    if request.mem_per_node is not None and request.mem_per_node > node.mem:
        return 0
    per_cpu = _mem_per_cpu(request, settings)
    if per_cpu:
        room = min(room, node.mem // (per_cpu * (request.cpus_per_task or 1)))
    return room


def _mem_per_cpu(request: Request, settings: Settings) -> int:
    if request.mem_per_node is not None:
        return 0
    return request.mem_per_cpu or settings.def_mem_per_cpu


def fill(tasks: int, rooms: list[int]) -> list[int] | None:
    """One task each, then the first nodes filled up (measured: `-N2 -n5` gets 4 and 1 CPUs); None if too little."""
    left = tasks - len(rooms)
    counts = []
    for room in rooms:
        more = max(0, min(left, room - 1))
        counts.append(1 + more)
        left -= more
    return counts if left <= 0 else None


def spread(tasks: int, rooms: list[int]) -> list[int] | None:
    """One task each, then evenly and from the front, as far as there is room; None if it is too little."""
    counts = [0] * len(rooms)
    left = tasks
    while left > 0:
        open_nodes = [index for index, room in enumerate(rooms) if counts[index] < room]
        if not open_nodes:
            return None
        for index in open_nodes[:left]:
            counts[index] += 1
        left -= min(left, len(open_nodes))
    return counts


def _shares(request: Request, settings: Settings, counted: list[tuple[Free, int]]) -> dict[str, Share] | None:
    left = request.gpus_total
    shares = {}
    for index, (node, tasks) in enumerate(counted):
        gpus = request.gpus_per_node
        if request.exclusive:
            gpus = len(node.gpus)
        elif request.gpus_per_task:
            gpus = tasks * request.gpus_per_task
        elif request.gpus_total and not gpus:
            # measured: 3 and 1 for 4 on 2 nodes
            gpus = max(0, min(len(node.gpus), left - (len(counted) - index - 1)))
        left -= gpus
        cpus = node.cpus if request.exclusive or request.overcommit else tasks * (request.cpus_per_task or 1)
        per_cpu = _mem_per_cpu(request, settings)
        mem = per_cpu * cpus if per_cpu else request.mem_per_node or node.mem  # --mem=0 means all of the node's
        mem = mem if settings.track_memory else 0
        shares[node.name] = Share(cpus=cpus, gpus=node.gpus[:gpus], mem=mem, tasks=tasks)
    if request.gpus_total and not request.gpus_per_node and left > 0:
        return None
    return shares
