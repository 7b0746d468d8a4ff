"""What of a lease is paused and limited, in words."""

from __future__ import annotations

from collections.abc import Iterator

from leaseq.protocol.groups import Limits


def limits_told(limits: Limits) -> Iterator[str]:
    """That nothing starts, or nothing of some groups, and what changes that; nothing if nothing is paused."""
    if limits.stop(""):
        yield "the lease is paused: nothing starts until `leaseq resume`"
        return
    paused = [group for group in limits.groups if limits.stop(group)]
    if len(paused) == 1:
        yield f"group {paused[0]} is paused: `leaseq resume -g {paused[0]}` lets it start tasks again"
    elif paused:
        yield f"groups {', '.join(paused)} are paused: `leaseq resume -g GROUP` lets one start tasks again"


def pause_told(lease: str, group: str) -> str:
    """What is paused or resumed: the lease, or a group of it."""
    return f"group {group} of lease {lease}" if group else f"lease {lease}"
