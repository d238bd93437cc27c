"""The gate of one shard together with the head item that makes its moves true.

A decision counts once the head has moved from the `seq` it was made on; whoever finds another `seq` there was
overtaken, and reads everything again. The head carries the decision's operations (`pend`), so anybody can finish
applying them, and nobody decides anew before they are applied.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from penstock_backbone.errors import Fatal, Retryable
from penstock_backbone.ports import Chance, Clock, Ids, Tables
from penstock_backbone.reading import read_whole
from penstock_backbone.records.limits import FLEET, PLACES_MAX, is_shared
from penstock_backbone.records.shards import fence_head, ledger_of
from penstock_backbone.records.tokens import (
    Operation,
    all_tokens,
    apply_operation,
    as_token,
    commit_head,
    create_head,
    head_key,
    pending,
)
from penstock_backbone.records.yields import head_stands
from penstock_backbone.vocabulary import Check, Item, Outcome, Refused, Unsettled, Update, Written
from penstock_orchestrator.domain.backoff import backoff_seconds
from penstock_orchestrator.domain.gate import Board, Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token

ATTEMPTS_MAX = 6

_log = logging.getLogger(__name__)


class Changes:
    """`tenants` are those whose board is to be drawn anew, and `scopes` the others of which more or fewer tokens are held;
    whoever draws takes them out. `are_there` is set when something is put in."""

    def __init__(self) -> None:
        self.tenants: set[str] = set()
        self.scopes: set[str] = set()
        self.are_there = asyncio.Event()

    def of(self, tenants: Iterable[str], scopes: Iterable[str] = ()) -> None:
        """These are put in, if they are not there yet."""
        self.tenants.update(tenants)
        self.scopes.update(scopes)
        if self.tenants or self.scopes:
            self.are_there.set()


class Shard:
    """`is_current` False: the gate may not be what the tables say, so it is loaded before anything is decided."""

    def __init__(
        self, tables: Tables, *, number: int, clock: Clock, ids: Ids, chance: Chance, changes: Changes
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._ids = ids
        self._chance = chance
        self._changes = changes
        self._seq = 0
        self._was_loaded = False
        self._drawn_hungry = 0
        self._drawn_passed_over: dict[str, int] = {}
        self._redo: list[Operation] = []
        self.number = number
        self.gate = Gate(Limits())
        self.is_current = False

    def begin(self, limits: Limits) -> None:
        """With the head that was made for it a moment ago."""
        self.gate = Gate(limits)
        self._seq = 0
        self.is_current = self._was_loaded = True

    def is_at(self, head: Item | None) -> bool:
        """Whether nobody else has moved the head since this gate was made or changed."""
        return self.is_current and head is not None and head["seq"] == self._seq

    async def load(self, head: Item | None, limits: Limits) -> None:
        """What is left of the head's operations, then all tokens: in this order the view is no older than the head."""
        self.is_current = False
        if head is None:
            head = await self._made_head()
        self._redo = pending(head)
        await self.settle()
        tokens = list(map(as_token, await read_whole(self._tables, all_tokens(self.number))))
        old, self.gate = self.gate, Gate.rebuilt(tokens, limits)
        self._changes.of(
            tenant
            for tenant in old.tenants() | self.gate.tenants()
            if old.board(tenant, PLACES_MAX)[:-1] != self.gate.board(tenant, PLACES_MAX)[:-1]
        )
        before, now = old.occupancy.by_scope(), self.gate.occupancy.by_scope()
        scopes = {scope for scope in before.keys() | now.keys() if before.get(scope) != now.get(scope)}
        if not self._was_loaded:
            # What an earlier process has drawn last may show what is over since.
            scopes |= set(filter(is_shared, limits.scopes))
            self._changes.of(limits.closed_tenants())
        if scopes or not self._was_loaded:
            self._changes.of((), scopes | {FLEET})
        self._was_loaded = True
        self._seq = head["seq"]
        self.is_current = True
        self._changes.of(operation.token.partition("#")[0] for operation in pending(head))

    def wait(self, token: Token) -> None:
        """A token that is in the table now, and that the gate may know already. One that the last decision withdraws stands
        there until that is applied, and waits no more; a newer one of the same run has a higher fence, and waits."""
        goes = any(each.token == token.key and each.fence >= token.fence for each in self._redo)
        if not self.gate.knows(token.key) and not goes:
            self.gate.wait(token)
            # Where its tenant holds nothing, the fleet's board says so.
            self._changes.of([token.tenant], () if self.gate.occupancy.of_tenant(token.tenant) else [FLEET])

    def board(self, tenant: str) -> Board:
        """To be drawn."""
        board = self.gate.board(tenant, PLACES_MAX)
        if board.passed_over:
            self._drawn_passed_over[tenant] = board.passed_over
        else:
            self._drawn_passed_over.pop(tenant, None)
        return board

    def hungry(self) -> int:
        """To be drawn on the fleet's board."""
        self._drawn_hungry = self.gate.hungry()
        return self._drawn_hungry

    def compare_drawn(self) -> None:
        """With whom limits and other tenants let through now, which no token of the tenant's own tells. The gate must have
        decided by these limits."""
        drawn, gate = self._drawn_passed_over, self.gate
        self._changes.of(
            [tenant for tenant in gate.tenants() | drawn.keys() if gate.passed_over(tenant) != drawn.get(tenant, 0)],
            [FLEET] if gate.hungry() != self._drawn_hungry else (),
        )

    async def settle(self) -> None:
        """Applies what is left of the last decision. Raises Retryable while that cannot be done."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            if not self._redo:
                return
            outcomes = await self._tables.write([apply_operation(self.number, each) for each in self._redo])
            self._redo = _unsettled(self._redo, outcomes)
            if self._redo:
                await self._pause(attempt)
        if self._redo:
            raise Retryable(f"{len(self._redo)} token operations could not be applied: they are tried again")

    async def commit(self, operations: Sequence[Operation]) -> bool:
        """Moves head and gate. False: somebody else decided first, so the gate has to be loaded again.

        A lost answer is not looked into: the same write is sent again, and the head it then meets tells by the
        commit id whether the first one had arrived.
        """
        assert self.is_current
        assert not self._redo, "a decision before the last one is applied"
        self.is_current = False
        commit_id = self._ids.new("dec")
        guard = commit_head(self.number, seq=self._seq, operations=operations, commit_id=commit_id)
        followers = [apply_operation(self.number, operation) for operation in operations]
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                outcome, answers = await self._tables.write_after(guard, followers)
            except Retryable as error:
                _log.info("The outcome of a decision is not known, so it is sent again: %s", error)
                outcome, answers = Unsettled(str(error)), []
            match outcome:
                case Written():
                    self._committed(operations, answers)
                    return True
                case Refused(item) if item is not None and item["cid"] == commit_id:
                    self._committed(operations, [])
                    return True
                case Refused():
                    return False
                case Unsettled():
                    await self._pause(attempt)
        raise Retryable("a decision could not be committed: the gate is read again before the next one")

    def _committed(self, operations: Sequence[Operation], answers: Sequence[Outcome]) -> None:
        for operation in operations:
            token = self.gate.held.get(operation.token) or self.gate.waiting[operation.token]
            self._changes.of([token.tenant], [FLEET, *token.kind])
            self.gate.apply(operation)
        self._redo = _unsettled(operations, answers) if answers else list(operations)
        self._seq += 1
        self.is_current = True

    def stands(self) -> Check:
        """For a transaction: the gate is what the tables say."""
        assert self.is_current
        return head_stands(self.number, seq=self._seq)

    def fence(self, ledger: int, commit_id: str) -> Update:
        """Moves the head without a decision, in one transaction with the ledger's version `ledger`. What comes of it is
        told to `fenced`; until then the gate is not to be trusted."""
        assert self.is_current
        assert not self._redo, "a head is fenced before its operations are applied"
        self.is_current = False
        return fence_head(self.number, seq=self._seq, ledger=ledger, commit_id=commit_id)

    def fenced(self) -> None:
        self._seq += 1
        self.is_current = True

    async def _made_head(self) -> Item:
        key = head_key(self.number)
        page = await self._tables.query(all_tokens(self.number))
        if not page.items:
            await self._tables.write([create_head(self.number)])
        # Another orchestrator may have made it since it was looked for, and the tokens after it.
        (head,) = await self._tables.get([key])
        if head is None and page.items:
            raise Fatal(
                f"the head of shard {self.number} is gone while tokens are there: "
                f"restore the item {key.pk} / {key.sk} of the tokens table from a backup"
            )
        if head is None:
            raise Retryable(f"the head of shard {self.number} could not be made")
        if ledger_of(head):
            raise Retryable(f"the head of shard {self.number} names a ledger: both are read again together")
        return head

    async def _pause(self, attempt: int) -> None:
        await self._clock.sleep(backoff_seconds(attempt, self._chance.random()))


def _unsettled(operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> list[Operation]:
    """Refused is settled: it, or something later, had been applied before."""
    return [
        operation for operation, outcome in zip(operations, outcomes, strict=True) if isinstance(outcome, Unsettled)
    ]
