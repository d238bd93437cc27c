"""What a tenant with 100,000 waiting runs does to the waits of the others.

Played in virtual time on the orchestrator's own gate and decision, from seeds: the figures are the same on every machine.
The quiet tenants bring their runs in batches, and need 87 % of their equal part of the fleet, so that they wait for each
other even when nobody else is there. The same runs, of the same lengths, meet a loud tenant that

    alone     does not exist;
    trickle   has one run waiting, and brings another as soon as that one starts;
    small     has as many runs waiting as a quiet tenant brings at once, and brings another as soon as one starts;
    flood     has 100,000 runs waiting from the beginning.

Whoever shares the fleet takes its part of it, so the waits beside a loud tenant are longer than alone, whatever decides. That
100,000 runs take no more than few do is what can be promised: the baseline of the change is `small`. The change from `trickle`
is shown beside it, and is larger: of tenants that hold alike, the one with the oldest run is served first, and a run that has
just come hardly ever is. That is worth less than one slot, of the four that each tenant's part has here.
"""

from __future__ import annotations

import heapq
import math
import random  # noqa: TID251  # the benchmark throws its own dice, always from a seed
import statistics
import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock_backbone.records.limits import FLEET, shared_scopes
from penstock_backbone.records.tokens import GRANT, RELEASE, Operation, token_sort_key
from penstock_orchestrator.domain.decision import decide
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token

Figures = dict[str, float]

LOUD = "loud"
QUIET_TENANTS = 10
PART = 4
"""Slots that each tenant gets of a fleet which is shared alike, the loud one included."""
FLEET_LIMIT = (QUIET_TENANTS + 1) * PART
QUIET_LOAD = 0.87
"""Of its part: what a quiet tenant needs."""
BATCH = 30
"""Runs that a quiet tenant brings at once."""
BUILD_SECONDS = 1_800.0
"""The mean; each build takes from half to one and a half of it, and so does each pause between two batches of its mean."""
HOURS = 48
SEEDS = (1, 2, 3)
FLOOD = 100_000


class Arrival(NamedTuple):
    """At seconds from the beginning, of a run that will take so long."""

    at: float
    tenant: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Loud:
    """Runs that the loud tenant has waiting at the beginning. `goes_on`: it brings another for each that starts."""

    waiting: int
    goes_on: bool


LOUD_TENANTS = {
    "alone": Loud(0, goes_on=False), "trickle": Loud(1, goes_on=True), "small": Loud(BATCH, goes_on=True),
    "flood": Loud(FLOOD, goes_on=False),
}  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """Seconds that quiet tenants' runs waited; those that were not let in, until the end.

    `got`: grants that quiet tenants had while one of them waited. `due`: what they would have had of the grants of those
    moments if whoever waited had got alike.
    """

    waits: list[float] = field(default_factory=list)
    got: int = 0
    due: float = 0.0

    def add(self, other: Outcome) -> None:
        self.waits += other.waits
        self.got += other.got
        self.due += other.due

    @property
    def median(self) -> float:
        return statistics.median(self.waits)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.waits)


def flooding(seeds: Sequence[int] = SEEDS, hours: float = HOURS, weights: Mapping[str, int] | None = None) -> Figures:
    """flood_median_wait_change_pct: of the quiet tenants' runs, beside `flood` against beside `small`.

    flood_wait_over_own_part: their median or mean wait beside `small` or `flood`, the largest, over what it would be if each
    had its part of the fleet for itself, without the slots that others leave free; fair is below 1.
    flood_grants_over_equal: of the grants made while a quiet tenant waits, those that quiet tenants get, over what they would
    get if whoever waits got alike; the smaller of `small` and `flood`; fair is 1, and more for whoever held less before.
    flood_change_from_trickle_pct: as the first, against `trickle`. The medians themselves: flood_wait_…_s.
    """
    beside = {name: Outcome() for name in LOUD_TENANTS}
    own = Outcome()
    for seed in seeds:
        arrivals = _arrivals(random.Random(seed), hours)
        for name, loud in LOUD_TENANTS.items():
            beside[name].add(_Fleet(arrivals, FLEET_LIMIT, loud, weights or {}).play(hours))
        for tenant in sorted({each.tenant for each in arrivals}):
            alone = [each for each in arrivals if each.tenant == tenant]
            own.add(_Fleet(alone, PART, LOUD_TENANTS["alone"], {}).play(hours))
    _show(beside, own)
    small, flood = beside["small"], beside["flood"]
    return {
        "flood_median_wait_change_pct": abs(flood.median / small.median - 1) * 100,
        "flood_wait_over_own_part": max(
            *(each.median / own.median for each in (small, flood)), *(each.mean / own.mean for each in (small, flood))
        ),
        "flood_grants_over_equal": min(each.got / each.due for each in (small, flood)),
        "flood_change_from_trickle_pct": abs(flood.median / beside["trickle"].median - 1) * 100,
        **{f"flood_wait_{name}_s": outcome.median for name, outcome in beside.items()},
        "flood_wait_own_part_s": own.median,
    }


def _arrivals(chance: random.Random, hours: float) -> list[Arrival]:
    every = BATCH * BUILD_SECONDS / (QUIET_LOAD * PART)
    arrivals = []
    for number in range(QUIET_TENANTS):
        at = chance.uniform(0, every)
        while at < hours * 3600:
            arrivals += [Arrival(at, f"quiet-{number}", _around(BUILD_SECONDS, chance)) for _ in range(BATCH)]
            at += _around(every, chance)
    return sorted(arrivals)


class _Fleet:
    """One gate in virtual time: the quiet tenants' runs, and the loud tenant."""

    def __init__(self, arrivals: Sequence[Arrival], slots: int, loud: Loud, weights: Mapping[str, int]) -> None:
        self._loud = loud
        self._limits = Limits({FLEET: slots}, weights)
        self._gate = Gate(self._limits)
        self._coming = deque(
            (each, _token(each.tenant, f"run_{number:06d}", each.at)) for number, each in enumerate(arrivals)
        )
        self._seconds: dict[str, float] = {}
        self._louds_seconds = random.Random(0)
        self._louds = 0
        self._ends: list[tuple[float, str]] = []
        self._waiting: Counter[str] = Counter()
        self._outcome = Outcome()
        for _ in range(loud.waiting):
            self._bring_loud(0)

    def play(self, hours: float) -> Outcome:
        end = hours * 3600
        while (now := self._next()) <= end:
            self._turn(now)
        left = [token for token in self._gate.waiting.values() if token.tenant != LOUD]
        assert len(self._gate.waiting) > len(left) or not self._loud.waiting, "the loud tenant was served to the end"
        self._outcome.waits += [end - token.at / 1000 for token in left]
        return self._outcome

    def _next(self) -> float:
        comes = self._coming[0][0].at if self._coming else math.inf
        return min(comes, self._ends[0][0] if self._ends else math.inf)

    def _turn(self, now: float) -> None:
        while self._coming and self._coming[0][0].at <= now:
            arrival, token = self._coming.popleft()
            self._seconds[token.key] = arrival.seconds
            self._wait(token)
        endings = []
        while self._ends and self._ends[0][0] <= now:
            endings.append(Operation(RELEASE, heapq.heappop(self._ends)[1], 1))
        for operation in decide(self._gate, self._limits, endings).operations:
            if operation.op == GRANT:
                self._count(operation.token, now)
            self._gate.apply(operation)

    def _count(self, key: str, now: float) -> None:
        """A grant, before it is applied."""
        token = self._gate.waiting[key]
        quiet = sum(1 for tenant, runs in self._waiting.items() if runs and tenant != LOUD)
        waiting = quiet + bool(self._waiting[LOUD])
        if quiet:
            self._outcome.due += quiet / waiting
            self._outcome.got += token.tenant != LOUD
        self._waiting[token.tenant] -= 1
        if token.tenant != LOUD:
            self._outcome.waits.append(now - token.at / 1000)
        elif self._loud.goes_on:
            self._bring_loud(now)
        heapq.heappush(self._ends, (now + self._seconds.pop(key), key))

    def _bring_loud(self, now: float) -> None:
        token = _token(LOUD, f"loud_{self._louds:06d}", now)
        self._louds += 1
        self._seconds[token.key] = _around(BUILD_SECONDS, self._louds_seconds)
        self._wait(token)

    def _wait(self, token: Token) -> None:
        self._gate.wait(token)
        self._waiting[token.tenant] += 1


def _around(mean: float, chance: random.Random) -> float:
    return mean * chance.uniform(0.5, 1.5)


def _token(tenant: str, run: str, at: float) -> Token:
    key, kind = token_sort_key(tenant, 3, run), shared_scopes("build", ())
    return Token(round(at * 1000), run, key, run, tenant, "build", (), kind, "build", 3, 0)


def _show(beside: Mapping[str, Outcome], own: Outcome) -> None:
    sys.stdout.write("waits of quiet tenants' runs, s     median       mean   grants over equal\n")
    for name, outcome in beside.items():
        told = "alone" if name == "alone" else f"beside {name}"
        sys.stdout.write(f"{told:30} {outcome.median:11,.1f} {outcome.mean:10,.1f} {outcome.got / outcome.due:10.3f}\n")
    sys.stdout.write(f"{'each with its part for itself':30} {own.median:11,.1f} {own.mean:10,.1f}\n")
