"""One simulated process: its clock, ids and chance, and how it is frozen, thawed and killed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  # the simulation's chance is seeded
from typing import Any

from tests.simulation.loop import OWNER, Event, Owner, SimulationLoop, died

from penstock_backbone.vocabulary import Key

BEGINNING = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
TASKS_SWEPT = 256


def stream_of(seed: int, *name: str | int) -> Random:
    """One stream of chance for each component: taking one fault away must not shift what the others draw."""
    return Random(f"{seed}/{'/'.join(map(str, name))}")  # repeatable is what it has to be


def here() -> Process:
    """The process whose code is running."""
    process = OWNER.get()
    assert isinstance(process, Process), "only a process does this"
    return process


class LocalClock:
    """`rate` local seconds pass in one true second. The wall clock can also be set wrong; the monotonic one cannot."""

    def __init__(self, loop: SimulationLoop, owner: Owner | None = None) -> None:
        self._loop = loop
        self._owner = owner
        self._since = 0.0
        self._elapsed = 0.0
        self.rate = 1.0
        self.wrong_by = timedelta()

    def run_at(self, rate: float) -> None:
        self._elapsed = self.monotonic()
        self._since = self._loop.now
        self.rate = rate

    def monotonic(self) -> float:
        return self._elapsed + (self._loop.now - self._since) * self.rate

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.monotonic()) + self.wrong_by

    async def sleep(self, seconds: float) -> None:
        awake = self._loop.create_answer()
        self._loop.happen(self._loop.now + max(0.0, seconds) / self.rate, self._owner, _wake, awake)
        await awake


def _gathered_by(task: asyncio.Task[Any]) -> Iterable[asyncio.Future[Any]]:
    """What it waits for in one asyncio.gather."""
    waiter = task._fut_waiter  # type: ignore[attr-defined]  # asyncio's own, which typeshed does not know
    return getattr(waiter, "_children", ())


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class NumberedIds:
    """Sorted by time of creation, as real ones are, and different in each life of each process."""

    def __init__(self, clock: LocalClock, life: int) -> None:
        self._clock = clock
        self._life = life
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        milliseconds = round(self._clock.monotonic() * 1000)
        return f"{prefix}_{milliseconds:09d}{self._life:04d}{self._count:06d}"


class SeededChance:
    def __init__(self, source: Random) -> None:
        self.random = source.random


class Process:
    """One life of a process called `name`. `views`: when it last saw what it decides from, in true seconds; `decided`: what
    it had seen when it made the last decision of each head, by that decision's id; `line`: the tokens that wait by its own
    gates, where it has any."""

    def __init__(self, loop: SimulationLoop, name: str, *, seed: int, life: int, rate: float) -> None:
        self.name = name
        self.seed = seed
        self.life = life
        self.loop = loop
        self.gone = False
        self.aside: list[asyncio.Handle | Event] | None = None
        self.clock = LocalClock(loop, self)
        self.clock.rate = rate
        self.ids = NumberedIds(self.clock, life)
        self.chance = SeededChance(stream_of(seed, "chance", name, life))
        self.network = stream_of(seed, "network", name, life).random
        self.views: dict[str, float] = {}
        self.decided: dict[Key, tuple[str, dict[str, float]]] = {}
        self.sessions: set[str] = set()
        self.line: Callable[[], Iterable[str]] = tuple
        self.subject: Any = None
        self.diary: Any = None
        self.stop: asyncio.Event | None = None
        self.context = contextvars.copy_context()
        self.context.run(OWNER.set, self)
        self.thawed_at = -1.0
        self.published_at = -1.0
        self._frozen_since = 0.0
        self._frozen_seconds = 0.0
        self._tasks: list[asyncio.Task[Any]] = []
        self._thaws_at = 0.0
        self._when_awake: list[Callable[[], object]] = []

    def start(self, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.loop.create_task(main, context=self.context)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Kept to the end, so that nothing of a killed process is tidied up before it."""
        self._tasks.append(task)
        if len(self._tasks) % TASKS_SWEPT == 0:
            self._tasks = [known for known in self._tasks if not known.done()]

    def demand_heard(self) -> None:
        """No task of it has died without anybody asking what became of it. Who gathers several asks when all have ended."""
        gathered = {each for task in self._tasks if not task.done() for each in _gathered_by(task)}
        for task in self._tasks:
            unheard = not self.gone and task.done() and task._log_traceback and task not in gathered
            if unheard and (error := task.exception()) is not None:
                raise died(error)

    def bury(self) -> None:
        """At the end of the world: what was under way is let go of now, not whenever Python comes to it."""
        self.kill()
        for task in self._tasks:
            with contextlib.suppress(BaseException):
                task.get_coro().close()

    @property
    def is_frozen(self) -> bool:
        return self.aside is not None

    def awake_seconds(self) -> float:
        """True seconds since the world began, without those in which this process was frozen."""
        frozen = self._frozen_seconds
        return (self.loop.now if self.aside is None else self._frozen_since) - frozen

    def kill(self) -> None:
        self.gone = True
        self.aside = None

    def freeze(self, seconds: float) -> bool:
        """False: it is gone, or lies frozen for longer than that."""
        until = self.loop.now + seconds
        if self.gone or (self.is_frozen and until <= self._thaws_at):
            return False
        if self.aside is None:
            self.aside = []
            self._frozen_since = self.loop.now
        self._thaws_at = max(self._thaws_at, until)
        self.loop.happen(self._thaws_at, None, self._thaw)
        return True

    def when_awake(self, action: Callable[[], object]) -> None:
        """As soon as it runs: at once, or when it has thawed. What a process that is gone was about to do never happens."""
        if self.is_frozen:
            self._when_awake.append(action)
        elif not self.gone:
            action()

    def thaw(self) -> None:
        self._thaws_at = self.loop.now
        self._thaw()

    def _thaw(self) -> None:
        if self.gone or self.aside is None or self.loop.now < self._thaws_at:
            return
        self.thawed_at = self.loop.now
        self._frozen_seconds += self.loop.now - self._frozen_since
        steps, self.aside = self.aside, None
        self.loop.resume(steps)
        actions, self._when_awake = self._when_awake, []
        for action in actions:
            action()
