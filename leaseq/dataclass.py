"""What leaseq uses of the standard library's dataclasses, with the same meaning, in classes that cost nothing to make.

The standard ones write and compile the methods of each class when it is made: a third of the time in which a command
starts, for classes of which it makes few values or none. Here `__init__` is compiled for a class of many values, and
the other methods are the same for all. Made as late as their first value, the standard ones still had `status` and
`tasks` take 1.04 and 1.08 times the processor time of `import fire`, for which these take 0.71 and 0.70 (the bar: 0.8).
Type checkers are shown the standard library's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")
_MISSING: Any = object()
"""No default."""
FEW = 32
"""Compiling an `__init__` takes as long as so many values do without."""


class _Field:
    """What is known of one attribute of a class."""

    def __init__(
        self,
        *,
        default: Any = _MISSING,
        default_factory: Callable[[], Any] = _MISSING,
        metadata: Mapping[str, Any] | None = None,
        compare: bool = True,
    ) -> None:
        self.name, self.kw_only = "", False
        self.default, self.default_factory = default, default_factory
        self.metadata = metadata or {}
        self.compare = compare

    def __class_getitem__(cls, item: object) -> type:
        """As an annotation it may say the type of its default."""
        return cls


def _dataclass(cls: type | None = None, /, *, eq: bool = True, frozen: bool = False, kw_only: bool = False) -> Any:
    """The class has an `__init__` of its annotated attributes, and is compared and shown by them.

    eq: if not, each value equals itself alone. frozen: nothing is assigned, and a value that is compared has a hash.
    kw_only: they are given by name.
    """

    def made(cls: type) -> type:
        found: dict[str, _Field] = {}
        for base in reversed(cls.__mro__[1:]):
            found.update(base.__dict__.get("__fields__", {}))
        for name, annotation in cls.__annotations__.items():
            if "ClassVar" not in annotation.partition("[")[0]:
                found[name] = _own(cls, name, kw_only=kw_only)
        _equip(cls, found, eq=eq, frozen=frozen)
        return cls

    return made if cls is None else made(cls)


def _own(cls: type, name: str, *, kw_only: bool) -> _Field:
    """The field of that name, as the class says it; the class's attribute is its default, as a person expects."""
    said = cls.__dict__.get(name, _MISSING)
    each = said if isinstance(said, _Field) else _Field(default=said)
    each.name, each.kw_only = name, kw_only
    if each.default is not _MISSING:
        if type(each.default).__hash__ is None:
            raise ValueError(f"{cls.__name__}.{name}: a default that can be changed would be shared")
        setattr(cls, name, each.default)
    elif said is not _MISSING:
        delattr(cls, name)
    return each


def _equip(cls: Any, known: dict[str, _Field], *, eq: bool, frozen: bool) -> None:
    made = 0

    def first(self: object, /, *args: Any, **options: Any) -> None:
        nonlocal made
        made += 1
        if made > FEW or not _filled(self, known, args, options):
            cls.__init__ = _initializer(cls, frozen=frozen)
            cls.__init__(self, *args, **options)

    own = cls.__dict__
    compared = [each.name for each in known.values() if each.compare]
    cls.__fields__ = known
    cls.__compared__ = attrgetter(*compared) if compared else type
    cls.__init__ = first
    if "__repr__" not in own:
        cls.__repr__ = _repr
    if frozen:
        cls.__setattr__, cls.__delattr__ = _refuse_set, _refuse_delete
    if not eq:
        return
    # A class that says itself what is equal, and not what is hashed, has None there.
    if own.get("__hash__") is None:
        cls.__hash__ = _hash if frozen else None
    if "__eq__" not in own:
        cls.__eq__ = _eq


def _filled(self: Any, known: dict[str, _Field], args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """True if the value has all of its attributes; False, and nothing is done, if these are not its arguments."""
    places = [name for name, each in known.items() if not each.kw_only]
    given = dict(zip(places, args, strict=False))
    if len(args) > len(places) or given.keys() & options.keys() or options.keys() - known.keys():
        return False
    given.update(options)
    for name, each in known.items():
        if name not in given:
            if each.default is _MISSING and each.default_factory is _MISSING:
                return False
            given[name] = each.default if each.default_factory is _MISSING else each.default_factory()
    for name in known:
        object.__setattr__(self, name, given[name])
    if hasattr(self, "__post_init__"):
        self.__post_init__()
    return True


def _initializer(cls: Any, *, frozen: bool) -> Callable[..., None]:
    """The class's `__init__`, compiled."""
    scope: dict[str, Any] = {"_set": object.__setattr__, "_missing": _MISSING}
    places, names, lines = ["self"], list[str](), list[str]()
    for name, each in cls.__fields__.items():
        place, value = name, name
        if each.default is not _MISSING:
            scope[f"_default_{name}"] = each.default
            place = f"{name}=_default_{name}"
        elif each.default_factory is not _MISSING:
            scope[f"_make_{name}"] = each.default_factory
            place, value = f"{name}=_missing", f"_make_{name}() if {name} is _missing else {name}"
        (names if each.kw_only else places).append(place)
        lines.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    given = ", ".join([*places, *(["*", *names] if names else [])])
    exec(f"def __init__({given}):\n " + "\n ".join(lines or ["pass"]), scope)
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _repr(self: Any) -> str:
    said = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__fields__)
    return f"{type(self).__qualname__}({said})"


def _eq(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    return self.__compared__(self) == other.__compared__(other)


def _hash(self: Any) -> int:
    return hash(self.__compared__(self))


def _refuse_set(self: object, name: str, value: object) -> None:
    raise AttributeError(f"cannot assign to field {name!r}")


def _refuse_delete(self: object, name: str) -> None:
    raise AttributeError(f"cannot delete field {name!r}")


def _field(**said: Any) -> Any:
    """An attribute of which more is said than its type and default."""
    return _Field(**said)


def _fields(value: Any) -> tuple[_Field, ...]:
    """The fields of a class or a value, in their order."""
    return tuple(value.__fields__.values())


def _replace(value: T, /, **changes: Any) -> T:
    """A value like that one but for the changes."""
    for name in value.__fields__:  # type: ignore[attr-defined]
        if name not in changes:
            changes[name] = getattr(value, name)
    return type(value)(**changes)


if TYPE_CHECKING:
    from dataclasses import MISSING as MISSING
    from dataclasses import Field as Field
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import replace as replace
else:
    MISSING, Field = _MISSING, _Field
    dataclass, field, fields, replace = _dataclass, _field, _fields, _replace
