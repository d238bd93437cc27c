"""A stage that runs once for each item of a list: some side by side, each with attempts of its own, each kept once finished."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

from penstock_runner.authoring import Stage
from penstock_runner.domain.items import item_name, items_of, joined, summed
from penstock_runner.domain.output import OUTPUT_BYTES_MAX
from penstock_runner.handlers.journal import Journal
from penstock_runner.handlers.letting_go import end
from penstock_runner.handlers.outcomes import AttemptOutcome, Failed, Succeeded, Suspended, failed
from penstock_runner.handlers.stage import Attempt, ClaimedRun, Given


class Ended(NamedTuple):
    """How the stage ended, in which attempt: the last one of the item that has failed for good."""

    outcome: AttemptOutcome
    attempt: int
    forget: tuple[str, ...] = ()


class _ItemFailed(Exception):
    def __init__(self, outcome: Failed, attempt: int) -> None:
        self.outcome = outcome
        self.attempt = attempt


Again: TypeAlias = Literal["now", "later", "never"]
AfterFailure = Callable[[Stage, str, int, Failed], Awaitable[Again]]
"""Of a stage, or of its item of this name: writes a failed attempt down and waits for its back-off, if that is short.
"now": the start of the next one is told. "never": it was the last one, and nothing is written."""


class FanOut:
    def __init__(
        self,
        claimed: ClaimedRun,
        journal: Journal,
        stage: Stage,
        after_failure: AfterFailure,
    ) -> None:
        self._claimed = claimed
        self._journal = journal
        self._stage = stage
        self._after_failure = after_failure
        self._places = asyncio.Semaphore(stage.at_once)
        self._done = 0

    async def run(self) -> Ended | None:
        """None: some items are to be done later: the run is paused, or its runner drains, or the items wait."""
        clock = self._claimed.world.clock
        began = clock.monotonic()
        stage = self._stage
        assert stage.each is not None
        source = self._claimed.plan.stages[stage.each.partition(".")[0]]
        text = self._claimed.shelf.text_of(source.name)
        assert text is not None, "a stage begins when what it needs is finished"
        try:
            items = items_of(stage, source, text)
        except Exception as error:  # noqa: BLE001  # whatever the models of the author raise is this stage's failure
            return Ended(failed(error, stage, self._claimed.world.redact, 0), 1)
        try:
            await self._all(items)
        except _ItemFailed as item:
            return Ended(item.outcome, item.attempt)
        names = tuple(item_name(stage.name, index) for index in range(len(items)))
        if any(self._claimed.shelf.text_of(name) is None for name in names):
            return None
        return Ended(await self._together(names, round((clock.monotonic() - began) * 1000)), 1, names)

    async def _all(self, items: Any) -> None:
        """The first that fails for good ends the others. Nobody is told twice to stop: it would cut short what an item
        does to clean up."""
        tasks = [asyncio.create_task(self._item(index, item, len(items))) for index, item in enumerate(items)]
        together = asyncio.gather(*tasks)
        together.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait([together])
        finally:
            for task in tasks:
                end(task)
            await asyncio.gather(*tasks, return_exceptions=True)
        together.result()

    async def _item(self, index: int, item: Any, count: int) -> None:
        name = item_name(self._stage.name, index)
        async with self._places:
            if self._claimed.shelf.text_of(name) is None:
                await self._until_finished(Given(name, f"{self._stage.name}:{index}", (item,)), index)
            if self._claimed.shelf.text_of(name) is None:
                return
            self._done += 1
            if self._done < count:
                self._claimed.progress.report(self._stage.name, self._done / count, f"{self._done} of {count}")

    async def _until_finished(self, given: Given, index: int) -> None:
        attempt = self._claimed.waiting.attempt(given.name)
        due = not self._claimed.stopping.is_set() and not self._claimed.waiting.is_blocked(given.name)
        while due:
            outcome = await Attempt(self._claimed, self._stage, attempt, given).run()
            match outcome:
                case Suspended(waits=key):
                    if key is not None:
                        await self._journal.commit([self._claimed.waiting.told(given.name, key)], {})
                    return
                case Succeeded():
                    self._claimed.waiting.forget([given.name])
                    await self._journal.commit([], {given.name: outcome.stored})
                    self._claimed.shelf.add(given.name, outcome.output, outcome.artifacts, outcome.usage)
                    return
                case Failed():
                    told = replace(outcome, message=f"item {index}: {outcome.message}")
                    again = await self._after_failure(self._stage, given.name, attempt, told)
                    if again == "never":
                        raise _ItemFailed(told, attempt)
                    due = again == "now"
                    attempt += 1
                case _:
                    assert_never(outcome)

    async def _together(self, names: tuple[str, ...], duration_ms: int) -> AttemptOutcome:
        shelf = self._claimed.shelf
        self._claimed.progress.forget(self._stage.name)
        output = joined(text for name in names if (text := shelf.text_of(name)) is not None)
        if len(output) > OUTPUT_BYTES_MAX:
            message = (
                f"the outputs of all items have {len(output)} bytes and {OUTPUT_BYTES_MAX} are possible: put artifacts"
            )
            return Failed("FinalError", message, final=True, duration_ms=duration_ms)
        left = [shelf.left_by(name) for name in names]
        artifacts = tuple({artifact.name: artifact for files, _ in left for artifact in files}.values())
        stored = await shelf.store_result(self._stage.name, output, artifacts)
        return Succeeded(output, stored, artifacts, summed(usage for _, usage in left), duration_ms)
