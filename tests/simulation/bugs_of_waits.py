"""Bugs in how runs rest, return and yield."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.simulation.patches import Patches, without_condition

from penstock_backbone.records import verbs
from penstock_backbone.records.limits import LIMIT_MAX
from penstock_backbone.records.runs import QUEUED, RESTING
from penstock_backbone.records.tokens import head_key
from penstock_backbone.vocabulary import Check, Exists
from penstock_orchestrator.domain import yielding
from penstock_orchestrator.domain.verdicts import Ended, Executing, judge
from penstock_orchestrator.handlers import admission, alarm, enqueue, shard, sweep, yields
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
    """And when it returns as well: a slot that is only freed late is missed by nobody."""

    def judged(fence: int, run: Any) -> Any:
        verdict = judge(fence, run)
        keeps = isinstance(verdict, Ended) and run is not None and (run.get("state") in RESTING or "returning" in run)
        return Executing(run.get("session", "")) if keeps else verdict

    for module in (admission, sweep):
        patches.put(module, "judge", judged)


def answer_forgets_earlier_ones(patches: Patches) -> None:
    real = patches.put(verbs, "answer", None)

    def replaced(run: Any, **named: Any) -> Any:
        return real({**run, "answers": {}}, **named)

    patches.change(verbs, "answer", replaced)


def woken_without_a_condition(patches: Patches) -> None:
    without_condition(patches, alarm, "wake")


def yields_to_who_holds_slots(patches: Patches) -> None:
    """Whatever the tenant holds counts as less than it is owed, where it is asked who waits for a slot."""
    asking: list[bool] = []
    owed = patches.put(yielding, "_owed", None)
    patches.change(yielding, "_owed", lambda limits, tenant: LIMIT_MAX if asking else owed(limits, tenant))
    real = yielding.hungry

    def hungry(gates: Any, limits: Any) -> list[str]:
        asking.append(True)
        try:
            return real(gates, limits)
        finally:
            asking.pop()

    for module in (yielding, yields):
        patches.put(module, "hungry", hungry)


def last_slot_is_yielded(patches: Patches) -> None:
    patches.put(yielding, "_donors", lambda _limits, kept: sorted(kept))


def ask_on_an_old_view(patches: Patches) -> None:
    patches.put(shard, "head_stands", lambda number, **_: Check(head_key(number), Exists("pk")))


def yielding_counts_an_attempt(patches: Patches) -> None:
    real = patches.put(journal, "end_run", None)

    def counted(run: Any, **named: Any) -> Any:
        return real(run, **named | ({"attempt": None} if named["state"] == QUEUED else {}))

    patches.change(journal, "end_run", counted)
