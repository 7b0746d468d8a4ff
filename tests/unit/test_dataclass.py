"""leaseq.dataclass against the standard library's dataclasses: the same class, made by each, does the same."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

import leaseq
from leaseq import dataclass as ours


def examples(by: ModuleType) -> SimpleNamespace:
    """The same classes, made by the one or the other."""

    @by.dataclass(frozen=True)
    class Point:
        KNOWN: ClassVar[int] = 3
        x: int
        y: int = 2
        tags: Mapping[str, str] = by.field(default_factory=dict, compare=False)

        @cached_property
        def far(self) -> int:
            return self.x * self.y

    @by.dataclass(frozen=True)
    class Point3(Point):
        y: int = 5
        z: float = by.field(default=1.5, metadata={"unit": "m"})

    @by.dataclass(frozen=True, kw_only=True)
    class Look:
        json: bool = False
        color: str

        def __post_init__(self) -> None:
            if self.color == "none":
                raise ValueError(self.color)

    @by.dataclass(frozen=True)
    class Words(Look):
        words: tuple[str, ...]

    @by.dataclass
    class Count:
        seen: int = 0
        names: list[str] = by.field(default_factory=list)

    @by.dataclass(frozen=True)
    class Empty:
        pass

    @by.dataclass(frozen=True)
    class Loud:
        text: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loud) and self.text.lower() == other.text.lower()

        def __hash__(self) -> int:
            return hash(self.text.lower())

        def __repr__(self) -> str:
            return self.text.upper()

    @by.dataclass(frozen=True)
    class OnlyEqual:
        text: str

        def __eq__(self, other: object) -> bool:
            return True

    @by.dataclass(eq=False)
    class Itself:
        seen: int = 0

    class Plain(Point):
        """Not decorated itself."""

    every = (Point, Point3, Look, Words, Count, Empty, Loud, OnlyEqual, Itself, Plain)
    return SimpleNamespace(**{each.__name__: each for each in every}, by=by)


def assign(value: Any, name: str) -> None:
    setattr(value, name, 7)


def counted(e: SimpleNamespace) -> Any:
    value = e.Count()
    value.seen += 1
    value.names.append("a")
    return value, e.Count()


def far(e: SimpleNamespace) -> Any:
    value = e.Point(3)
    return value.far, value.far, value == e.Point(3), repr(value), value.__dict__["far"]


DEEDS: list[Callable[[SimpleNamespace], Any]] = [
    lambda e: e.Point(1),
    lambda e: e.Point(1, tags={"a": "b"}),
    lambda e: e.Point(x=1, y=3),
    lambda e: e.Point(),
    lambda e: e.Point(1, 2, {}, 4),
    lambda e: e.Point(1, x=1),
    lambda e: e.Point(1, q=1),
    lambda e: e.Point(1).tags is e.Point(1).tags,
    lambda e: e.Point(1) == e.Point(1, 2, {"not": "compared"}),
    lambda e: e.Point(1) == e.Point(2),
    lambda e: e.Point(1) == e.Point3(1),
    lambda e: e.Point(1) == (1, 2),
    lambda e: e.Point(1) == e.Plain(1),
    lambda e: (e.Plain(1), e.Plain(1) == e.Plain(1), len({e.Plain(1), e.Plain(1)})),
    lambda e: len({e.Point(1), e.Point(1), e.Point(2)}),
    lambda e: (e.Point.y, e.Point.KNOWN, hasattr(e.Point, "x"), hasattr(e.Point, "tags"), e.Point3.z),
    lambda e: assign(e.Point(1), "x"),
    lambda e: assign(e.Point(1), "other"),
    lambda e: delattr(e.Point(1), "x"),
    lambda e: (e.Point3(1), e.Point3(1, 2, {}, 3.0), e.Point3(1).far),
    lambda e: e.Point3(1) == e.Point3(1, 5),
    lambda e: e.Look(color="red"),
    lambda e: e.Look("red"),
    lambda e: e.Look(),
    lambda e: e.Look(color="none"),
    lambda e: e.Words(("a",), color="red"),
    lambda e: e.Words(color="red"),
    lambda e: (e.Empty(), e.Empty() == e.Empty(), len({e.Empty(), e.Empty()}), e.Empty(1)),
    lambda e: (e.Empty(), e.Empty() == e.Empty(), len({e.Empty(), e.Empty()})),
    lambda e: (e.Loud("a"), e.Loud("a") == e.Loud("A"), len({e.Loud("a"), e.Loud("A")})),
    lambda e: e.OnlyEqual("a") == e.OnlyEqual("b"),
    lambda e: hash(e.OnlyEqual("a")) == hash(e.OnlyEqual("a")),
    lambda e: hash(e.Count()),
    lambda e: e.Count(1) == e.Count(1, []),
    lambda e: (e.Itself(1), e.Itself(1) == e.Itself(1), len({e.Itself(1), e.Itself(1)})),
    counted,
    far,
    lambda e: (e.by.replace(e.Point(1), y=4), e.by.replace(e.Point3(1, tags={"a": "b"}), z=2.5)),
    lambda e: e.by.replace(e.Point(1), q=4),
    lambda e: e.by.replace(e.Look(color="red"), color="none"),
    lambda e: e.by.replace(e.Words(("a",), color="red"), json=True),
    lambda e: [(each.name, each.metadata.get("unit")) for each in e.by.fields(e.Point3)],
    lambda e: [each.name for each in e.by.fields(e.Words(("a",), color="red"))],
    lambda e: [(each.default is e.by.MISSING, each.default_factory is e.by.MISSING) for each in e.by.fields(e.Point3)],
    lambda e: copy.copy(e.Point3(1, 2)),
    lambda e: copy.deepcopy(e.Point(1, tags={"a": "b"})).tags,
    lambda e: vars(e.Point3(1)),
    lambda e: e.by.dataclass(type("Shared", (), {"__annotations__": {"names": "list[str]"}, "names": []})),
]


def outcome(deed: Callable[[SimpleNamespace], Any], by: ModuleType, *, before: int = 0) -> str:
    """What the deed gives, once so many values of each class have been made."""
    made = examples(by)
    for _ in range(before):
        made.Point(1), made.Point3(1), made.Look(color="red"), made.Words((), color="red"), made.Count()
        made.Empty(), made.Loud(""), made.OnlyEqual(""), made.Itself(), made.Plain(1)
    try:
        return repr(deed(made))
    except (TypeError, ValueError, AttributeError) as error:
        words = str(error).split(":")[0] if isinstance(error, ValueError) and "Shared" in str(error) else str(error)
        kind = next(kind for kind in (TypeError, ValueError, AttributeError) if isinstance(error, kind))
        return f"{kind.__name__}: {'refused' if words != str(error) or 'mutable default' in words else words}"


@pytest.mark.parametrize("before", [0, 40], ids=["few", "many"])
@pytest.mark.parametrize("at", range(len(DEEDS)))
def test_a_class_made_by_either_does_the_same(at: int, before: int) -> None:
    assert ours.FEW < 40
    assert outcome(DEEDS[at], ours, before=before) == outcome(DEEDS[at], dataclasses)


def test_the_examples_tell_a_difference() -> None:
    told = {outcome(deed, ours) for deed in DEEDS}
    assert len(told) > 30
    assert sum(each.startswith(("TypeError", "ValueError", "AttributeError")) for each in told) > 8


@ours.dataclass(frozen=True)
class Kept:
    """A value that can be found by name, for pickle."""

    name: str
    of: tuple[int, ...] = ()


def test_a_value_is_the_same_after_pickle() -> None:
    assert pickle.loads(pickle.dumps(Kept("a", (1, 2)))) == Kept("a", (1, 2))


def every_class() -> Iterator[type]:
    for module in pkgutil.walk_packages(leaseq.__path__, "leaseq."):
        if not module.name.endswith(("__main__", "api.submitit", "api.joblib")):  # those need them
            found = vars(importlib.import_module(module.name)).values()
            yield from (
                each
                for each in found
                if "__fields__" in getattr(each, "__dict__", {}) and each.__module__ == module.name
            )


def test_every_class_of_leaseq_has_an_initializer_that_compiles() -> None:
    """A mistake that the standard library would find where the class is made: at its first value is too late."""
    classes = list(every_class())
    assert len(classes) > 100
    for each in classes:
        frozen = each.__hash__ is not None
        ours._initializer(each, frozen=frozen)
        kept = getattr(each, "__init__")  # noqa: B009
        assert kept.__name__ in ("first", "__init__")


def test_leaseq_does_without_the_standard_librarys() -> None:
    code = (
        "import sys, leaseq.models, leaseq.runner.main; print('dataclasses' in sys.modules, 'inspect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
