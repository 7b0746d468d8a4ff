"""The one thing a person has to know now, and what can be done about it here, by a key that works. Pure."""

from __future__ import annotations

from leaseq.lease.kinds import start_words
from leaseq.lease.leases import is_own
from leaseq.models import State
from leaseq.monitor.model import Scene
from leaseq.reading.views import Health
from leaseq.words import count


def banner(scene: Scene) -> str:
    """In words; nothing if there is no such thing."""
    silent = scene.not_answering
    if silent is not None:
        return f"file system not answering for {silent:.0f} s: it is asked until it does; q quits"
    if scene.data.lease.failure and scene.data.lease.snapshot is not None:
        return f"{scene.data.lease.failure}{_how(scene, ':doctor looks for the cause')}"
    stuck = scene.count(State.STUCK)
    if stuck:
        down = [view.node for view in scene.nodes if view.health in (Health.DOWN, Health.STOPPED) and view.claimed]
        where = f" on {', '.join(down[:3])}" if down else ""
        listed = f"8 lists {'it' if stuck == 1 else 'them'}" + ("" if scene.ui.readonly else ", m on one: what to do")
        return f"{count(stuck, 'task')} stuck{where}: no runner there. {listed}"
    return _paused(scene) or _nobody(scene) or _unused(scene) or _slurm(scene)


def _how(scene: Scene, said: str) -> str:
    """What to do, as a sentence more; nothing in a monitor from which nothing is done."""
    return "" if scene.ui.readonly else f". {said}"


def _paused(scene: Scene) -> str:
    limits = scene.data.lease.snapshot.limits if scene.data.lease.snapshot else None
    if limits and limits.stop(""):
        return f"paused: nothing starts{_how(scene, ':resume lets it start again')}"
    groups = [group for group in limits.groups if limits.stop(group)] if limits else []
    if not groups:
        return ""
    return f"paused: {', '.join(groups)}{_how(scene, f':resume -g {groups[0]} lets it start again')}"


def _nobody(scene: Scene) -> str:
    """That something waits in a lease of hosts that no host serves."""
    row, pending = scene.watched, scene.count(State.PENDING)
    if row is None or row.is_borrowed or row.word == "ENDED" or not pending or scene.data.lease.snapshot is None:
        return ""
    if any(view.health.serving for view in scene.nodes):
        return ""
    what = f"no runner takes {'the pending task' if pending == 1 else f'the {pending:,} pending tasks'}"
    if row.is_of_hosts:
        return what + _how(scene, f"`{start_words(row.lease)}` starts this host's, also after :")
    return what + _how(scene, ":daemon start starts this host's") if is_own(row.id) else what


def _unused(scene: Scene) -> str:
    if not scene.unused:
        return ""
    # With the cursor on another lease of their list x means that one.
    means = scene.meant is scene.watched
    return scene.unused + (_how(scene, "x releases the lease") if means else "")


def _slurm(scene: Scene) -> str:
    failure = scene.data.leases.failure
    return f"Slurm does not answer: {failure}{_how(scene, ':doctor looks for the cause')}" if failure else ""
