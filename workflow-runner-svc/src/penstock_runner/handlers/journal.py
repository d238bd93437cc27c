"""Writes the story of one run: commits one after another, each by condition, and what waits travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from penstock_backbone.errors import Retryable
from penstock_backbone.records.runs import (
    FACTS_MAX,
    FAILED,
    RUNNING,
    FactItem,
    RunItem,
    commit_facts,
    end_run,
    fact,
    is_committed,
)
from penstock_backbone.records.times import to_ms
from penstock_backbone.vocabulary import ITEM_BYTES_MAX, BlobRef, Item, Outcome, Refused, Unsettled, Update
from penstock_runner.handlers.patience import pause
from penstock_runner.handlers.session import Session
from penstock_runner.ports import World

FACTS_RESERVED = 20
"""Numbers kept for the end of the story, and for what the orchestrator may have to add to it."""
STORY_BYTES_MAX = 320 * 1024
"""An item of this size accepts no more stages, so that the end of the run, with its list of files, still fits."""
FRESH_ITEM_BYTES = 4 * 1024
"""Taken for a run that was never claimed before: more than its fields can have."""


class RunLost(Exception):
    """The run is no longer this session's: nothing more may be written for it, and nothing needs to be."""


class RunEnded(Exception):
    """The run has reached a terminal state: whatever else was going on in it stops."""


@dataclass(slots=True)
class _Entry:
    """What one stage has to say. `state`: with it the run ends. `error`: why it could not be written."""

    facts: Sequence[FactItem]
    results: dict[str, str | BlobRef]
    state: str | None = None
    settled: bool = False
    error: Exception | None = None


_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Journal:
    """`seq` is the number of the last fact written. All stages of a run share its journal."""

    world: World
    session: Session
    run: RunItem
    fence: int
    seq: int
    ended: str | None = None
    _waiting: list[_Entry] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._bytes = len(_encode(self.run)) if self.run["attempt"] else FRESH_ITEM_BYTES

    async def commit(self, facts: Sequence[FactItem], results: dict[str, str | BlobRef]) -> None:
        """Returns once the facts are durable, with whatever waited beside them. Raises RunEnded when the run has
        ended (by another stage, or because its story is full), RunLost when it is not ours."""
        await self._add(_Entry(facts, results))
        if self.ended is not None:
            raise RunEnded

    async def end(self, state: str, facts: Sequence[FactItem], results: dict[str, str | BlobRef]) -> None:
        """The last facts, and the run's terminal state, in one write; the first to call it decides."""
        if self.ended is None:
            await self._add(_Entry(facts, results, state))

    async def _add(self, entry: _Entry) -> None:
        if self.ended is not None:
            return
        self._waiting.append(entry)
        async with self._lock:
            if not entry.settled:
                await self._write_waiting()
        if entry.error is not None:
            raise entry.error

    async def _write_waiting(self) -> None:
        batch, self._waiting = self._waiting, []
        error: Exception | None = RunLost("it was stopped")
        try:
            await self._write(batch)
            error = None
        except Exception as caught:  # noqa: BLE001  # each stage in the batch raises it as its own
            error = caught
        finally:
            for entry in batch:
                entry.settled, entry.error = True, error

    async def _write(self, batch: list[_Entry]) -> None:
        if self.ended is not None:
            return
        facts, results, state = _merged(batch)
        size = len(_encode(facts)) + sum(len(text.encode()) for text in results.values() if isinstance(text, str))
        if self._is_full(len(facts), size, state):
            facts, results, state = [_too_long(to_ms(self.world.clock.now()))], {}, FAILED
        await self._settle(facts, results, state)
        self._bytes += size
        self.ended = state

    async def _settle(self, facts: Sequence[FactItem], results: dict[str, str | BlobRef], state: str | None) -> None:
        """Repeats the write until its outcome is known, or the session has run out."""
        failures = 0
        at = facts[-1]["at"]
        while True:
            if self.session.is_over(self.world.clock.monotonic()):
                raise RunLost("its session is over")
            outcome = await self._try(self._update(facts, results, state, at))
            if isinstance(outcome, Refused):
                if self._has_landed(outcome.item, facts, state):
                    break
                self._follow(outcome.item)
            elif isinstance(outcome, Unsettled):
                failures += 1
                await pause(self.world, failures)
            else:
                break
        self.seq += len(facts)

    async def _try(self, update: Update) -> Outcome:
        try:
            (outcome,) = await self.world.tables.write([update])
        except Retryable as error:
            return Unsettled(str(error))
        return outcome

    def _update(
        self, facts: Sequence[FactItem], results: dict[str, str | BlobRef], state: str | None, at: int
    ) -> Update:
        if state is None:
            return commit_facts(self.run["pk"], fence=self.fence, seq=self.seq, facts=facts, results=results, at=at)
        return end_run(self.run, state=state, fence=self.fence, seq=self.seq, facts=facts, results=results, at=at)

    def _has_landed(self, item: Item | None, facts: Sequence[FactItem], state: str | None) -> bool:
        """A refused write that was only a repetition of itself: its first response was lost."""
        return (
            item is not None
            and item["state"] == (state or RUNNING)
            and is_committed(item, fence=self.fence, seq=self.seq, facts=facts)
        )

    def _follow(self, item: Item | None) -> None:
        """The same fence and another number: somebody else has added a fact, and ours come after it."""
        if (
            item is None
            or item["state"] != RUNNING
            or item["fence"] != self.fence
            or item.get("session") != self.session.id
            or item["seq"] <= self.seq
        ):
            raise RunLost("another owner has it" if item else "it is gone")
        self.seq = item["seq"]

    def _is_full(self, facts: int, size: int, state: str | None) -> bool:
        if state is not None:
            return self._bytes + size > ITEM_BYTES_MAX - FRESH_ITEM_BYTES
        return self.seq + facts > FACTS_MAX - FACTS_RESERVED or self._bytes + size > STORY_BYTES_MAX


def _merged(batch: list[_Entry]) -> tuple[list[FactItem], dict[str, str | BlobRef], str | None]:
    """In the order in which they came; nothing comes after the end of the run."""
    facts: list[FactItem] = []
    results: dict[str, str | BlobRef] = {}
    for entry in batch:
        facts += entry.facts
        results |= entry.results
        if entry.state is not None:
            return facts, results, entry.state
    return facts, results, None


def _too_long(at: int) -> FactItem:
    message = (
        f"The run's story is full: it may have {FACTS_MAX - FACTS_RESERVED} facts and {STORY_BYTES_MAX} bytes. "
        "Use fewer stages or attempts, shorter error messages, and artifacts for what is large."
    )
    return fact("RunFailed", at, error="StoryTooLong", message=message)
