"""When a run may start: estimates that are about right, and none where they would not be."""

from __future__ import annotations

import heapq
import random  # noqa: TID251  # the tests throw their own dice, always from a seed
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest

from penstock_api.domain.admission import Standing, admission_view, scopes_of
from penstock_api.domain.estimate import Estimate, time_until_drained, time_until_freed
from penstock_api.domain.views import AdmissionView
from penstock_backbone.records.limits import FLEET, tenant_scope, workflow_scope
from penstock_backbone.records.runs import QUEUED, RunItem
from penstock_backbone.vocabulary import Item

MEASURED = [50_000, 55_000, 60_000, 65_000, 70_000]
OTHERS = "Other tenants that hold no slot"
LOWERED = "since it was lowered"

Spans: TypeAlias = Callable[[random.Random], float]
"""Throws the length of one run, in ms."""
Estimator: TypeAlias = Callable[[int, int, Sequence[int]], Estimate]
Play: TypeAlias = Callable[[random.Random, Spans, int, int], float]


def said(
    place: int = 1,
    *,
    own: int,
    fleet: int,
    limit: int,
    tenant: int | None = None,
    hungry: int = 0,
    passed_over: int = 0,
) -> AdmissionView:
    """Of a run at that place of nine, where so many slots are held; `limit` is the fleet's."""
    run: RunItem = {"pk": "run_1", "tenant": "a", "workflow": "w", "state": QUEUED, "fence": 0, "priority": 3}  # type: ignore[typeddict-item]  # as far as it is looked at
    places = [f"run_{number}" for number in range(9, 0, -1)]
    places.insert(place - 1, places.pop())
    limits: dict[str, Item | None] = {
        FLEET: {"limit": limit},
        tenant_scope("a"): None if tenant is None else {"limit": tenant},
    }
    uses: dict[str, Item | None] = {
        FLEET: {"held": fleet, "hungry": hungry},
        tenant_scope("a"): {"held": own, "waiting": 9, "places": places, "passed_over": passed_over},
        workflow_scope("w"): {"held": own, "durations": MEASURED},
    }
    return admission_view(run, Standing({scope: limits.get(scope) for scope in scopes_of(run)}, uses))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (said(own=5, fleet=5, limit=5), time_until_freed(1, 5, MEASURED)),
        (said(3, own=5, fleet=5, limit=5), time_until_freed(3, 5, MEASURED)),
        (said(own=0, fleet=5, limit=5, hungry=1), time_until_freed(1, 5, MEASURED)),
        (said(own=5, fleet=5, limit=9, tenant=5, hungry=2), time_until_freed(1, 5, MEASURED)),
        (said(own=20, fleet=20, limit=2), time_until_drained(19, 20, MEASURED)),
        (said(2, own=20, fleet=20, limit=2), time_until_drained(20, 20, MEASURED)),
        (said(own=0, fleet=20, limit=2, hungry=1), time_until_drained(19, 20, MEASURED)),
        (said(own=20, fleet=40, limit=90, tenant=2), time_until_drained(19, 20, MEASURED)),
        (said(own=20, fleet=20, limit=20, tenant=2), time_until_drained(19, 20, MEASURED)),
    ],
)
def test_a_start_is_estimated_where_it_can_be(view: AdmissionView, expected: Estimate) -> None:
    assert view.start is not None, view.start_unknown
    assert Estimate(view.start.p50_ms, view.start.p90_ms) == expected


@pytest.mark.parametrize(
    ("view", "because"),
    [
        (said(own=5, fleet=5, limit=5, hungry=1), OTHERS),
        (said(own=0, fleet=5, limit=5, hungry=2), OTHERS),
        (said(2, own=0, fleet=5, limit=5, hungry=1), "Nothing of this tenant runs yet"),
        (said(3, own=20, fleet=20, limit=2), LOWERED),
        (said(own=1, fleet=20, limit=2), LOWERED),
        (said(own=20, fleet=40, limit=40, tenant=2), LOWERED),
        (said(3, own=20, fleet=20, limit=90, tenant=2), LOWERED),
        (said(2, own=5, fleet=5, limit=5, passed_over=1), "passed over"),
    ],
)
def test_where_it_would_be_wrong_it_says_why_there_is_none(view: AdmissionView, because: str) -> None:
    assert view.start is None
    assert because in str(view.start_unknown)


def test_who_is_passed_over_does_not_stand_before_the_first() -> None:
    assert said(1, own=5, fleet=5, limit=5, passed_over=8).start is not None


# --- calibration -----------------------------------------------------------------------------------------------


def freed_after(chance: random.Random, draw_one: Spans, count: int, slots: int) -> float:
    """Plays it: slots in the middle of their work, each refilled at once."""
    ends = []
    for _ in range(slots):
        at = -60_000 * (40 + chance.random())
        while at <= 0:
            at += draw_one(chance)
        ends.append(at)
    heapq.heapify(ends)
    for _ in range(count - 1):
        heapq.heapreplace(ends, ends[0] + draw_one(chance))
    return ends[0]


def drained(chance: random.Random, draw_one: Spans, count: int, slots: int) -> float:
    """Nobody fills the slots again."""
    return sorted(freed_after(chance, draw_one, 1, 1) for _ in range(slots))[count - 1]


REFILLED = ((1, 1), (1, 5), (3, 5), (5, 5), (10, 2), (20, 5), (200, 20))
DRAINED = ((1, 1), (1, 5), (3, 5), (5, 5), (2, 20), (10, 20), (19, 20))


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    ("estimated", "play", "cases"),
    [(time_until_freed, freed_after, REFILLED), (time_until_drained, drained, DRAINED)],
    ids=["slots that are filled again", "slots that drain"],
)
def test_estimates_are_calibrated(
    estimated: Estimator, play: Play, cases: Sequence[tuple[int, int]], spread: float
) -> None:
    """Of many played waits, about half start within p50 and nine in ten within p90, at every place and width."""

    def draw_one(chance: random.Random) -> float:
        return chance.lognormvariate(0, spread) * 60_000

    chance = random.Random(11)
    within_50 = within_90 = plays = 0
    for count, slots in cases:
        for _ in range(60):
            estimate = estimated(count, slots, [round(draw_one(chance)) for _ in range(100)])
            for _ in range(3):
                wait = play(chance, draw_one, count, slots)
                within_50 += wait <= estimate.p50_ms
                within_90 += wait <= estimate.p90_ms
                plays += 1
    print(f"spread {spread}: {within_50 / plays:.0%} within p50, {within_90 / plays:.0%} within p90")  # noqa: T201  # the figure
    assert 0.42 <= within_50 / plays <= 0.58
    assert 0.83 <= within_90 / plays <= 0.95
