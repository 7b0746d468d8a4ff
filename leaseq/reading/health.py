"""How a lease's runners are, as far as this host can tell: by their heartbeats, and by its own processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from leaseq.dataclass import replace
from leaseq.errors import Malformed, Refused
from leaseq.heartbeat import Heartbeat
from leaseq.layout import LeaseDir
from leaseq.node.nodedir import Holder, find_node_dir
from leaseq.protocol import allocs
from leaseq.protocol.files import content
from leaseq.protocol.terms import down_seconds, late_seconds
from leaseq.reading.sightings import Listing, Rank
from leaseq.reading.views import NODE_DOWN, NODE_SILENT, RUNNER_DOWN, Health, News, NodeView
from leaseq.world import Clock, Fs, boot_id, hostname, uptime_seconds


class Runners:
    """The runners of one lease, looked at again and again: their silence is measured from look to look."""

    def __init__(self, lease: LeaseDir, fs: Fs, clock: Clock, news: Callable[[], News]) -> None:
        self.lease, self.fs, self.clock, self.news = lease, fs, clock, news
        self._parsed: dict[str, tuple[bytes, Heartbeat]] = {}
        self._beats: dict[str, tuple[str, int, float]] = {}

    def nodes(self, listing: Listing) -> dict[str, NodeView]:
        """Every node of the lease with the health of its runner; of ended allocations those that hold something."""
        pinned = Counter([each.at.node for each in listing.pending.values()])
        claimed = Counter([each.at.node for each in (*listing.claims, *listing.chunks) if each.rank is Rank.CLAIMED])
        views = {}
        for node in sorted(self._to_show(listing.nodes, {*pinned, *claimed})):
            try:
                view = self.of(node)
            except (Malformed, PermissionError) as error:
                listing.notes.append(f"heartbeat of {node}: {error}")
                view = NodeView(node, Health.UNKNOWN, why="its heartbeat cannot be read")
            views[node] = replace(view, pending=pinned[node], claimed=claimed[node])
        # Of several nodes one that has stopped may have been given back; of one alone that says the state.
        off = (Health.DOWN, Health.STOPPED) if len(views) > 1 else (Health.DOWN,)
        down = [node for node, view in views.items() if view.health in off]
        if down and (left := allocs.members(self.fs, self.lease)):
            gone = [node for node in down if node not in left]
            views |= {node: replace(views[node], cause=NODE_DOWN, why="no longer part of the lease") for node in gone}
        missed = [node for node, view in views.items() if view.claimed and not view.health.serving]
        if missed:
            lost = self.news().lost
            views |= {node: replace(views[node], lost=lost[node]) for node in missed if node in lost}
        return views

    def _to_show(self, nodes: set[str], holding: set[str]) -> set[str]:
        """What ended allocations have left is not read again and again, while there is another."""
        if len(nodes) < 2 or not allocs.has_had_several(self.fs, self.lease):
            return nodes
        named = [allocs.ever_named(self.fs, self.lease, each) for each in allocs.living_of(self.fs, self.lease)]
        if not all(each is not None for each in named):
            return nodes
        return nodes & set[str]().union(*(each for each in named if each is not None), holding)

    def of(self, node: str) -> NodeView:
        """The node's runner as far as this host can tell; raises Malformed."""
        beat = self._heartbeat(node)
        if beat is None:
            return NodeView(node, Health.UNKNOWN, why="no runner has reported yet")
        try:
            age = self._age(beat)
        except FileNotFoundError:
            age = 0.0
        if beat.state == "stopped":
            try:
                return NodeView(node, Health.STOPPED, beat, age, "stopped on purpose", kept=self._kept(beat))
            except Refused as error:
                return NodeView(node, Health.UNKNOWN, beat, age, error.message)  # who keeps its tasks is not known
        if beat.host == hostname() and beat.boot and beat.pid:
            if beat.boot != boot_id():
                if age > uptime_seconds():
                    return NodeView(node, Health.DOWN, beat, age, "this host was rebooted since", cause=NODE_DOWN)
            elif not Holder(beat.pid, beat.pid_start, beat.boot).alive():
                return NodeView(node, Health.DOWN, beat, age, f"its process {beat.pid} is gone", cause=RUNNER_DOWN)
        if age < late_seconds(beat):
            return NodeView(node, Health.OK, beat, age, beat.note)
        if age < down_seconds(beat):
            return NodeView(node, Health.LATE, beat, age, f"silent for {age:.0f} s")
        return NodeView(node, Health.DOWN, beat, age, f"silent for {age:.0f} s", cause=NODE_SILENT)

    def _heartbeat(self, node: str) -> Heartbeat | None:
        """The node's last heartbeat, or None; raises Malformed. One that is as it was is not parsed again."""
        try:
            data = content(self.fs, self.lease.heartbeat(node))
        except FileNotFoundError:
            return None
        known = self._parsed.get(node)
        if known is None or known[0] != data:
            known = self._parsed[node] = (data, Heartbeat.from_json(data))
        return known[1]

    def _kept(self, beat: Heartbeat) -> bool:
        """True if a keeper of the node's tasks lives on this host; raises Refused."""
        if beat.host != hostname() or beat.boot != boot_id():
            return False
        found = find_node_dir(self.lease.root.rsplit("/", 2)[0], self.lease.id, beat.node)
        return found is not None and found.alive("keeper") is not None

    def _age(self, beat: Heartbeat) -> float:
        """Seconds of silence: by the file server's clock at the first look, by this process's own afterwards."""
        now = self.clock.monotonic()
        known = self._beats.get(beat.node)
        if known is None:
            since = now - self.fs.age(self.lease.heartbeat(beat.node), self.lease.heartbeats)
        elif known[:2] != (beat.incarnation, beat.counter):
            since = now
        else:
            since = known[2]
        self._beats[beat.node] = (beat.incarnation, beat.counter, since)
        return max(0.0, now - since)
