"""What the mock uses of dataclasses. To import those of the standard library, and to make classes by them, takes a
third of the time of a command; what is here has the same meaning.
"""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False


class _Field:
    """An attribute whose default is made for each value."""

    def __init__(self, *, default_factory: Callable[[], object]) -> None:
        self.make = default_factory


def _dataclass(cls: type | None = None, /, *, frozen: bool = False, kw_only: bool = False) -> object:
    """The class has an `__init__` of its annotated attributes, and is compared and shown by them.

    frozen: it has a hash, and nobody changes it. kw_only: they are given by name.
    """

    def made(cls: Any) -> Any:
        names = tuple(cls.__annotations__)
        known, places = frozenset(names), () if kw_only else names
        defaults = {name: vars(cls)[name] for name in names if name in vars(cls)}

        def init(self: object, *args: object, **given: object) -> None:
            if len(args) > len(places) or not given.keys() <= known:
                raise TypeError(f"{cls.__name__} has no {len(args)} places, or not all of {sorted(given)}")
            given.update(zip(places, args, strict=False))
            for name in names:
                if name not in given and name not in defaults:
                    raise TypeError(f"{cls.__name__} lacks {name}")
                value = given[name] if name in given else defaults[name]
                self.__dict__[name] = value.make() if isinstance(value, _Field) else value

        cls.__init__, cls.__eq__, cls.__repr__ = init, _equal, _shown
        cls.__hash__ = _hash if frozen else None
        cls.__is_value__ = True
        return cls

    return made if cls is None else made(cls)


def _replace(value: object, **changes: object) -> object:
    """A value like that one but for the changes."""
    return type(value)(**{**vars(value), **changes})


def is_value(thing: object) -> bool:
    """True for what a class made here is a class of."""
    return hasattr(type(thing), "__is_value__")


def _equal(self: object, other: object) -> bool:
    return vars(self) == vars(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(tuple(vars(self).values()))


def _shown(self: object) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
    from typing import Any
else:
    dataclass, field, replace = _dataclass, _Field, _replace
