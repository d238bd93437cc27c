"""How far apart the shares of backlogged tenants ever are, and what one that floods the line does to the others.

Played in virtual time on the orchestrator's own gate and decision, from a seed: the figures are the same on every machine.
"""

from __future__ import annotations

import random  # noqa: TID251  # the benchmark throws its own dice, always from a seed
from collections import Counter
from itertools import combinations

from tests.bench.flood import flooding

from penstock_backbone.records.limits import FLEET, shared_scopes
from penstock_backbone.records.tokens import GRANT, RELEASE, Operation, token_sort_key
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token

Figures = dict[str, float]

FLEET_LIMIT = 50
WEIGHTS = {"a": 1, "b": 2, "c": 3, "d": 5, "e": 8, "f": 13, "g": 100}
SHARE_DECISIONS = 3_000


def sharing() -> Figures:
    """What flooding() says, and share_apart_over_bound: between any two backlogged tenants of unlike weights, after each
    whole decision, the largest distance of what they hold for their weight over 1/w_i + 1/w_j; fair is up to 1.

    A decision is committed as one, so nobody ever sees what lies between its operations.
    """
    return flooding() | {"share_apart_over_bound": _apart_over_bound()}


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
