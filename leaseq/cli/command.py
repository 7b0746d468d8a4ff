"""What a command of the command line is: its words, its options and its help, each said once.

An `Option` is all that is known of an option: how its text is read, its value if it is not given, what can complete it.
`line` reads a line by it, `help` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.values import one_of, yes

if TYPE_CHECKING:
    from leaseq.cli.app import App

METAVARS = {
    "lease": "LEASE",
    "node": "NODE",
    "file": "FILE",
    "directory": "DIR",
    "state": "STATE",
    "group": "GROUP",
    "signal": "SIGNAL",
}
"""What stands for a value in a help, by what completes it."""


class Request(Protocol):
    """A command line that has been accepted whole. Only `perform` does anything."""

    def perform(self, app: App) -> int:
        """The exit code, once the request has been carried out."""
        ...


@dataclass(frozen=True)
class Option:
    """One option of a command. `kind` is `value`, `flag`, or `list` (may be repeated)."""

    name: str
    help: str
    kind: str = "value"
    short: str = ""
    metavar: str = ""
    """What stands for its value in a help, if what completes it does not say it."""
    read: Callable[..., object] | None = None
    """Makes the value, from the text and `what` the option is called; of a list from all texts. None: as it stands."""
    choices: tuple[str, ...] = ()
    """The only texts that it takes, if they are few."""
    default: str = ""
    """The text that stands if none is given."""
    absent: object = None
    """The value if nothing is given and there is no default; of an option without `read`: False, "" or ()."""
    completes: str = ""
    """What its value names: a lease, node, task, group, hook, event, profile, file, directory, state, signal, shell."""
    field: str = ""
    """Where the request keeps the value, if not under the option's own name."""
    goes_with: str = ""
    """The option without which this one means nothing."""
    against: tuple[str, ...] = ()
    """Options that cannot stand beside it."""
    blank: bool = False
    """True if an empty value says the same as none."""

    @property
    def target(self) -> str:
        """The field of the request that holds the value."""
        return self.field or self.name.replace("-", "_")

    @property
    def typed(self) -> str:
        """How it is typed, without a value: a flag that holds unless it is taken back, as that."""
        return f"--{'no-' if self.kind == 'flag' and self.default == 'true' else ''}{self.name}"

    @property
    def stands_for(self) -> str:
        """What a help shows in the place of a value."""
        return self.metavar or METAVARS.get(self.completes, "X")

    def value(self, given: Sequence[str]) -> object:
        """The value, if these texts were given for it; raises UsageError."""
        what = f"--{self.name}"
        if self.kind == "list":
            return tuple(given) if self.read is None else self.read(given, what=what)
        if not given and not self.default and self.read is not None:
            return self.absent
        text = given[-1] if given else self.default
        if self.choices and text:
            one_of(text, what=what, allowed=self.choices)
        if self.read is not None:
            return self.read(text, what=what)
        return yes(text, what=what) if self.kind == "flag" else text


@dataclass(frozen=True)
class Words:
    """The words of a line that belong to no option."""

    field: str = ""
    """Where the request keeps them: a tuple, or one word if there can be one only."""
    completes: str = ""
    """What each of them names."""
    least: int = 0
    most: int | None = None
    ask: str = ""
    """What is asked if there are too few. Of too many the first is named."""
    hint: str = ""

    def value(self, given: Sequence[str], *, usage: str) -> dict[str, object]:
        """The value of the request's field for these words; raises UsageError."""
        if self.most is not None and len(given) > self.most:
            raise UsageError(f"unexpected argument {given[self.most]!r}", hint=self.hint or usage)
        if len(given) < self.least:
            raise UsageError(self.ask, hint=self.hint or usage)
        if not self.field:
            return {}
        return {self.field: "".join(given[:1]) if self.most == 1 else tuple(given)}


@dataclass(frozen=True)
class Command:
    """One command: what its line holds, and what makes a request of it."""

    usage: str
    about: str
    make: Callable[..., Any]
    """The request, from the fields that words and options name; raises UsageError if they do not go together."""
    options: tuple[Option, ...] = ()
    words: Words = Words(most=0)
    examples: tuple[str, ...] = ()
    tail: bool = False
    """True if `--` and a user's command may follow: `make` is given it as `tail`, None if there is no `--`."""
    named: bool = False
    """True if its own words come first, so that the user's command stands behind `--` alone."""
    parted: Callable[[Sequence[str]], tuple[list[str], tuple[str, ...]]] | None = None
    """Parts the words before `--` into leaseq's and those of another program, with which the tail then begins."""
    quick: bool = False
    """True if the command is so short that the import of Fire would be felt: its line is bound without Fire."""

    @property
    def any_word_begins_tail(self) -> bool:
        """True if the user's command may begin without `--`, with any word that is no option."""
        return self.tail and self.parted is None and not self.named
