"""Writes the story of one run: commits one after another, each by condition, and what waits travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from penstock_backbone.errors import Retryable
from penstock_backbone.records.runs import (
    CANCELLED,
    FACTS_MAX,
    FAILED,
    QUEUED,
    RESTING,
    RUNNING,
    TERMINAL,
    FactItem,
    RunItem,
    WaitItem,
    as_run,
    commit_facts,
    end_run,
    fact,
    is_committed,
)
from penstock_backbone.records.times import to_ms
from penstock_backbone.records.waits import set_timer
from penstock_backbone.vocabulary import (
    ITEM_BYTES_MAX,
    BlobRef,
    Committed,
    Item,
    Outcome,
    Refused,
    Unsettled,
    Update,
    Written,
)
from penstock_runner.domain.failing import StoryFull
from penstock_runner.handlers.patience import pause
from penstock_runner.handlers.session import Session
from penstock_runner.ports import World

CROWDED_BYTES = 96 * 1024
"""From an item of this size on, results stand in blobs however short they are: facts need what is left."""
FACTS_RESERVED = 20
"""Numbers kept for the end of the story, and for what the orchestrator may have to add to it."""
STORY_BYTES_MAX = 320 * 1024
"""An item of this size accepts no more stages, so that the end of the run, with its list of files, still fits."""
STOPPED = "its runner was stopped"
YIELDED = "it yielded its slot to a tenant that had none"
FRESH_ITEM_BYTES = 4 * 1024
"""Taken for a run that was never claimed before: more than its fields can have."""


class RunLost(Exception):
    """The run is no longer this session's: nothing more may be written for it, and nothing needs to be."""


class CancelAsked(Exception):
    """Somebody wants the run ended: nothing more of its work is written. The text is the reason."""


class RunEnded(Exception):
    """The run has reached a terminal state: whatever else was going on in it stops."""


class NotAtRest(Exception):
    """Something was added to the run just when it should have rested: whether it still should is to be seen anew."""


@dataclass(slots=True)
class _Entry:
    """What one stage has to say. `state`: with it the run ends. `forget`: results that others replace. `error`: why it
    could not be written. `due`: when a run that rests goes on by itself."""

    facts: Sequence[FactItem]
    results: dict[str, str | BlobRef]
    state: str | None = None
    due: int | None = None
    forget: tuple[str, ...] = ()
    settled: bool = False
    error: Exception | None = None


_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Journal:
    """`seq` is the number of the last fact written. All stages of a run share its journal. `progress` is what the
    stages that run now have said last, `waits` what each stage waits or has waited for, and `spent` what its attempts have
    used that were cut off; every write carries them where they have changed, and none is made to keep them. `heard` is told
    of an image of the run to which somebody else has added something."""

    world: World
    session: Session
    run: RunItem
    fence: int
    seq: int
    ended: str | None = None
    progress: dict[str, list[Any]] = field(default_factory=dict)
    waits: dict[str, dict[str, WaitItem]] = field(default_factory=dict)
    spent: dict[str, dict[str, int]] = field(default_factory=dict)
    heard: Callable[[RunItem], None] = lambda _: None
    _told: dict[str, list[Any]] = field(default_factory=dict)
    _waits_told: dict[str, dict[str, WaitItem]] = field(default_factory=dict)
    _spent_told: dict[str, dict[str, int]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _waiting: list[_Entry] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _bytes: int = 0
    _cancel: str | None = None

    def __post_init__(self) -> None:
        self._bytes = len(_encode(self.run)) if "started_at" in self.run else FRESH_ITEM_BYTES
        if waits := self.run.get("waits"):
            self.waits, self._waits_told = _copied(waits), _copied(waits)
        if spent := self.run.get("spent"):
            self.spent, self._spent_told = dict(spent), dict(spent)

    def is_crowded(self, coming: int) -> bool:
        """`coming`: bytes of results that are about to be committed."""
        return self._bytes + coming > CROWDED_BYTES

    async def commit(
        self, facts: Sequence[FactItem], results: dict[str, str | BlobRef], forget: Iterable[str] = ()
    ) -> None:
        """Returns once the facts are durable, with whatever waited beside them. Raises RunEnded when the run has
        ended (by another stage), StoryFull when it must end for want of room, RunLost when it is not ours, CancelAsked
        when somebody asked for its end before these facts could be written."""
        await self._add(_Entry(facts, results, forget=tuple(forget)))
        if self.ended is not None:
            raise RunEnded

    async def end(
        self, state: str, facts: Sequence[FactItem], results: dict[str, str | BlobRef], forget: Iterable[str] = ()
    ) -> None:
        """The last facts, and the run's terminal state, in one write; the first to call it decides."""
        if self.ended is None:
            await self._add(_Entry(facts, results, state, forget=tuple(forget)))

    async def rest(self, state: str, told: FactItem, due: int | None = None) -> None:
        """The run keeps what it has, and gives its slot back: `state` is one of RESTING. Raises NotAtRest."""
        if self.ended is None:
            await self._add(_Entry([told], {}, state, due))

    async def hand_back(self, reason: str) -> None:
        """The run waits again, because this runner ends or the run yields: everything of it has stopped. Raises NotAtRest."""
        await self.end(QUEUED, [fact("RunRequeued", to_ms(self.world.clock.now()), reason=reason)], {})

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
        whole = _merged(batch)
        if self._cancel is not None and whole.state != CANCELLED:
            # The branch that heard of it first may itself have been stopped before it could say so.
            raise CancelAsked(self._cancel)
        sizes = {name: len(text.encode()) for name, text in whole.results.items() if isinstance(text, str)}
        size = len(_encode(whole.facts)) + sum(sizes.values())
        if self._is_full(len(whole.facts), size, whole.state):
            full = StoryFull(_too_long())
            if whole.state is None:
                # Stages may run beside the one that wanted this: they stop before the run is over.
                raise full
            whole = _Entry([fact("RunFailed", to_ms(self.world.clock.now()), **asdict(full.failure))], {}, FAILED)
        await self._settle(whole)
        self._sizes |= sizes
        self._bytes += size
        for name in whole.forget:
            self._bytes -= self._sizes.pop(name, 0)
        self.ended = whole.state

    async def _settle(self, entry: _Entry) -> None:
        """Repeats the write until its outcome is known, or the session has run out."""
        failures = 0
        at = entry.facts[-1]["at"] if entry.facts else to_ms(self.world.clock.now())
        progress = dict(self.progress)
        waits = _copied(self.waits) if self.waits != self._waits_told else None
        spent = dict(self.spent) if self.spent != self._spent_told else None
        while True:
            if self.session.is_over(self.world.clock.monotonic()):
                raise RunLost("its session is over")
            update = self._update(entry, at, progress if progress != self._told else None, waits, spent)
            outcome = await self._try(update, entry.due)
            if isinstance(outcome, Refused):
                if self._has_landed(outcome.item, entry):
                    break
                self._follow(outcome.item, entry.state)
            elif isinstance(outcome, Unsettled):
                failures += 1
                await pause(self.world, failures)
            else:
                break
        self.seq += len(entry.facts)
        self._told = progress
        if waits is not None:
            self._waits_told = waits
        if spent is not None:
            self._spent_told = spent

    async def _try(self, update: Update, due: int | None) -> Outcome:
        try:
            if due is None:
                (outcome,) = await self.world.tables.write([update])
                return outcome
            timer = set_timer(self.run["pk"], due=due, seq=update.set["seq"])
            verdict = await self.world.tables.transact([update, timer])
        except Retryable as error:
            return Unsettled(str(error))
        return Written() if isinstance(verdict, Committed) else verdict.reasons[0] or Unsettled("a timer is in the way")

    def _update(
        self,
        entry: _Entry,
        at: int,
        progress: dict[str, list[Any]] | None,
        waits: dict[str, dict[str, WaitItem]] | None,
        spent: dict[str, dict[str, int]] | None,
    ) -> Update:
        facts, results, forget = entry.facts, entry.results, entry.forget
        if entry.state is None:
            return commit_facts(
                self.run["pk"], fence=self.fence, seq=self.seq, facts=facts, results=results, at=at, forget=forget,
                progress=progress, waits=waits, spent=spent,
            )  # fmt: skip
        return end_run(
            self.run, state=entry.state, fence=self.fence, seq=self.seq, facts=facts, results=results, at=at,
            forget=forget, waits=waits, spent=spent, due=entry.due,
            attempt=None if entry.state in TERMINAL else self.run["attempt"],
        )  # fmt: skip

    def _has_landed(self, item: Item | None, entry: _Entry) -> bool:
        """A refused write that was only a repetition of itself: its first response was lost."""
        return (
            item is not None
            and item["state"] == (entry.state or RUNNING)
            and is_committed(item, fence=self.fence, seq=self.seq, facts=entry.facts, results=entry.results)
        )

    def _follow(self, item: Item | None, state: str | None) -> None:
        """The same fence and another number: somebody else has added a fact, and ours come after it. A wish to cancel
        is obeyed, even where the work was done a moment later: whoever was told that it will be is right."""
        if (
            item is None
            or item["state"] != RUNNING
            or item["fence"] != self.fence
            or item.get("session") != self.session.id
            or item["seq"] <= self.seq
        ):
            raise RunLost("another owner has it" if item else "it is gone")
        self.seq = item["seq"]
        self._bytes = len(_encode(item))
        if "cancel" in item and state != CANCELLED:
            self._cancel = item["cancel"]
            raise CancelAsked(item["cancel"])
        self.heard(as_run(item))
        if state in RESTING or (state == QUEUED and "pause" in item):
            raise NotAtRest

    def _is_full(self, facts: int, size: int, state: str | None) -> bool:
        if state is not None:
            return self._bytes + size > ITEM_BYTES_MAX - FRESH_ITEM_BYTES
        return self.seq + facts > FACTS_MAX - FACTS_RESERVED or self._bytes + size > STORY_BYTES_MAX


def _merged(batch: list[_Entry]) -> _Entry:
    """In the order in which they came; nothing comes after the end of the run. What one entry brings and a later one
    forgets is not written at all: no write may set and remove the same."""
    if len(batch) == 1:
        return batch[0]
    facts: list[FactItem] = []
    results: dict[str, str | BlobRef] = {}
    forget: list[str] = []
    state = due = None
    for entry in batch:
        facts += entry.facts
        results |= entry.results
        forget += entry.forget
        if entry.state is not None:
            state, due = entry.state, entry.due
            break
    kept = {name: result for name, result in results.items() if name not in forget}
    return _Entry(facts, kept, state, due, tuple(forget))


def _copied(waits: dict[str, dict[str, WaitItem]]) -> dict[str, dict[str, WaitItem]]:
    return {stage: dict(each) for stage, each in waits.items()}


def _too_long() -> str:
    return (
        f"The run's story is full: it may have {FACTS_MAX - FACTS_RESERVED} facts and {STORY_BYTES_MAX} bytes. "
        "Use fewer stages, attempts or waits, shorter error messages, and artifacts for what is large."
    )
