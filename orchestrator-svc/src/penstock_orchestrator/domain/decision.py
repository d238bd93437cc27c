"""The admission decision: which tokens end, go back or leave the line, and who is let in, as one list of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from penstock_backbone.records.tokens import GRANT, PEND_MAX, RELEASE, REQUEUE, WITHDRAW, Operation
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token


@dataclass(frozen=True, slots=True)
class Decision:
    """At most PEND_MAX operations, no token twice: what ends or leaves first, then grants in the order of turns."""

    operations: tuple[Operation, ...]

    @property
    def is_full(self) -> bool:
        """There may be more to decide once this is committed."""
        return len(self.operations) == PEND_MAX

    @property
    def leaves_more(self) -> bool:
        """What goes back in one decision has its next turn in another."""
        return self.is_full or any(each.op == REQUEUE for each in self.operations)


def decide(
    gate: Gate, limits: Limits, endings: Iterable[Operation], resuming: AbstractSet[str] = frozenset()
) -> Decision:
    """`endings` are releases, requeues and withdrawals that are due; those that the gate does not know (any more) are
    passed over. `resuming`: keys of tokens that go back to the line and keep their turns.

    The gate is as before when this returns: the moves are tried on it and taken back, since only a committed
    head makes them true. A token that is taken back waits for the next decision, because no token may be
    named twice in one. If it resumes nobody behind it is let in before that; otherwise whose turn it is now takes its slot.
    """
    gate.obey(limits)
    undo: list[Callable[[], None]] = []
    try:
        operations = try_endings(gate, endings, resuming, undo)
        gone_back = resumed(operations, resuming)
        while len(operations) < PEND_MAX and (token := gate.next()) is not None and token.key not in gone_back:
            operations.append(Operation(GRANT, token.key, token.fence + 1))
            try_grant(gate, token.key, undo)
    finally:
        for move in reversed(undo):
            move()
    return Decision(tuple(operations))


def try_endings(
    gate: Gate, endings: Iterable[Operation], resuming: AbstractSet[str], undo: list[Callable[[], None]]
) -> list[Operation]:
    """Those that were made on the gate, PEND_MAX at most. `undo` is given what takes each of them back, in order."""
    operations: list[Operation] = []
    for ending in endings:
        if len(operations) == PEND_MAX:
            break
        if ending.op == WITHDRAW:
            if gate.awaits(ending.token, ending.fence):
                operations.append(ending)
                _leave(gate, ending.token, undo)
            continue
        assert ending.op in (RELEASE, REQUEUE), ending
        if gate.holds(ending.token, ending.fence):
            operations.append(ending)
            token = _free(gate, ending.token, undo)
            if ending.op == REQUEUE and token.key in resuming:
                _join(gate, token.begun_with(ending.version), undo)
    return operations


def resumed(operations: Iterable[Operation], resuming: AbstractSet[str]) -> AbstractSet[str]:
    """The tokens whose turns are kept, and can only come in the next decision."""
    return {each.token for each in operations if each.op == REQUEUE} & resuming


def try_grant(gate: Gate, key: str, undo: list[Callable[[], None]]) -> None:
    """As try_endings, for one token whose turn it is."""
    token = _leave(gate, key, undo)
    gate.hold(token)
    undo.append(lambda: gate.free(token))
    _assert_within_limits(gate, token)


def _free(gate: Gate, key: str, undo: list[Callable[[], None]]) -> Token:
    token = gate.held[key]
    gate.free(token)
    undo.append(lambda: gate.hold(token))
    return token


def _join(gate: Gate, token: Token, undo: list[Callable[[], None]]) -> None:
    gate.wait(token)
    undo.append(lambda: gate.leave(token))


def _leave(gate: Gate, key: str, undo: list[Callable[[], None]]) -> Token:
    token = gate.waiting[key]
    gate.leave(token)
    undo.append(lambda: gate.wait(token))
    return token


def _assert_within_limits(gate: Gate, token: Token) -> None:
    """Our own logic, checked at each grant in production too: it costs nothing beside a commit."""
    occupancy, limits = gate.occupancy, gate.occupancy.limits
    tenant_limit = limits.of_tenant(token.tenant)
    assert len(occupancy.held) <= limits.fleet
    assert limits.is_served(token.needs), token.needs
    assert tenant_limit is None or occupancy.of_tenant(token.tenant) <= tenant_limit
    for scope in token.kind:
        limit = limits.of_scope(scope)
        assert limit is None or occupancy.of_scope(scope) <= limit, scope
