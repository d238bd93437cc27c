"""One decision for several shards: whose turn it is among all that wait, as if they stood in one line.

Every shard's part is a decision of its own, committed on its own head. A run whose turn it is and for which its shard
has no budget is not let in, and nobody behind it either: first the budgets are moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from penstock_backbone.records.limits import FLEET
from penstock_backbone.records.shards import Ledger
from penstock_backbone.records.tokens import GRANT, PEND_MAX, Operation
from penstock_orchestrator.domain.budgets import allowance
from penstock_orchestrator.domain.decision import Decision, resumed, try_endings, try_grant
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token


@dataclass(frozen=True, slots=True)
class Together:
    """`decisions` by shard. `short`: scopes in which a shard has no budget for a run whose turn it is; `wanted`: what the
    shards would hold if there were budgets for all of this decision, by shard, then by scope."""

    decisions: tuple[Decision, ...]
    short: tuple[str, ...] = ()
    wanted: tuple[Mapping[str, int], ...] = ()


class _Turn(NamedTuple):
    """Whose turn it is in one shard, in the order of turns among all."""

    share: int
    at: int
    run: str
    shard: int
    token: Token


def decide_together(
    gates: Sequence[Gate],
    limits: Limits,
    ledger: Ledger,
    endings: Sequence[Operation],
    resuming: AbstractSet[str] = frozenset(),
) -> Together:
    """As domain.decision.decide, for each gate. All are as before when this returns."""
    everywhere: Counter[str] = Counter()
    for gate in gates:
        everywhere.update(gate.held_by_scope())
    for gate in gates:
        gate.obey(limits)
        gate.share(everywhere)
    undo: list[Callable[[], None]] = []
    try:
        return _Line(gates, limits, ledger, undo).decide(endings, resuming)
    finally:
        for move in reversed(undo):
            move()


class _Line:
    """Tries moves on the gates, and notes in `undo` how they are taken back."""

    def __init__(self, gates: Sequence[Gate], limits: Limits, ledger: Ledger, undo: list[Callable[[], None]]) -> None:
        self._gates = gates
        self._limits = limits
        self._ledger = ledger
        self._undo = undo
        self._operations: list[list[Operation]] = []
        self._tried: list[int] = []
        self._next: list[_Turn | None] = [None] * len(gates)
        self._allowed: dict[tuple[int, str], int | None] = {}
        self._short: dict[str, None] = {}

    def decide(self, endings: Sequence[Operation], resuming: AbstractSet[str]) -> Together:
        self._operations = [try_endings(gate, endings, resuming, self._undo) for gate in self._gates]
        gone_back = resumed(chain.from_iterable(self._operations), resuming)
        self._tried = list(map(len, self._operations))
        for gate in self._gates:
            gate.see_elsewhere()
        while (turn := self._turn()) is not None and turn.token.key not in gone_back:
            self._grant(turn)
        decisions = tuple(Decision(tuple(operations)) for operations in self._operations)
        if not self._short:
            return Together(decisions)
        return Together(decisions, tuple(self._short), tuple(gate.held_by_scope() for gate in self._gates))

    def _turn(self) -> _Turn | None:
        """None also when a decision is full: who comes next must not depend on who is in the same shard."""
        if PEND_MAX in self._tried:
            return None
        for shard, gate in enumerate(self._gates):
            turn = self._next[shard]
            if turn is None or not gate.may_go(turn.token):
                token = gate.next()
                share = 0 if token is None else gate.occupancy.share(token.tenant)
                self._next[shard] = None if token is None else _Turn(share, token.at, token.run, shard, token)
        return min((turn for turn in self._next if turn is not None), default=None)

    def _grant(self, turn: _Turn) -> None:
        shard, token = turn.shard, turn.token
        gate = self._gates[shard]
        try_grant(gate, token.key, self._undo)
        self._tried[shard] += 1
        self._next[shard] = None
        for scope in (FLEET, *token.kind):
            allowed = self._allowance(shard, scope)
            if allowed is not None and gate.occupancy.of_scope(scope) > allowed:
                self._short[scope] = None
        if not self._short:
            self._operations[shard].append(Operation(GRANT, token.key, token.fence + 1))

    def _allowance(self, shard: int, scope: str) -> int | None:
        found = self._allowed.get((shard, scope), -1)
        if found == -1:
            found = self._allowed[shard, scope] = allowance(self._ledger, self._limits, shard, scope)
        return found
