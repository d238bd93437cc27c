"""Follows each watched run once in this process, and lets any number of clients read its story from where they are.

The follower keeps the story's frames, encoded once; a client is only a position in them. So nothing is buffered
for a client, a slow one delays nobody, and none can miss an event or see one twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum

from penstock_api.domain.events import envelopes, frame, is_over, progress_frame
from penstock_backbone.errors import BackboneError, Retryable
from penstock_backbone.ports import Clock, Tables, Watch
from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import as_run, run_key

STREAMS_MAX = 1_000
"""Open streams in this process."""
BATCH_FRAMES_MAX = 64
PING_SECONDS = 15.0
REREAD_SECONDS = 15.0
"""The item is read again after so long even without a hint: a lost hint costs latency, nothing else."""
PROGRESS_SECONDS = 1.0
"""A client hears of progress at most once in so long, and then of the newest."""
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.1, 2.0

_log = logging.getLogger(__name__)


class Over(Enum):
    """Why a stream ends."""

    COMPLETE = "the run has ended and everything was delivered"
    CLOSING = "this process is shutting down"
    GONE = "the client has left"
    FAILED = "the run cannot be followed any more"


@dataclass(frozen=True, slots=True)
class Hint:
    """The newest progress of the run: no event of its story, so it has no sequence, and only the newest counts."""

    frame: bytes


class Full(Exception):
    """STREAMS_MAX streams are open in this process."""


class Follower:
    """The story of one run as far as it is known here. frames[n] has sequence n + 1."""

    def __init__(self, project: ProjectItem) -> None:
        self.project = project
        self.frames: list[bytes] = [frame(envelope) for envelope in envelopes(project, None, 0)]
        self.over: Over | None = None
        self.hint: Hint | None = None
        self.subscriptions: set[Subscription] = set()
        self.task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        for subscription in self.subscriptions:
            subscription.wake.set()


class Subscription:
    """One client's position in a story."""

    def __init__(self, follower: Follower, after: int, clock: Clock) -> None:
        self.wake = asyncio.Event()
        self.position = after
        self._follower = follower
        self._clock = clock
        self._next_hint_at = clock.monotonic()
        self._over: Over | None = None
        self._hint: Hint | None = None

    def end(self, reason: Over) -> None:
        self._over = self._over or reason
        self.wake.set()

    async def next(self, wait_seconds: float) -> list[bytes] | Hint | Over:
        """The next frames (≤ BATCH_FRAMES_MAX) as soon as there are any, else a new hint; [] after `wait_seconds`
        without either."""
        while True:
            if self._over:
                return self._over
            if frames := self._follower.frames[self.position : self.position + BATCH_FRAMES_MAX]:
                self.position += len(frames)
                return frames
            if self._follower.over:
                return self._follower.over
            until_hint = self._until_hint()
            if until_hint <= 0:
                self._hint = self._follower.hint
                assert self._hint is not None
                self._next_hint_at = self._clock.monotonic() + PROGRESS_SECONDS
                return self._hint
            self.wake.clear()
            try:
                async with asyncio.timeout(min(wait_seconds, until_hint)):
                    await self.wake.wait()
            except TimeoutError:
                if wait_seconds <= until_hint:
                    return []

    def _until_hint(self) -> float:
        """Seconds until a new hint is due; infinite while there is none."""
        if self._follower.hint is None or self._follower.hint is self._hint:
            return float("inf")
        return self._next_hint_at - self._clock.monotonic()


class Hub:
    def __init__(self, tables: Tables, watch: Watch, clock: Clock, streams_max: int = STREAMS_MAX) -> None:
        self._tables = tables
        self._watch = watch
        self._clock = clock
        self._streams_max = streams_max
        self._streams = 0
        self._closing = False
        self._followers: dict[str, Follower] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    @property
    def followed_runs(self) -> int:
        return len(self._followers)

    @contextlib.asynccontextmanager
    async def subscribe(self, project: ProjectItem, after: int) -> AsyncIterator[Subscription]:
        """Raises Full."""
        if self._streams >= self._streams_max:
            raise Full
        self._streams += 1
        follower = self._follower(project)
        subscription = Subscription(follower, after, self._clock)
        follower.subscriptions.add(subscription)
        if self._closing:
            subscription.end(Over.CLOSING)
        try:
            yield subscription
        finally:
            self._streams -= 1
            follower.subscriptions.discard(subscription)
            if not follower.subscriptions:
                self._leave(follower)

    def close(self) -> None:
        """Ends every stream; called before the server waits for its connections."""
        self._closing = True
        for follower in self._followers.values():
            for subscription in follower.subscriptions:
                subscription.end(Over.CLOSING)

    def _follower(self, project: ProjectItem) -> Follower:
        run_id = project["run_id"]
        follower = self._followers.get(run_id)
        # A run that is over may have been retried since.
        if follower is None or follower.over is not None:
            follower = self._followers[run_id] = Follower(project)
            follower.task = asyncio.create_task(self._follow(follower, self._leaving.get(run_id)))
        return follower

    def _leave(self, follower: Follower) -> None:
        run_id = follower.project["run_id"]
        if self._followers.get(run_id) is follower:
            del self._followers[run_id]
        if follower.task and not follower.task.done():
            follower.task.cancel()
            self._leaving[run_id] = follower.task
            follower.task.add_done_callback(lambda task: self._left(run_id, task))

    def _left(self, run_id: str, task: asyncio.Task[None]) -> None:
        if self._leaving.get(run_id) is task:
            del self._leaving[run_id]

    async def _follow(self, follower: Follower, predecessor: asyncio.Task[None] | None) -> None:
        if predecessor:
            # It still has to forget the key; doing so later would take the watch from us.
            await asyncio.wait([predecessor])
        key = run_key(follower.project["run_id"])
        try:
            await self._absorb_all(follower)
        except Exception:  # noqa: BLE001  # the clients must hear of it, whatever it was
            _log.exception("The events of %s cannot be followed.", key.pk)
            follower.over = Over.FAILED
        finally:
            follower.wake()
            with contextlib.suppress(BackboneError):
                await self._watch.forget(key)

    async def _absorb_all(self, follower: Follower) -> None:
        """Until the run's last fact. Repeats what may be repeated."""
        key = run_key(follower.project["run_id"])
        retry_seconds = RETRY_SECONDS_MIN
        unread = False
        while follower.over is None:
            try:
                # A change that was noticed but could not be read is not announced again.
                if not unread:
                    await self._watch.changed(key, REREAD_SECONDS)
                unread = True
                (item,) = await self._tables.get([key])
            except Retryable:
                await self._clock.sleep(retry_seconds)
                retry_seconds = min(2 * retry_seconds, RETRY_SECONDS_MAX)
                continue
            retry_seconds = RETRY_SECONDS_MIN
            unread = False
            if item is None:
                continue
            run = as_run(item)
            news = envelopes(follower.project, run, len(follower.frames))
            follower.frames.extend(frame(envelope) for envelope in news)
            if "progress" in run or follower.hint is not None:
                hint = Hint(progress_frame(run))
                follower.hint = hint if hint != follower.hint else follower.hint
            if is_over(run):
                follower.over = Over.COMPLETE
            follower.wake()
