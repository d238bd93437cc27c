"""The gate of one shard in memory: who waits and who holds a token, rebuilt from the token items and kept current."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from penstock_backbone.records.limits import FLEET, HOLDERS_MAX, is_shared
from penstock_backbone.records.tokens import GRANT, HELD, RELEASE, REQUEUE, WAITING, WITHDRAW, Operation, TokenItem
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.occupancy import Occupancy
from penstock_orchestrator.domain.picker import Picker
from penstock_orchestrator.domain.token import Token


class Board(NamedTuple):
    """What a tenant may see: counts, its first waiting runs in order, and some of those that hold, with workflow and resources.
    `passed_over` of those that wait are kept out by more than the tenant's limit and the fleet's."""

    waiting: int
    held: int
    places: list[str]
    holders: list[tuple[str, ...]]
    passed_over: int


class Gate:
    """`waiting` and `held` hold tokens by key and are read by others; only the methods change them."""

    def __init__(self, limits: Limits) -> None:
        self.waiting: dict[str, Token] = {}
        self.held: dict[str, Token] = {}
        self.occupancy = Occupancy(limits)
        self._picker = Picker(self.occupancy)
        self._held_by_run: dict[str, str] = {}

    @classmethod
    def rebuilt(cls, items: Iterable[TokenItem], limits: Limits) -> Gate:
        gate = cls(limits)
        for item in items:
            token = Token.of(item)
            if item["st"] == HELD:
                gate.hold(token)
            else:
                assert item["st"] == WAITING, item
                gate.wait(token)
        return gate

    def obey(self, limits: Limits) -> None:
        """The comparison costs nothing from then on: the limits are the very ones of the next decision."""
        before, self.occupancy.limits = self.occupancy.limits, limits
        if limits != before:
            self._picker.limits_changed()

    def share(self, everywhere: dict[str, int]) -> None:
        """What all shards hold, by scope, the fleet included; the gates of the others change it as this one does."""
        self.occupancy.everywhere = everywhere
        self.see_elsewhere()

    def see_elsewhere(self) -> None:
        """Other shards may hold more or less of what has a limit."""
        self._picker.scopes_changed(filter(is_shared, self.occupancy.limits.scopes))

    def may_go(self, token: Token) -> bool:
        """Whether nothing keeps a token out that was the next one when less was held."""
        occupancy = self.occupancy
        return not (occupancy.fleet_is_full() or occupancy.kind_is_full(token.kind))

    def knows(self, key: str) -> bool:
        return key in self.waiting or key in self.held

    def holds(self, key: str, fence: int) -> bool:
        token = self.held.get(key)
        return token is not None and token.fence == fence

    def awaits(self, key: str, fence: int) -> bool:
        token = self.waiting.get(key)
        return token is not None and token.fence == fence

    def held_of(self, run: str) -> Token | None:
        key = self._held_by_run.get(run)
        return None if key is None else self.held[key]

    def next(self) -> Token | None:
        """Whose turn it is, or None: nobody who waits may go."""
        return None if self.occupancy.fleet_is_full() else self.first()

    def first(self) -> Token | None:
        """Whose turn it would be if the fleet had room."""
        return self._picker.next()

    def apply(self, operation: Operation) -> None:
        """One committed operation; one that is applied already changes nothing, as in the table."""
        key, fence = operation.token, operation.fence
        if operation.op == GRANT:
            token = self.waiting.get(key)
            if token is not None and token.fence < fence:
                self.leave(token)
                self.hold(token.under(fence))
        elif operation.op in (RELEASE, REQUEUE):
            if self.holds(key, fence):
                token = self.held[key]
                self.free(token)
                if operation.op == REQUEUE:
                    self.wait(token.begun_with(operation.version))
        elif operation.op == WITHDRAW:
            if self.awaits(key, fence):
                self.leave(self.waiting[key])
        else:
            raise AssertionError(operation)

    def held_by_scope(self) -> dict[str, int]:
        return {FLEET: len(self.held), **self.occupancy.by_scope()}

    def board(self, tenant: str, places_max: int) -> Board:
        places = [token.run for token in islice(self._picker.line_of(tenant), places_max)]
        keys = islice(self.occupancy.held_by(tenant), HOLDERS_MAX)
        holders = [(token.run, token.workflow, *token.resources) for token in map(self.held.__getitem__, keys)]
        waiting, held = self._picker.waiting(tenant), self.occupancy.of_tenant(tenant)
        return Board(waiting, held, places, holders, self.passed_over(tenant))

    def passed_over(self, tenant: str) -> int:
        """Of its waiting tokens, those that are kept out by more than the tenant's limit and the fleet's."""
        return self._picker.passed_over(tenant)

    def hungry(self) -> int:
        """Of tenants that hold nothing and have somebody waiting whom only the fleet's limit can keep out, HUNGRY_MAX at most."""
        return self._picker.hungry()

    def tenants(self) -> set[str]:
        return {*self._picker.tenants(), *(token.tenant for token in self.held.values())}

    # --- single moves, of which operations are made ----------------------------------------------

    def wait(self, token: Token) -> None:
        assert not self.knows(token.key), token
        self.waiting[token.key] = token
        self._picker.add(token)

    def leave(self, token: Token) -> None:
        """Out of the line."""
        self._picker.remove(self.waiting.pop(token.key))

    def hold(self, token: Token) -> None:
        assert not self.knows(token.key), token
        self.held[token.key] = token
        self._held_by_run[token.run] = token.key
        self.occupancy.add(token.key, token.tenant, token.kind)

    def free(self, token: Token) -> None:
        """The slot is free again."""
        del self.held[token.key]
        del self._held_by_run[token.run]
        self.occupancy.remove(token.key, token.tenant, token.kind)
        self._picker.freed(token.tenant, token.kind)
