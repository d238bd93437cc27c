"""One decision for several shards: whose turn it is among all that wait, as if they stood in one line.

Every shard's part is a decision of its own, committed on its own head. A run whose turn it is and for which its shard
has no budget is not let in, and nobody behind it either: first the budgets are moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from penstock_backbone.records.limits import FLEET
from penstock_backbone.records.shards import Ledger
from penstock_backbone.records.tokens import GRANT, PEND_MAX, Operation
from penstock_orchestrator.domain.budgets import allowance
from penstock_orchestrator.domain.decision import Decision, try_endings, try_grant
from penstock_orchestrator.domain.gate import Gate, Token
from penstock_orchestrator.domain.limits import Limits


@dataclass(frozen=True, slots=True)
class Together:
    """`decisions` by shard. `short`: scopes in which a shard has no budget for a run whose turn it is; `wanted`: what the
    shards would hold if there were budgets for all of this decision, by shard, then by scope."""

    decisions: tuple[Decision, ...]
    short: tuple[str, ...] = ()
    wanted: tuple[Mapping[str, int], ...] = ()


def decide_together(gates: Sequence[Gate], limits: Limits, ledger: Ledger, endings: Sequence[Operation]) -> Together:
    """As domain.decision.decide, for each gate. All are as before when this returns."""
    uses = [held_by_scope(gate) for gate in gates]
    total: Counter[str] = Counter()
    for use in uses:
        total.update(use)
    for gate, use in zip(gates, uses, strict=True):
        gate.obey(limits)
        gate.see_elsewhere({scope: count - use.get(scope, 0) for scope, count in total.items()})
    undo: list[Callable[[], None]] = []
    try:
        return _Line(gates, limits, ledger, undo).decide(endings)
    finally:
        for move in reversed(undo):
            move()


def held_by_scope(gate: Gate) -> dict[str, int]:
    return {FLEET: len(gate.held), **gate.occupancy.by_scope()}


class _Line:
    """Tries moves on the gates, and notes in `undo` how they are taken back."""

    def __init__(self, gates: Sequence[Gate], limits: Limits, ledger: Ledger, undo: list[Callable[[], None]]) -> None:
        self._gates = gates
        self._limits = limits
        self._ledger = ledger
        self._undo = undo
        self._operations: list[list[Operation]] = [[] for _ in gates]
        self._tried = [0] * len(gates)
        self._next: list[Token | None] = [None] * len(gates)
        self._allowed: dict[tuple[int, str], int | None] = {}
        self._short: dict[str, None] = {}

    def decide(self, endings: Sequence[Operation]) -> Together:
        for shard, gate in enumerate(self._gates):
            freed = [gate.held[ending.token] for ending in endings if gate.holds(ending.token, ending.fence)]
            made = self._operations[shard] = try_endings(gate, endings, self._undo)
            self._tried[shard] = len(made)
            for token in freed:
                if token.key not in gate.held:
                    self._elsewhere(shard, token, -1)
        while (turn := self._turn()) is not None:
            self._grant(*turn)
        decisions = tuple(Decision(tuple(operations)) for operations in self._operations)
        if not self._short:
            return Together(decisions)
        return Together(decisions, tuple(self._short), tuple(map(held_by_scope, self._gates)))

    def _turn(self) -> tuple[int, Token] | None:
        """None also when a decision is full: who comes next must not depend on who is in the same shard."""
        first: tuple[tuple[int, int, str], int, Token] | None = None
        if PEND_MAX in self._tried:
            return None
        for shard, gate in enumerate(self._gates):
            token = self._next[shard]
            if token is None or not gate.may_go(token):
                token = self._next[shard] = gate.next()
            if token is None:
                continue
            rank = gate.occupancy.share(token.tenant), token.at, token.run
            if first is None or rank < first[0]:
                first = rank, shard, token
        return None if first is None else first[1:]

    def _grant(self, shard: int, token: Token) -> None:
        gate = self._gates[shard]
        try_grant(gate, token.key, self._undo)
        self._elsewhere(shard, token, 1)
        self._tried[shard] += 1
        self._next[shard] = None
        for scope in (FLEET, *token.kind):
            allowed = self._allowance(shard, scope)
            if allowed is not None and gate.occupancy.of_scope(scope) > allowed:
                self._short[scope] = None
        if not self._short:
            self._operations[shard].append(Operation(GRANT, token.key, token.fence + 1))

    def _elsewhere(self, shard: int, token: Token, change: int) -> None:
        for other, gate in enumerate(self._gates):
            if other != shard:
                gate.held_elsewhere(token.kind, change)
                self._undo.append(partial(gate.held_elsewhere, token.kind, -change))

    def _allowance(self, shard: int, scope: str) -> int | None:
        found = self._allowed.get((shard, scope), -1)
        if found == -1:
            found = self._allowed[shard, scope] = allowance(self._ledger, self._limits, shard, scope)
        return found
