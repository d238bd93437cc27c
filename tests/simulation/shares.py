"""Checks whose turn it is among tenants that both wait, by their weights and least shares (I10)."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from tests.simulation.sightings import Sightings
from tests.simulation.violations import demand

from penstock_backbone.records.limits import stated
from penstock_backbone.vocabulary import Item


class Share(NamedTuple):
    weight: int = 1
    least: int = 0


class Shares:
    """By the tenants' scopes, as operators have said."""

    def __init__(self, sightings: Sightings) -> None:
        self._sightings = sightings
        self._changes: dict[str, list[tuple[float, Share]]] = {}

    def said(self, now: float, scope: str, item: Item) -> None:
        words = stated(scope, item)
        self._changes.setdefault(scope, []).append((now, Share(words.weight, words.min_share)))

    def demand_turn(self, mine: str, theirs: str, held: tuple[int, int], seen: float) -> None:
        """`mine` gets a slot while `theirs` waits; they hold so many before that. `seen`: when the decider read the limits.
        Where that reading may be older than the last change of theirs, nothing is demanded."""
        ours, others = self._since(mine, seen), self._since(theirs, seen)
        if ours is None or others is None:
            return
        held_here, held_there = held
        owed_here, owed_there = held_here < ours.least, held_there < others.least
        words = f"{mine} gets its slot {held_here + 1} ({ours}) while {theirs} waits with {held_there} ({others})"
        demand(owed_here or not owed_there, "I10", words)
        if owed_here != owed_there:
            self._sightings.note("a least share decided whose turn it was")
        elif ours.weight != others.weight:
            self._sightings.note("a turn was taken among unlike weights")
        if owed_here == owed_there:
            apart = Fraction(held_here + 1, ours.weight) - Fraction(held_there, others.weight)
            demand(apart <= Fraction(1, ours.weight) + Fraction(1, others.weight), "I10", words)

    def owed(self, scope: str, seen: float) -> range:
        """How many slots the tenant is owed, by all that was in force since then: one, or its least share."""
        owed = [max(1, share.least) for share in self._in_force(scope, seen)]
        return range(min(owed), max(owed) + 1)

    def _since(self, scope: str, seen: float) -> Share | None:
        """What was in force at every moment since then; None: more than one."""
        shares = self._in_force(scope, seen)
        return shares.pop() if len(shares) == 1 else None

    def _in_force(self, scope: str, seen: float) -> set[Share]:
        changes = [(-1.0, Share()), *self._changes.get(scope, [])]
        last_before = max(place for place, (at, _) in enumerate(changes) if at <= seen)
        return {share for _, share in changes[last_before:]}
