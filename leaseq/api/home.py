"""The home that LEASEQ_HOME names, for programs."""

from __future__ import annotations

import functools
import os

from leaseq.commands import readonly
from leaseq.layout import Home, default_home
from leaseq.verbs.access import Access
from leaseq.world import SystemClock, SystemFs, is_remote


def access() -> Access:
    """Access to the home, which is made by the first who queues something.

    If the environment forbids every change, looks leave everything as it is.
    """
    return _access(default_home(), readonly())


@functools.cache
def _access(root: str, forbidden: bool) -> Access:
    fs = SystemFs(remote=is_remote(root), owner=os.getuid())
    return Access(fs, Home(root), SystemClock(), readonly=forbidden)
