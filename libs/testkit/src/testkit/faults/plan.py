"""What is to happen at which failpoint of a test service, and how often each was reached."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from aiokafka.errors import KafkaError

from servicekit.errors import TransientError
from servicekit.failpoint import FailPoint

Action = Literal["kill", "stop", "raise", "delay"]
PLACES: tuple[str, ...] = get_args(FailPoint)
"""Every failpoint that the kernel has."""


@dataclass(frozen=True, slots=True)
class Order:
    """Do this at the nth time from now that the place is reached, once."""

    place: str
    nth: int
    action: Action
    seconds: float = 0.0


class Plan:
    """The orders of one process; its file says which were carried out, whatever became of it."""

    def __init__(self, notes: Path) -> None:
        """Nothing is ordered yet."""
        self.counts: Counter[str] = Counter()
        self._notes = notes
        self._orders: list[tuple[Order, int]] = []

    def add(self, order: Order) -> None:
        """Carry this out when its place has been reached so often from now on."""
        self._orders.append((order, self.counts[order.place] + order.nth))

    def clear(self) -> None:
        """Forget what was not carried out."""
        self._orders.clear()

    async def reach(self, place: FailPoint) -> None:
        """Pass a place, or not: the kernel's hook."""
        self.counts[place] += 1
        for entry in [e for e in self._orders if e[0].place == place]:
            order, at = entry
            if self.counts[place] >= at:
                self._orders.remove(entry)
                await self._carry_out(order)

    async def _carry_out(self, order: Order) -> None:
        with self._notes.open("a") as notes:
            notes.write(f"{order.place} {order.action}\n")
        match order.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "delay":
                await asyncio.sleep(order.seconds)
            case "raise":
                raise _error(order.place)


def carried_out(notes: Path) -> list[tuple[str, str]]:
    """Return place and action of each order that was carried out."""
    if not notes.exists():
        return []
    lines = notes.read_text().splitlines()
    return [(place, action) for place, action in (line.split() for line in lines)]


def _error(place: str) -> Exception:
    """Return what might well be raised there."""
    if place.startswith("offsets."):
        refused: Exception = KafkaError("on purpose")
        return refused
    return TransientError("on purpose")
