"""What becomes of the logs of an array's indices, with one thing wrong each: replacements in `array_rules.Protocol`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.models import KEEP_FAILED, KEEP_PACKED
from leaseq.protocol import chunks, index_logs
from leaseq.protocol.facts import Attempts, Ended, Packed
from leaseq.protocol.index_logs import Pack
from leaseq.protocol.journal import Journal
from leaseq.protocol.tasks import Claim
from leaseq.world import Fs
from tests.crash.array_rules import Runner
from tests.mutants.array_mutants import Lazy


def drop_before_the_end_is_durable(
    runner: Runner, held: Claim, ended: Sequence[Ended], begun: Mapping[int, Attempts] | None
) -> None:
    packed = runner.pack.add(ended) if runner.p.kept == KEEP_PACKED else {}
    for each in packed.values():
        index_logs.drop_files(runner.fs, runner.world.lease, held, kept=runner.p.kept, ends=ended, packed=each)
    if runner.p.kept == KEEP_FAILED:
        index_logs.drop_files(runner.fs, runner.world.lease, held, kept=KEEP_FAILED, ends=ended)
    runner.journal.write(ended=ended, begun=begun, packed=packed)
    runner.pack.told()


def name_before_it_is_appended(
    runner: Runner, held: Claim, ended: Sequence[Ended], begun: Mapping[int, Attempts] | None
) -> None:
    """The journal says where the logs will be."""
    pack, postponed = runner.pack, _Postponed(runner.fs)
    pack.fs = postponed
    packed = pack.add(ended)
    runner.journal.write(ended=ended, begun=begun, packed=packed)
    pack.told()
    for path, data in postponed.appended:
        runner.fs.append(path, data)
        runner.fs.sync_dir(path.rpartition("/")[0])
    for each in packed.values():
        index_logs.drop_files(runner.fs, runner.world.lease, held, kept=KEEP_PACKED, ends=ended, packed=each)


class _Postponed:
    def __init__(self, fs: Fs) -> None:
        self._fs = fs
        self.appended: list[tuple[str, bytes]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def append(self, path: str, data: bytes) -> None:
        self.appended.append((path, data))

    def sync_dir(self, directory: str) -> None: ...


class PackThatForgetsItsHeaders(Pack):
    """Offsets as if a log began where its header does."""

    def add(self, ends: Sequence[Ended]) -> dict[int, list[Packed]]:
        def wrong(each: Packed) -> Packed:
            head = index_logs.header(each.index, each.attempt, each.stream, each.length)
            return replace(each, offset=each.offset - len(head)) if each.length else each

        return {chunk: [wrong(each) for each in logs] for chunk, logs in super().add(ends).items()}


class PackThatDoesNotSync(Pack):
    def _append(self, batch: Iterable[tuple[int, int, str, bytes]]) -> None:
        real, self.fs = self.fs, Lazy(self.fs)
        try:
            super()._append(batch)
        finally:
            self.fs = real


class PackWithoutAName(Pack):
    """Its own name is not durable when its logs are."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._named = True


class JournalThatNamesLogsLast(Journal):
    """An end may stand whose logs' places are torn off."""

    def write(self, *, packed: Mapping[int, Sequence[Packed]] | None = None, **what: Any) -> None:
        class Turned:
            def __getattr__(_, name: str) -> Any:
                return getattr(real, name)

            def append(_, path: str, data: bytes) -> None:
                lines: list[bytes] = data.splitlines(keepends=True)
                real.append(path, b"".join(sorted(lines, key=lambda line: bytes(line).startswith(b'["p"'))))

        real, self.fs = self.fs, Turned()
        try:
            super().write(packed=packed, **what)
        finally:
            self.fs = real


def drop_nothing(fs: Fs, lease: LeaseDir, held: Claim, **what: Any) -> None: ...


def drop_whoever_has_the_chunk(
    fs: Fs, lease: LeaseDir, held: Claim, *, kept: str, ends: Sequence[Ended], packed: Iterable[Packed] = ()
) -> None:
    """An owner that was overruled removes what its heirs take for LOST."""
    real = chunks.is_overruled
    try:
        chunks.is_overruled = lambda *whose: False
        index_logs.drop_files(fs, lease, held, kept=kept, ends=ends, packed=packed)
    finally:
        chunks.is_overruled = real


def drop_all(
    fs: Fs, lease: LeaseDir, held: Claim, *, kept: str, ends: Sequence[Ended], packed: Iterable[Packed] = ()
) -> None:
    """How they ended is not looked at."""
    for end in ends:
        for stream in index_logs.STREAMS:
            index_logs._remove(fs, lease, held.entry.id, [(end.index, end.attempt, stream)])


MUTANTS: dict[str, dict[str, Any]] = {
    "failed: removed before the end is durable": {"kept": KEEP_FAILED, "book": drop_before_the_end_is_durable},
    "failed: those of failures are removed, too": {"kept": KEEP_FAILED, "drop": drop_all},
    "failed: removed by who was overruled": {"kept": KEEP_FAILED, "drop": drop_whoever_has_the_chunk},
    "failed: an heir leaves what is left": {"kept": KEEP_FAILED, "tidy": drop_nothing},
    "packed: removed before the end is durable": {"kept": KEEP_PACKED, "book": drop_before_the_end_is_durable},
    "packed: named before it is appended": {"kept": KEEP_PACKED, "book": name_before_it_is_appended},
    "packed: a wrong offset": {"kept": KEEP_PACKED, "pack": PackThatForgetsItsHeaders},
    "packed: not synced": {"kept": KEEP_PACKED, "pack": PackThatDoesNotSync},
    "packed: its name is not synced": {"kept": KEEP_PACKED, "pack": PackWithoutAName},
    "packed: its place is named after the end": {"kept": KEEP_PACKED, "journal": JournalThatNamesLogsLast},
    "packed: twice, for the own file stays": {"kept": KEEP_PACKED, "drop": drop_nothing},
    "packed: removed by who was overruled": {"kept": KEEP_PACKED, "drop": drop_whoever_has_the_chunk},
    "packed: an heir leaves what is left": {"kept": KEEP_PACKED, "tidy": drop_nothing},
}
CAUGHT_BY: dict[str, str] = {
    "failed: removed by who was overruled": "meetings: work, lose",
    "packed: removed by who was overruled": "meetings: work, lose",
    "packed: not synced": "power_losses: work_one",
    "packed: its name is not synced": "power_losses: work_one",
}
"""What was seen to catch it, which is tried first."""
