"""All shards together with the ledger that says whose each tenant is and what each shard may hold.

With one shard there is no ledger, and nothing of it is asked for but that it is not there, in the same call as the head.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any

from penstock_backbone.errors import Fatal, Retryable
from penstock_backbone.ports import Chance, Clock, Ids, Tables
from penstock_backbone.records.limits import SHARDS
from penstock_backbone.records.shards import Ledger, as_ledger, ledger_key, ledger_of, write_ledger
from penstock_backbone.records.tokens import head_key
from penstock_backbone.vocabulary import Cancelled, Committed, Item, TransactionPart
from penstock_orchestrator.domain.backoff import backoff_seconds
from penstock_orchestrator.domain.gate import Gate
from penstock_orchestrator.domain.limits import Limits
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.handlers.shard import Changes, Shard

ATTEMPTS_MAX = 6
LOOKS_MAX = 5
"""At the heads, until the ledger that was read with them is no older than they are."""

_log = logging.getLogger(__name__)


class Shards:
    """`ledger` is the newest that was read or written. `strays` are tokens that stand in another shard than their tenant's,
    by their keys, with that shard's number; held ones come first. `drawings_are_old`: limits have changed since the boards
    were last compared with the gates."""

    def __init__(self, tables: Tables, *, clock: Clock, ids: Ids, chance: Chance) -> None:
        self._tables = tables
        self._clock = clock
        self._ids = ids
        self._chance = chance
        self._all: list[Shard] = []
        self._ledger_is_current = False
        self.changes = Changes()
        self.ledger = Ledger()
        self.strays: dict[str, int] = {}
        self.drawings_are_old = False
        self._follow(self.ledger)

    def __getitem__(self, number: int) -> Shard:
        return self._all[number]

    def __len__(self) -> int:
        return len(self._all)

    # --- looking ----------------------------------------------------------------------------------

    @property
    def are_current(self) -> bool:
        return self._ledger_is_current and all(shard.is_current for shard in self._all)

    @property
    def gates(self) -> list[Gate]:
        return [shard.gate for shard in self._all]

    @property
    def held(self) -> Mapping[str, Token]:
        """By key, of all shards."""
        if len(self._all) == 1:
            return self._all[0].gate.held
        return {key: token for gate in self.gates for key, token in gate.held.items()}

    @property
    def tokens(self) -> int:
        """How many there are, waiting or held, in all shards."""
        return sum(len(gate.waiting) + len(gate.held) for gate in self.gates)

    def home_of(self, tenant: str) -> int:
        return self.ledger.home(tenant)

    def home(self, tenant: str) -> Shard:
        return self._all[self.home_of(tenant)]

    def held_of(self, run: str) -> Token | None:
        return next((token for shard in self._all if (token := shard.gate.held_of(run)) is not None), None)

    def waiting(self, key: str) -> Token | None:
        return next((token for shard in self._all if (token := shard.gate.waiting.get(key)) is not None), None)

    # --- following the tables -----------------------------------------------------------------------

    def distrust(self) -> None:
        """Everything is loaded before the next decision."""
        self._ledger_is_current = False
        for shard in self._all:
            shard.is_current = False

    async def have_moved(self) -> bool:
        """Whether anybody else has decided, or changed the ledger, since this process last read or did. Reads the heads."""
        *heads, item = await self._tables.get([*(head_key(shard.number) for shard in self._all), ledger_key()])
        stand = all(shard.is_at(head) for shard, head in zip(self._all, heads, strict=True))
        return not (stand and self._ledger_is_current and as_ledger(item).version == self.ledger.version)

    async def has_newest_ledger(self) -> bool:
        """Reads nothing but the ledger. Until that is done it is not to be trusted."""
        self._ledger_is_current = False
        (item,) = await self._tables.get([ledger_key()])
        self._ledger_is_current = as_ledger(item).version == self.ledger.version
        return self._ledger_is_current

    async def load(self, limits: Limits) -> None:
        """Whatever is not current. `limits` were read before, so that the ledger is no older than they are."""
        due = [shard for shard in self._all if not shard.is_current]
        item: Item | None = None
        for _ in range(LOOKS_MAX):
            *heads, item = await self._tables.get([*(head_key(shard.number) for shard in due), ledger_key()])
            ledger = as_ledger(item)
            if any(head is not None and ledger_of(head) > ledger.version for head in heads):
                continue
            if ledger.map != self.ledger.map:
                self.distrust()
            self._follow(ledger)
            known, due = due, [shard for shard in self._all if not shard.is_current]
            if due == known:
                await together(shard.load(head, limits) for shard, head in zip(due, heads, strict=True))
                self._ledger_is_current = True
                self.look_for_strays()
                self.drawings_are_old = True
                return
        if item is None:
            key = ledger_key()
            raise Fatal(
                f"the ledger of the shards is gone while heads name it: restore the item {key.pk} / {key.sk} and the heads "
                "of the tokens table from the same backup"
            )
        raise Retryable("the ledger of the shards changes all the time: it is read again")

    def hungry(self) -> int:
        """To be drawn on the fleet's board."""
        return sum(shard.hungry() for shard in self._all)

    def compare_drawn(self) -> None:
        """After a decision: where limits have changed since the last time, or everything was read."""
        if self.drawings_are_old:
            self.drawings_are_old = False
            for shard in self._all:
                shard.compare_drawn()

    def wait(self, token: Token) -> None:
        """A token that is in the table now, and that the gate may know already."""
        self.home(token.tenant).wait(token)

    async def settle(self) -> None:
        """Applies what is left of the last decisions. Raises Retryable while that cannot be done."""
        if len(self._all) == 1:
            await self._all[0].settle()
        else:
            await together(shard.settle() for shard in self._all)

    # --- changing the ledger ------------------------------------------------------------------------

    async def amend(
        self, ledger: Ledger, fenced: Iterable[int], parts: Sequence[TransactionPart], limits: Limits
    ) -> bool:
        """Writes the next ledger, in one transaction with the heads of the shards `fenced` and with `parts`.

        False: something of it had changed before, so that it has to be loaded again. A lost answer is not looked
        into: the transaction is sent again, and finds its own commit id.
        """
        shards = [self._all[number] for number in fenced]
        fences = [shard.fence(ledger.version, ledger.commit_id) for shard in shards]
        self._ledger_is_current = False
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                outcome = await self._tables.transact([write_ledger(ledger), *fences, *parts])
            except Retryable as error:
                _log.info("The outcome of a change of the ledger is not known, so it is sent again: %s", error)
                await self._clock.sleep(backoff_seconds(attempt, self._chance.random()))
                continue
            if isinstance(outcome, Cancelled) and not _is_own(outcome, ledger):
                return False
            assert isinstance(outcome, Committed | Cancelled), outcome
            for shard in shards:
                shard.fenced()
            self._ledger_is_current = True
            for shard in self._follow(ledger):
                shard.begin(limits)
            return True
        raise Retryable("the ledger of the shards could not be written: it is read again before the next decision")

    def moved(self, keys: Iterable[str], source: int, target: int) -> None:
        """Those tokens stand in the other shard now."""
        here, there = self._all[source].gate, self._all[target].gate
        for key in keys:
            del self.strays[key]
            if key in here.held:
                token = here.held[key]
                here.free(token)
                there.hold(token)
            else:
                token = here.waiting[key]
                here.leave(token)
                there.wait(token)
            self.changes.of([token.tenant])

    def look_for_strays(self) -> None:
        """Where tokens stand in a shard that is no longer their tenant's, or never was."""
        if len(self._all) == 1:
            return
        home = self.home_of
        held = [(key, token, shard.number) for shard in self._all for key, token in shard.gate.held.items()]
        waiting = [(key, token, shard.number) for shard in self._all for key, token in shard.gate.waiting.items()]
        self.strays = {key: number for key, token, number in [*held, *waiting] if home(token.tenant) != number}

    def _follow(self, ledger: Ledger) -> list[Shard]:
        """The shards that are new."""
        if ledger.map != self.ledger.map:
            self.changes.of((), [SHARDS])
        self.ledger = ledger
        new = [
            Shard(
                self._tables,
                number=number,
                clock=self._clock,
                ids=self._ids,
                chance=self._chance,
                changes=self.changes,
            )
            for number in range(len(self._all), ledger.known)
        ]
        self._all += new
        return new


async def together(works: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each has given, once all have ended; what one of them raises is raised then."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _is_own(outcome: Cancelled, ledger: Ledger) -> bool:
    refused = outcome.reasons[0]
    item: Item | None = None if refused is None else refused.item
    return item is not None and as_ledger(item).commit_id == ledger.commit_id
