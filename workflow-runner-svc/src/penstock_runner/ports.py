"""What the runner needs from the world, in one parameter."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_backbone.ports import Blobs, Chance, Clock, Ids, Queues, Tables
from penstock_backbone.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class World:
    """Each part is a port of the backbone; bootstrap.py fills in the real ones, tests and simulations theirs."""

    tables: Tables
    queues: Queues
    blobs: Blobs
    clock: Clock
    ids: Ids
    chance: Chance
    telemetry: Telemetry
