"""What a seed counts has happened there: a fault that met nobody, or changed nothing, is not among it."""

from __future__ import annotations

from collections import Counter

from tests.simulation.plan import (
    API,
    EVERYTHING,
    KINDS,
    OF_SHARDS,
    PROCESS_FAULTS,
    RELEASED,
    RUNNERS,
    SHARES_CHANGED,
    YIELDS_SWITCHED,
    Fault,
    Plan,
)
from tests.simulation.world import simulate

from penstock_backbone.inventory import RELAY
from penstock_backbone.records.limits import FLEET, tenant_scope

COUNTED = (*KINDS, *OF_SHARDS, RELEASED, YIELDS_SWITCHED, SHARES_CHANGED, "dispatches late")


def met(*faults: Fault, runs: int = 0) -> Counter[str]:
    plan = Plan(
        seed=1, runs=runs, shuffled=False, latency=0.01, fleet=2, rates={}, faults=faults, submit_seconds=0.5,
        fault_seconds=20.0,
    )  # fmt: skip
    result = simulate(plan)
    assert result.violation is None
    return Counter({kind: count for kind, count in result.sightings.counts.items() if kind in COUNTED})


def test_what_befalls_a_dead_process_has_not_happened() -> None:
    killed = Fault(1.0, "killed", RUNNERS[0], "", 15.0)
    later = [Fault(2.0 + place, kind, RUNNERS[0], "", 3.0, 1) for place, kind in enumerate(PROCESS_FAULTS)]
    assert met(killed, *later) == {"killed": 1}


def test_what_is_so_already_has_not_happened() -> None:
    clocks = [
        Fault(at, kind, RUNNERS[0], "", 3.0, 1) for at in (1.0, 2.0) for kind in ("clock drifts", "wall clock jumps")
    ]
    freezes = [Fault(1.0, "frozen", RUNNERS[1], "", seconds) for seconds in (5.0, 3.0)]
    limits = [Fault(at, "limit changed", FLEET, "", 0.0, 2) for at in (1.0, 2.0)]
    shares = [Fault(at, SHARES_CHANGED, tenant_scope("acme"), "", 0.0, 1) for at in (1.0, 2.0)]
    assert met(*clocks, *freezes, *limits, *shares) == {
        "clock drifts": 1, "wall clock jumps": 1, "frozen": 1, SHARES_CHANGED: 1,
    }  # fmt: skip


def test_a_spell_that_meets_nobody_has_not_happened() -> None:
    """Nobody calls the API, nothing is granted, and of the two outages of everything nobody notices the first."""
    spells = [
        Fault(1.0, "outage", API, "", 5.0),
        Fault(1.0, "dispatches lost", EVERYTHING, "", 5.0),
        Fault(8.0, "dispatches late", EVERYTHING, "", 5.0),
        Fault(2.0, "outage of everything", EVERYTHING, "", 0.0),
        Fault(3.0, "outage of everything", EVERYTHING, "", 4.0),
    ]
    assert met(*spells) == {"outage of everything": 1}


def test_a_stream_that_has_nothing_to_repeat_repeats_nothing() -> None:
    assert met(Fault(5.0, "records again", RELAY)) == {}
