"""Tells the stream consumers of this process that one of their tables was just written here.

A hint that saves a poll's pause; what other processes write is found by polling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock_backbone.inventory import Inventory
from penstock_backbone.local.waiting import Bell


@dataclass(slots=True)
class Wakeup:
    """`count` grows with each write, so that one between a poll and the wait after it is not missed."""

    bell: Bell = field(default_factory=Bell)
    count: int = 0

    def ring(self) -> None:
        self.count += 1
        self.bell.ring()


class Wakeups:
    def __init__(self, inventory: Inventory) -> None:
        self.by_consumer = {consumer.name: Wakeup() for consumer in inventory.consumers}
        self._by_table = {
            table.name: [self.by_consumer[each.name] for each in inventory.consumers if table.name in each.tables]
            for table in inventory.tables
        }

    def committed(self, tables: Iterable[str]) -> None:
        for table in tables:
            for wakeup in self._by_table[table]:
                wakeup.ring()
