"""How many jobs a lease that scales may have, and what is said of it."""

from __future__ import annotations

from leaseq.words import count


def said(scale: tuple[int, ...]) -> str:
    """How many jobs it has, in words."""
    least, most = scale
    if least == most:
        return f"has {count(most, 'job')}, with or without tasks" if most else "asks for no job any more"
    few = f"keeps {count(least, 'job')}" if least else "has no job without a task"
    return f"{few}, and asks for up to {most} as tasks need them"
