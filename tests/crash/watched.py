"""What the rules look at: a lease directory, and what really happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from leaseq.layout import LeaseDir
from leaseq.world import Fs

if TYPE_CHECKING:
    from tests.crash import actors


class Watched(Protocol):
    """A world of actors, a simulated history, or a real directory."""

    @property
    def lease(self) -> LeaseDir: ...

    @property
    def truth(self) -> actors.Truth: ...

    @property
    def p(self) -> actors.Protocol: ...

    def fs(self) -> Fs: ...

    def nodes(self) -> list[str]: ...
