"""Intel's data centre GPUs, as xpu-smi tells of them: which cards there are, and what they do.

Level Zero numbers the tiles of all cards, or the cards if ZE_FLAT_DEVICE_HIERARCHY is COMPOSITE (oneAPI GPU
Optimization Guide, Exposing the Device Hierarchy), and xpu-smi the cards. If a card has one tile, both are the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from leaseq.heartbeat import GpuUse
from leaseq.node import driver

METRICS = "0,1,3,18"
"""Use in percent, power in watts, temperature in degrees, memory used in MiB (xpu-smi dump --help)."""
_ONCE = (("-n", "1"), ("--number", "1"))
"""How `xpu-smi dump` is told to end after one row for each card: version 1, version 2."""


class Card(NamedTuple):
    """What is known of one card."""

    number: str
    name: str
    mem_total_mb: float | None
    tiles: int


def cards(seconds_max: float) -> tuple[list[Card], str]:
    """(the cards that xpu-smi numbers, what it says beside, never empty if it lists none); both empty without it.

    It lists none, too, if it does not tell of one of them: how many tiles that has is not known then.
    """
    out, words = driver.ask("xpu-smi", "discovery", "--dump", "1", seconds_max=seconds_max)
    found = []
    for number in [line.strip() for line in out.splitlines() if line.strip().isdigit()]:
        said, trouble = driver.ask("xpu-smi", "discovery", "-d", number, seconds_max=seconds_max)
        if not said.strip():
            return [], trouble
        found.append(_card(number, said))
    return found, words


def _card(number: str, said: str) -> Card:
    name = re.search(r"Device Name: *([^|\n]+)", said)
    memory = re.search(r"Memory Physical Size: *([0-9.]+) MiB", said)
    tiles = re.search(r"Number of Tiles: *([0-9]+)", said)
    total = driver.number_of(memory[1]) if memory else None
    return Card(number, name[1].strip() if name else "", total, int(tiles[1]) if tiles else 1)


def devices(found: Sequence[Card]) -> tuple[str, ...]:
    """The numbers that Level Zero gives what the cards have."""
    if _cards_are_devices(found):
        return tuple(card.number for card in found)
    return tuple(map(str, range(sum(card.tiles for card in found))))


def _cards_are_devices(found: Sequence[Card]) -> bool:
    composite = os.environ.get("ZE_FLAT_DEVICE_HIERARCHY", "").upper() == "COMPOSITE"
    return composite or all(card.tiles == 1 for card in found)


class Meter:
    """What the cards do now."""

    def __init__(self) -> None:
        self._cards: list[Card] = []
        self._once = list(_ONCE)

    def measure(self, seconds_max: float) -> tuple[GpuUse, ...]:
        """Each card, by its number; none if Level Zero's numbers mean tiles. Raises ValueError with xpu-smi's words."""
        if not self._cards:
            self._cards, words = cards(seconds_max)
            if not self._cards:
                raise _told(words)
        if not _cards_are_devices(self._cards):
            return ()
        for once in self._once:
            out, words = driver.ask("xpu-smi", "dump", "-d", "-1", "--metrics", METRICS, *once, seconds_max=seconds_max)
            if found := parse(out, self._cards):
                self._once = [once]
                return found
        raise _told(words)


def _told(words: str) -> ValueError:
    return ValueError(words.removeprefix("xpu-smi: ") or "it lists no GPU")


def parse(text: str, known: Sequence[Card]) -> tuple[GpuUse, ...]:
    """The rows of `xpu-smi dump`: time, card, METRICS. Other lines are passed over; what is no number is None."""
    rows = []
    by_number = {card.number: card for card in known}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 2 + len(METRICS.split(",")) or cells[1] not in by_number:
            continue
        card = by_number[cells[1]]
        use, power, heat, used = map(driver.number_of, cells[2:])
        rows.append(GpuUse(card.number, "", card.name, use, used, card.mem_total_mb, heat, power))
    return tuple(rows)
