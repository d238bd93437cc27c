"""Bugs in how runs rest and return."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.simulation.patches import Patches, without_condition

from penstock_backbone.records import verbs
from penstock_backbone.records.runs import RESTING
from penstock_orchestrator.domain import verdicts
from penstock_orchestrator.handlers import alarm, enqueue
from penstock_runner.handlers import journal


def returned_under_the_old_fence(patches: Patches) -> None:
    real = patches.put(verbs, "_return", None)

    def unfenced(run: Any, *given: Any, **named: Any) -> Any:
        write = real(run, *given, **named)
        return msgspec.structs.replace(write, set=write.set | {"fence": run["fence"]})

    patches.change(verbs, "_return", unfenced)


def returned_beside_the_old_token(patches: Patches) -> None:
    without_condition(patches, enqueue, "return_token")


def timers_never_ring(patches: Patches) -> None:
    async def nothing(_self: Any) -> set[str]:
        return set()

    patches.put(alarm.Alarm, "ring", nothing)


def rest_without_a_timer(patches: Patches) -> None:
    real = patches.put(journal.Journal, "_try", None)

    async def untimed(self: Any, update: Any, _due: Any) -> Any:
        return await real(self, update, None)

    patches.change(journal.Journal, "_try", untimed)


def answer_overlooked_by_who_goes_to_rest(patches: Patches) -> None:
    real = patches.put(journal.Journal, "_follow", None)

    def follow(self: Any, item: Any, state: Any) -> None:
        real(self, item, None if state in RESTING else state)

    patches.change(journal.Journal, "_follow", follow)


def rest_keeps_the_slot(patches: Patches) -> None:
    real = patches.put(verdicts, "NEEDS_NO_SLOT", None)
    patches.change(verdicts, "NEEDS_NO_SLOT", real - RESTING)


def answer_forgets_earlier_ones(patches: Patches) -> None:
    real = patches.put(verbs, "answer", None)

    def replaced(run: Any, **named: Any) -> Any:
        return real({**run, "answers": {}}, **named)

    patches.change(verbs, "answer", replaced)


def woken_without_a_condition(patches: Patches) -> None:
    without_condition(patches, alarm, "wake")
