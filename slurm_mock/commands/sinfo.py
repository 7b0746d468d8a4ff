"""sinfo: partitions and nodes as lines of text, straight from the cluster's directory."""

from __future__ import annotations

import json
import os
import sys
import time

from slurm_mock import format as columns
from slurm_mock import grammar, units
from slurm_mock.client import Client
from slurm_mock.format import Column, Field, Table
from slurm_mock.hostlist import compress, expand
from slurm_mock.node_state import CODES, NodeView, code, views, word
from slurm_mock.options import no_clusters, unsupported
from slurm_mock.values import dataclass

DEFAULT = "%9P %.5a %.10l %.6D %.6t %N"
LONG = "%9P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N"
SUMMARY = "%9P %.5a %.10l %.16F %N"
NODES = "%9N %.6D %.9P %6t"
NODES_LONG = "%9N %.6D %.9P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E"
REASONS = "%20E %9u %19H %N"
STATES = {*CODES, *CODES.values(), "all", "no_respond", "reserved", "maint", "fail", "future", "drain", "unknown"}
COUNTED = ("%D", "%N", "%A", "%F", "%C")


@dataclass(frozen=True)
class Row:
    """Nodes of one partition that look alike."""

    partition: str
    default: bool
    limit: int | None
    nodes: list[NodeView]

    @property
    def first(self) -> NodeView:
        return self.nodes[0]


def _aiot(numbers: list[tuple[int, int, int]], *, all_four: bool = True) -> str:
    """allocated/idle/other/total."""
    allocated, idle, other = (sum(column) for column in zip(*numbers, strict=True))
    return f"{allocated}/{idle}/{other}/{allocated + idle + other}" if all_four else f"{allocated}/{idle}"


def _node_numbers(row: Row) -> list[tuple[int, int, int]]:
    return [node.counts for node in row.nodes]


def _cpu_numbers(row: Row) -> list[tuple[int, int, int]]:
    return [node.cpu_counts for node in row.nodes]


LETTERS = {
    "P": Field("PARTITION", lambda row: row.partition + ("*" if row.default else "")),
    "R": Field("PARTITION", lambda row: row.partition),
    "a": Field("AVAIL", lambda row: "up"),
    "l": Field("TIMELIMIT", lambda row: units.limit_text(row.limit).replace("UNLIMITED", "infinite")),
    "L": Field("DEFAULTTIME", lambda row: "n/a"),
    "D": Field("NODES", lambda row: str(len(row.nodes))),
    "t": Field("STATE", lambda row: code(row.first)),
    "T": Field("STATE", lambda row: word(row.first)),
    "N": Field("NODELIST", lambda row: compress([node.name for node in row.nodes])),
    "n": Field("HOSTNAMES", lambda row: row.first.name),
    "o": Field("NODE_ADDR", lambda row: "127.0.0.1"),
    "G": Field("GRES", lambda row: row.first.gres),
    "c": Field("CPUS", lambda row: str(row.first.node.cpus)),
    "m": Field("MEMORY", lambda row: str(row.first.node.mem)),
    "f": Field("AVAIL_FEATURES", lambda row: row.first.features or "(null)"),
    "b": Field("ACTIVE_FEATURES", lambda row: row.first.features or "(null)"),
    "A": Field("NODES(A/I)", lambda row: _aiot(_node_numbers(row), all_four=False)),
    "F": Field("NODES(A/I/O/T)", lambda row: _aiot(_node_numbers(row))),
    "C": Field("CPUS(A/I/O/T)", lambda row: _aiot(_cpu_numbers(row))),
    "E": Field("REASON", lambda row: row.first.node.reason or "none"),
    "u": Field("USER", lambda row: "root" if row.first.node.reason else "Unknown"),
    "H": Field("TIMESTAMP", lambda row: units.stamp(row.first.node.lost_at, missing="Unknown")),
    "O": Field("CPU_LOAD", lambda row: f"{os.getloadavg()[0]:.2f}"),
    "e": Field("FREE_MEM", lambda row: str(row.first.node.mem)),
    "z": Field("S:C:T", lambda row: f"1:{row.first.node.cpus}:1"),
    "d": Field("TMP_DISK", lambda row: "0"),
    "w": Field("WEIGHT", lambda row: "1"),
    "s": Field("JOB_SIZE", lambda row: "1-infinite"),
    "r": Field("ROOT", lambda row: "no"),
    "h": Field("OVERSUBS", lambda row: "NO"),
    "g": Field("GROUPS", lambda row: "all"),
    "%": Field("%", lambda row: "%"),
}
NAMES: dict[str, str | Field[Row]] = {
    "partition": "P",
    "partitionname": "R",
    "available": "a",
    "time": "l",
    "nodes": "D",
    "statecompact": "t",
    "statelong": "T",
    "nodelist": "N",
    "nodehost": "n",
    "gres": "G",
    "gresused": Field("GRES_USED", lambda row: row.first.gres_used),
    "cpus": "c",
    "memory": "m",
    "features": "f",
    "nodeaiot": "F",
    "cpusstate": "C",
    "reason": "E",
    "freemem": "e",
    "cpusload": "O",
}
ROWS = Table(LETTERS, NAMES)


def main(client: Client, argv: list[str]) -> int:
    given, _ = grammar.Parser("sinfo", grammar.SINFO).parse(argv, interspersed=True)
    _check(client, given)
    if client.broken:
        print(f"slurm_load_partitions: {client.words({'error': client.broken})}", file=sys.stderr)
        return 1
    nodes = _selected(client, given)
    if "json" in given:
        print(json.dumps({"errors": [], "nodes": [_json(node) for node in nodes]}, indent=1))
        return 0
    wanted = _columns(client, given)
    if "long" in given:
        print(time.strftime("%a %b %d %H:%M:%S %Y"))
    if "noheader" not in given:
        print(columns.header(wanted))
    for row in _rows(client, given, wanted, nodes):
        print(columns.row(wanted, row))
    return 0


def _check(client: Client, given: dict[str, str]) -> None:
    """Failure for values that are none, and for what the mock does not do."""
    if "clusters" in given:
        client.refuse(no_clusters(given["clusters"]))
    if "iterate" in given and not given["iterate"].isdigit():
        client.fail(f"Error: invalid entry for --iterate={given['iterate']}")
    for name in ("iterate", "yaml", "federation", "sort", "reservation"):
        if name in given:
            client.refuse(unsupported(name, given[name]))
    for state in filter(None, given.get("state", "").lower().split(",")):
        if state not in STATES:
            client.fail(f'Bad state string: "{state}"')


def _selected(client: Client, given: dict[str, str]) -> list[NodeView]:
    names = expand(given.get("nodes", ""))
    states = [state.lower() for state in given.get("state", "").split(",") if state]
    found = []
    for node in views(client.cluster, client.settings):
        texts = (code(node).rstrip("*"), word(node).rstrip("*"))
        wanted = not states or "all" in states or any(state in texts for state in states)
        down = "list-reasons" not in given or bool(node.node.reason)
        if (not names or node.name in names) and wanted and down:
            found.append(node)
    return found


def _columns(client: Client, given: dict[str, str]) -> list[Column[Row]]:
    if "Format" in given:
        wanted, unknown = ROWS.long(given["Format"])
        for name in unknown:
            client.say(f"error: Invalid job format specification: {name}")
        return wanted
    by_node, long = "Node" in given, "long" in given
    default = NODES_LONG if by_node and long else NODES if by_node else LONG if long else DEFAULT
    default = SUMMARY if "summarize" in given else REASONS if "list-reasons" in given else default
    wanted, unknown = ROWS.short(given.get("format") or os.environ.get("SINFO_FORMAT") or default)
    for letter in unknown:
        print(f"Invalid node format specification: {letter}", file=sys.stderr)
    return wanted


def _rows(client: Client, given: dict[str, str], wanted: list[Column[Row]], nodes: list[NodeView]) -> list[Row]:
    """Nodes whose lines would be equal are one row, counted; with -N every node of every partition is its own."""
    counted = [LETTERS[letter.lstrip("%")] for letter in COUNTED]
    kept = [column for column in wanted if column.field not in counted]
    limits = client.settings.partitions
    names = given.get("partition", "").split(",") if given.get("partition") else list(limits)
    rows = []
    for index, (partition, limit) in enumerate(limits.items()):
        if partition not in names:
            continue
        groups: dict[str, list[NodeView]] = {}
        for node in nodes:
            alone = Row(partition, index == 0, limit, [node])
            key = node.name if "Node" in given else columns.row(kept, alone)
            groups.setdefault(key, []).append(node)
        rows += [Row(partition, index == 0, limit, group) for group in groups.values()]
    if "Node" in given:
        rows.sort(key=lambda row: client.settings.nodes.index(row.first.name))
    return rows


def _json(node: NodeView) -> dict[str, object]:
    return {
        "name": node.name,
        "state": word(node).rstrip("*"),
        "cpus": node.node.cpus,
        "alloc_cpus": node.cpus_used,
        "real_memory": node.node.mem,
        "gres": node.gres,
        "gres_used": node.gres_used,
        "reason": node.node.reason,
    }
