"""What the running stages of one run say of their progress, written about once a second, and with every checkpoint."""

from __future__ import annotations

import asyncio
import contextlib

from penstock_runner.domain.failing import StoryFull
from penstock_runner.domain.wording import valid_text
from penstock_runner.handlers.journal import CancelAsked, Journal, NotAtRest, RunEnded, RunLost
from penstock_runner.ports import World

PROGRESS_SECONDS = 1.0
LINE_CHARS_MAX = 200


class Progress:
    """A hint for people: when it cannot be written the stage goes on all the same."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world = world
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._said: dict[str, tuple[float | None, str]] = {}
        self._written_at: float | None = None
        self._writing: asyncio.Task[None] | None = None

    def report(self, stage: str, fraction: float | None, line: str) -> None:
        """Raises ValueError for a fraction that is none. A stage may say it from a thread of its own."""
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"progress is a fraction from 0 to 1, not {fraction}")
        # A stage may say this a thousand times a second: only what is written is looked at.
        said = (fraction, line[: 8 * LINE_CHARS_MAX])
        if self._is_own_loop():
            self._hear(stage, said)
        else:
            self._loop.call_soon_threadsafe(self._hear, stage, said)

    def forget(self, stage: str) -> None:
        """Its attempt is over. The next write says so."""
        self._said.pop(stage, None)
        self._journal.progress.pop(stage, None)

    def stop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()

    def _is_own_loop(self) -> bool:
        """A thread may have none, or one of its own."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _hear(self, stage: str, said: tuple[float | None, str]) -> None:
        self._said[stage] = said
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        clock = self._world.clock
        try:
            while self._said:
                if self._written_at is not None:
                    await clock.sleep(max(0.0, self._written_at + PROGRESS_SECONDS - clock.monotonic()))
                self._written_at = clock.monotonic()
                for stage, (fraction, line) in list(self._said.items()):
                    # An item holds whole numbers only.
                    thousandths = None if fraction is None else round(fraction * 1000)
                    self._journal.progress[stage] = [thousandths, valid_text(self._world.redact(line)[:LINE_CHARS_MAX])]
                self._said.clear()
                with contextlib.suppress(RunEnded, RunLost, CancelAsked, NotAtRest, StoryFull):
                    await self._journal.commit([], {})
        finally:
            self._writing = None
