"""Who is asked to yield a slot, so that a tenant that holds none need not wait until a whole run has ended.

What a tenant is owed is one slot, or its least share. While the fleet is just full, each tenant whose run would be next
if there were room, and that holds less than it is owed, is worth one ask: of a run of the tenant that
holds the most for its weight, as long as that tenant keeps what it is owed itself. So every ask that is kept leaves one
tenant less below what it is owed, and none more: asks cannot go round in circles.

Of that tenant's runs it is the one that has yielded least often; among those the one that has held its slot longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from penstock_backbone.records.runs import RUNNING, RunItem
from penstock_backbone.records.yields import ASKS_MAX, YIELDS_MAX, Ask, Asks
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.occupancy import SHARE_PARTS
from penstock_orchestrator.domain.token import Token


class Wishes(NamedTuple):
    """`standing` are earlier asks that are not kept yet; `chosen` are runs to be asked now, as they were read."""

    standing: tuple[Ask, ...]
    chosen: tuple[tuple[Token, RunItem], ...]

    def asks(self) -> tuple[Ask, ...]:
        return (*self.standing, *(Ask(token.key, token.fence) for token, _ in self.chosen))


def hungry(gates: Sequence[Gate], limits: Limits) -> list[str]:
    """The tenants, each once, in the order of turns. Nobody whose runs a limit other than the fleet's keeps out, and nobody
    behind a turn that belongs to somebody else. The gates are as before when this returns."""
    if sum(len(gate.held) for gate in gates) != limits.fleet:
        return []
    everywhere: Counter[str] = Counter()
    for gate in gates:
        everywhere.update(gate.held_by_scope())
    for gate in gates:
        gate.obey(limits)
        if len(gates) > 1:
            gate.share(everywhere)
    found: dict[str, None] = {}
    undo: list[Callable[[], None]] = []
    try:
        while len(found) < ASKS_MAX and (turn := _turn(gates)) is not None:
            gate, token = turn
            if token.tenant in found or _held(gates, token.tenant) >= _owed(limits, token.tenant):
                break
            found[token.tenant] = None
            _try(gate, token, undo)
    finally:
        for move in reversed(undo):
            move()
    return list(found)


def candidates(gates: Sequence[Gate], limits: Limits, asks: Asks, most: int) -> list[Token]:
    """Whose runs are worth a look, the best tenant's first."""
    standing = _standing(gates, asks)
    asked = {ask.token for ask in standing}
    found: list[Token] = []
    for tenant in _donors(limits, _kept(gates, standing)):
        for gate in gates:
            for key in gate.occupancy.held_by(tenant):
                if len(found) == most:
                    return found
                if key not in asked:
                    found.append(gate.held[key])
    return found


def choose(gates: Sequence[Gate], limits: Limits, asks: Asks, runs: Mapping[str, RunItem]) -> Wishes:
    """At most one run for each hungry tenant, the earlier asks included. `runs` are those that were looked at, by id."""
    standing = _standing(gates, asks)
    kept = _kept(gates, standing)
    willing: dict[str, list[tuple[Token, RunItem]]] = {}
    for run in runs.values():
        for gate in gates:
            token = gate.held_of(run["pk"])
            if token is not None and Ask(token.key, token.fence) not in standing and _may_yield(token, run):
                willing.setdefault(token.tenant, []).append((token, run))
    chosen: list[tuple[Token, RunItem]] = []
    for _ in range(len(hungry(gates, limits)) - len(standing)):
        donor = next((tenant for tenant in _donors(limits, kept) if willing.get(tenant)), None)
        if donor is None:
            break
        best = min(willing[donor], key=lambda each: _reluctance(each[1]))
        willing[donor].remove(best)
        kept[donor] -= 1
        chosen.append(best)
    return Wishes(standing, tuple(chosen))


def _turn(gates: Sequence[Gate]) -> tuple[Gate, Token] | None:
    """Whose turn it would be among all shards, if the fleet had room."""
    found = [(gate, token) for gate in gates if (token := gate.first()) is not None]
    return min(found, key=lambda turn: (turn[0].occupancy.share(turn[1].tenant), turn[1].at, turn[1].run), default=None)


def _try(gate: Gate, token: Token, undo: list[Callable[[], None]]) -> None:
    gate.leave(token)
    gate.hold(token)

    def take_back() -> None:
        gate.free(token)
        gate.wait(token)

    undo.append(take_back)


def _standing(gates: Sequence[Gate], asks: Asks) -> tuple[Ask, ...]:
    return tuple(ask for ask in asks.standing if any(gate.holds(*ask) for gate in gates))


def _kept(gates: Sequence[Gate], standing: Sequence[Ask]) -> Counter[str]:
    """How many slots each tenant will hold when the asks that stand are kept."""
    kept = Counter({tenant: _held(gates, tenant) for gate in gates for tenant in gate.occupancy.holders()})
    kept.subtract(gate.held[token].tenant for token, _ in standing for gate in gates if token in gate.held)
    return kept


def _donors(limits: Limits, kept: Mapping[str, int]) -> list[str]:
    """The one that holds the most for its weight first; nobody who would be left with less than it is owed."""
    able = [tenant for tenant, count in kept.items() if count > _owed(limits, tenant)]
    return sorted(able, key=lambda tenant: (-kept[tenant] * SHARE_PARTS // limits.weight(tenant), tenant))


def _held(gates: Sequence[Gate], tenant: str) -> int:
    return sum(gate.occupancy.of_tenant(tenant) for gate in gates)


def _owed(limits: Limits, tenant: str) -> int:
    return max(1, limits.min_share(tenant))


def _may_yield(token: Token, run: RunItem) -> bool:
    """It executes under this grant, it can be read, and nobody has asked anything of it that ends its turn anyhow."""
    is_whole = type(run.get("facts")) is dict and all(type(run.get(name)) is int for name in ("seq", "at"))
    is_asked = any(wish in run for wish in ("yielding", "pause", "cancel", "given_up"))
    executes = run.get("state") == RUNNING and run.get("fence") == token.fence
    return executes and is_whole and not is_asked and run.get("yields", 0) < YIELDS_MAX


def _reluctance(run: RunItem) -> tuple[int, int, str]:
    admitted = [entry["at"] for entry in run["facts"].values() if entry["t"] == "RunAdmitted"]
    return run.get("yields", 0), max(admitted, default=run["at"]), run["pk"]
