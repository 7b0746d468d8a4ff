"""The forms that texts have, as regular expressions that are compiled if they are asked for the first time."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

Match = re.Match[str]


class Form:
    """A regular expression over text. Compiling all that leaseq knows would be felt at the start of every command."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    @cached_property
    def fullmatch(self) -> Callable[[str], Match | None]:
        """The match of a whole text, or None."""
        return re.compile(self.pattern).fullmatch

    @cached_property
    def search(self) -> Callable[[str], Match | None]:
        """The first match in a text, or None."""
        return re.compile(self.pattern).search
