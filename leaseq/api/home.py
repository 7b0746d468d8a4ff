"""The home that LEASEQ_HOME names, for programs."""

from __future__ import annotations

import functools
import os

from leaseq.layout import Home, default_home
from leaseq.verbs.access import Access
from leaseq.world import SystemClock, SystemFs, is_remote


def access() -> Access:
    """Access to the home, which is made by the first who queues something."""
    return _access(default_home())


@functools.cache
def _access(root: str) -> Access:
    return Access(SystemFs(remote=is_remote(root), owner=os.getuid()), Home(root), SystemClock())
