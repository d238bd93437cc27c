"""The duties of one runner process, side by side: heartbeat, watchdog, claims, wishes; and its orderly end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from penstock_backbone.errors import BackboneError
from penstock_backbone.vocabulary import Message
from penstock_runner.domain.plan import backoff_seconds
from penstock_runner.handlers.catalog import announce
from penstock_runner.handlers.claim import Claims
from penstock_runner.handlers.session import Heartbeat, Session
from penstock_runner.handlers.watchdog import WATCH_SECONDS, Watchdog
from penstock_runner.handlers.wishes import Wishes
from penstock_runner.ports import World
from penstock_runner.registry import Registry

CAPACITY_DEFAULT = 64
"""Runs that a runner executes at once, unless it was told otherwise."""
DRAIN_SECONDS = 5.0
"""For running stages to reach their next checkpoint, unless the runner was told otherwise."""
UNWIND_SECONDS = 4.0
"""For stages that were cancelled to let go, a worker that hangs included, and for their runs to be handed back."""
HURRY_SECONDS = 0.5
"""The same when somebody is in a hurry."""
DRAIN_LOOK_SECONDS = 0.02
FAILURE_PAUSE_SECONDS_FIRST = 0.5

_log = logging.getLogger(__name__)


class Runner:
    """`first_session` is the id that the supervisor chose for this process, if there is a supervisor."""

    def __init__(
        self,
        world: World,
        registry: Registry,
        *,
        capacity: int,
        first_session: str | None,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._world = world
        self._registry = registry
        self._drain_seconds = drain_seconds
        self.heartbeat = Heartbeat(world, capacity=capacity, serves=registry.serves(), first_session=first_session)
        self.watchdog = Watchdog(world.clock)
        self.claims = Claims(
            world, registry=registry, heartbeat=self.heartbeat, watchdog=self.watchdog, capacity=capacity
        )
        self.wishes = Wishes(world, self.claims.executions)
        self._replaced: Session | None = None
        self._beating: asyncio.Task[None] | None = None
        self._taking: dict[asyncio.Task[None], None] = {}

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set; then until the stages that run have come to an end, for the seconds that it may drain at
        most, and less once `hurry` is set. `on_ready` is called before the first run is claimed."""
        if not await self._announced(stop):
            return
        on_ready()
        self._beating = asyncio.create_task(self._keep(self.heartbeat.turn))
        watching = asyncio.create_task(self._keep(self.watch_turn))
        claiming = asyncio.create_task(self._keep(self.claim_turn))
        wishing = asyncio.create_task(self._keep(self.wishes.turn))
        try:
            await stop.wait()
            await self._drain(hurry)
            await self.heartbeat.bury()
        finally:
            for duty in (claiming, watching, wishing, self._beating, *self._taking):
                duty.cancel()

    async def _announced(self, stop: asyncio.Event) -> bool:
        """False when `stop` was set before the backbone could be reached."""
        announcing = asyncio.create_task(announce(self._world, self._registry.newest()))
        stopping = asyncio.create_task(_cancel_when(stop, announcing))
        try:
            await announcing
        except asyncio.CancelledError:
            if stop.is_set():
                return False
            raise
        finally:
            announcing.cancel()
            stopping.cancel()
        return True

    async def watch_turn(self) -> float:
        """Looks at deadlines and at the session; a heartbeat that hangs in a lost session begins anew."""
        self.watchdog.turn()
        session = self.heartbeat.session
        if session is not None and session.is_over(self._world.clock.monotonic()) and session is not self._replaced:
            self._replaced = session
            if self._beating is not None:
                self._beating.cancel()
                self._beating = asyncio.create_task(self._keep(self.heartbeat.turn))
        return WATCH_SECONDS

    async def claim_turn(self) -> float:
        """Receives one batch; it is claimed beside the next turn, because slots may be free for more."""
        messages = await self.claims.receive()
        if messages:
            task = asyncio.create_task(self._take(messages))
            self._taking[task] = None
            task.add_done_callback(self._taking.pop)
        return 0.0

    async def _take(self, messages: Sequence[Message]) -> None:
        try:
            await self.claims.take(messages)
        except BackboneError as error:
            _log.warning("%d dispatch messages will come again: %s", len(messages), error)
        except Exception:  # noqa: BLE001  # nobody else waits for this task
            _log.exception("%d dispatch messages will come again.", len(messages))

    async def _keep(self, turn: Callable[[], Awaitable[float]]) -> None:
        """A duty goes on whatever a turn runs into, ever more slowly while it fails."""
        failures = 0
        while True:
            try:
                seconds = await turn()
                failures = 0
            except Exception as error:  # noqa: BLE001  # a duty outlives its failures
                failures += 1
                chance = self._world.chance.random()
                seconds = backoff_seconds(FAILURE_PAUSE_SECONDS_FIRST, failures=failures, chance=chance)
                if isinstance(error, BackboneError):
                    _log.warning("Trying again in %.1f s: %s", seconds, error)
                else:
                    _log.exception("Trying again in %.1f s.", seconds)
            if seconds > 0:
                await self._world.clock.sleep(seconds)

    async def _drain(self, hurry: asyncio.Event) -> None:
        """Runs that reach a checkpoint stop there; the others are cut off. All of them are handed back, and resume
        elsewhere. A message that a receipt on its way still brings is given back at once."""
        for execution in list(self.claims.executions.values()):
            execution.drain()
        await self.heartbeat.drain()
        await self._until_idle(self._drain_seconds, hurry)
        for execution in list(self.claims.executions.values()):
            execution.stop()
        await self._until_idle(HURRY_SECONDS if hurry.is_set() else UNWIND_SECONDS, None)

    async def _until_idle(self, seconds: float, hurry: asyncio.Event | None) -> None:
        end = self._world.clock.monotonic() + seconds
        while self.claims.executions or self._taking:
            if self._world.clock.monotonic() >= end or (hurry is not None and hurry.is_set()):
                return
            await self._world.clock.sleep(DRAIN_LOOK_SECONDS)


async def _cancel_when(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    await event.wait()
    task.cancel()
