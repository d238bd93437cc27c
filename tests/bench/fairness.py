"""What a tenant that floods the line does to the others, and how far apart backlogged tenants' shares ever are.

Played in virtual time on the orchestrator's own gate and decision, from a seed: the figures are the same on every machine.
"""

from __future__ import annotations

import heapq
import random  # noqa: TID251  # the benchmark throws its own dice, always from a seed
import statistics
import sys
from collections import Counter
from itertools import combinations

from penstock_backbone.records.limits import FLEET, shared_scopes
from penstock_backbone.records.tokens import GRANT, RELEASE, Operation, token_sort_key
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token

Figures = dict[str, float]

FLEET_LIMIT = 50
QUIET_TENANTS = 10
BUILD_SECONDS = 1_800.0
"""The mean; each build takes from half to one and a half of it."""
QUIET_LOAD = 0.6
"""Of the fleet: what the quiet tenants need together."""
HOURS = 24
FLOOD, MODEST = 100_000, 1_500
"""Runs that the loud tenant has waiting at the beginning: in both cases more than can be built in the time."""
WEIGHTS = {"a": 1, "b": 2, "c": 3, "d": 5, "e": 8, "f": 13, "g": 100}
SHARE_DECISIONS = 3_000


def sharing() -> Figures:
    """flood_median_wait_change_pct: of the others, when one tenant has 100,000 runs waiting instead of 1,500.

    share_apart_over_bound: between any two backlogged tenants of unlike weights, at every moment, the largest distance
    of what they hold for their weight over 1/w_i + 1/w_j; fair is up to 1.
    """
    modest, flooded = statistics.median(_quiet_waits(MODEST)), statistics.median(_quiet_waits(FLOOD))
    sys.stdout.write(
        f"median wait of quiet tenants: {modest:.1f} s beside {MODEST:,} runs, {flooded:.1f} s beside {FLOOD:,}\n"
    )
    return {
        "flood_median_wait_change_pct": abs(flooded / modest - 1) * 100,
        "share_apart_over_bound": _apart_over_bound(),
    }


def _quiet_waits(loud_runs: int) -> list[float]:
    """Seconds from acceptance to grant, of the quiet tenants' runs."""
    chance = random.Random(5)
    limits = Limits({FLEET: FLEET_LIMIT})
    gate = Gate(limits)
    for number in range(loud_runs):
        gate.wait(_token("loud", f"loud_{number:06d}", 0))
    ends: list[tuple[float, str]] = []
    waits: list[float] = []
    now, number = 0.0, 0
    next_arrival = 0.0
    every = BUILD_SECONDS / (FLEET_LIMIT * QUIET_LOAD)
    while now < HOURS * 3600:
        endings: list[Operation] = []
        if not ends or next_arrival <= ends[0][0]:
            now = next_arrival
            gate.wait(_token(f"quiet-{number % QUIET_TENANTS}", f"quiet_{number:06d}", round(now * 1000)))
            number += 1
            next_arrival = now + chance.expovariate(1 / every)
        else:
            now, key = heapq.heappop(ends)
            endings = [Operation(RELEASE, key, 1)]
        for operation in decide(gate, limits, endings).operations:
            gate.apply(operation)
            if operation.op == GRANT:
                token = gate.held[operation.token]
                heapq.heappush(ends, (now + BUILD_SECONDS * chance.uniform(0.5, 1.5), token.key))
                if token.tenant != "loud":
                    waits.append(now - token.at / 1000)
    assert any(token.tenant == "loud" for token in gate.waiting.values()), "the loud tenant was served to the end"
    return waits


def _apart_over_bound() -> float:
    chance = random.Random(7)
    limits = Limits({FLEET: FLEET_LIMIT}, WEIGHTS)
    gate = Gate(limits)
    for number in range(SHARE_DECISIONS * 40):
        gate.wait(_token(chance.choice(tuple(WEIGHTS)), f"run_{number:06d}", number))
    held: Counter[str] = Counter()
    worst = 0.0
    for _ in range(SHARE_DECISIONS):
        ended = [token for token in gate.held.values() if chance.random() < 0.1]
        for operation in decide(
            gate, limits, [Operation(RELEASE, token.key, token.fence) for token in ended]
        ).operations:
            held[operation.token.partition("#")[0]] += 1 if operation.op == GRANT else -1
            gate.apply(operation)
        worst = max(
            worst,
            *(
                abs(held[one] / WEIGHTS[one] - held[other] / WEIGHTS[other]) / (1 / WEIGHTS[one] + 1 / WEIGHTS[other])
                for one, other in combinations(WEIGHTS, 2)
            ),
        )
    return worst


def _token(tenant: str, run: str, at: int) -> Token:
    kind = shared_scopes("build", ())
    return Token(at, run, token_sort_key(tenant, 3, run), run, tenant, "build", (), kind, "build", 3, 0)
