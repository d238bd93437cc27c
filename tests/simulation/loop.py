"""A deterministic asyncio loop: virtual time, one seeded order of steps, no selector, no threads.

Plain asyncio cannot be replayed even with a seed, because sets of tasks are ordered by their addresses; here
tasks and futures hash by a number. Steps of a process that is frozen are put aside, those of one that is gone
are dropped: a step belongs to the process in whose context it was scheduled.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random  # noqa: TID251  # the simulation's chance is seeded
from typing import Any, Protocol


class Owner(Protocol):
    """A process as the loop sees it. `aside` None: it is running; otherwise its steps wait there."""

    gone: bool
    aside: list[asyncio.Handle] | None

    def adopt(self, task: asyncio.Task[Any]) -> None: ...


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)


class Stuck(Exception):
    """Nothing can ever happen again, or too much has happened."""


class _Step(asyncio.Handle):
    """As asyncio.Handle, without what only debugging needs."""

    __slots__ = ()

    def __init__(self, callback: Any, args: Any, context: contextvars.Context | None) -> None:
        self._callback = callback
        self._args = args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]  # nothing looks at a cancelled step


class _Timer(asyncio.TimerHandle):
    __slots__ = ()

    def __init__(self, when: float, callback: Any, args: Any, context: contextvars.Context | None) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]  # nothing looks at a cancelled step


class _NumberedTask(asyncio.Task[Any]):
    def __init__(self, coroutine: Any, *, loop: SimulationLoop, name: str | None, context: Any) -> None:
        self._number = loop.next_number()
        super().__init__(coroutine, loop=loop, name=name or "task", context=context)
        # A process that is gone leaves its tasks undone, and that is nobody's mistake.
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number


class _NumberedFuture(asyncio.Future[Any]):
    def __init__(self, *, loop: SimulationLoop) -> None:
        self._number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class SimulationLoop(asyncio.BaseEventLoop):
    """`chance` None: first come, first served, as production's loop does it. Otherwise it picks among the ready."""

    def __init__(self, chance: Random | None, *, steps_max: int) -> None:
        super().__init__()
        self.now = 0.0
        self.steps = 0
        self.failure: BaseException | None = None
        self._steps_max = steps_max
        self._chance = chance
        self._numbers = 0
        self._due: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.Handle]] = []
        self._over = False
        self.set_exception_handler(lambda _loop, _context: None)

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def run(self, main: Coroutine[Any, Any, Any]) -> None:
        """Until `main` is done, or `failure` is set, or somebody raises outside of every task."""
        running = self.create_task(main)
        events._set_running_loop(self)
        try:
            self._turn(running)
        finally:
            self._over = True
            events._set_running_loop(None)
        running.result()

    def _turn(self, running: asyncio.Task[Any]) -> None:
        due, timers, chance = self._due, self._timers, self._chance
        while not running.done():
            if not due:
                self._advance(timers, due)
                continue
            if chance is None or len(due) == 1:
                step = due.popleft()
            else:
                place = int(chance.random() * len(due))
                step = due[place]
                due[place] = due[-1]
                due.pop()
            if step._cancelled:
                continue
            context: Any = step._context  # type: ignore[attr-defined]  # typeshed does not list it
            owner = context.get(OWNER)
            if owner is not None:
                if owner.gone:
                    continue
                if owner.aside is not None:
                    owner.aside.append(step)
                    continue
            self.steps += 1
            context.run(step._callback, *step._args)  # type: ignore[attr-defined]  # typeshed does not list them
            if self.failure is not None:
                raise self.failure
            if self.steps > self._steps_max:
                raise Stuck(f"{self._steps_max} steps were made, and it goes on")

    def _advance(self, timers: list[tuple[float, int, asyncio.Handle]], due: deque[asyncio.Handle]) -> None:
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck("nobody waits for anything")
        now = self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= now:
            step = heapq.heappop(timers)[2]
            if not step._cancelled:
                due.append(step)

    def resume(self, steps: list[asyncio.Handle]) -> None:
        """Those that were put aside for a process that has thawed."""
        self._due.extend(steps)

    # --- what asyncio asks of a loop ----------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]  # typeshed ties the arguments' types to the callback's
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        step = _Step(callback, args, context)
        if not self._over:
            self._due.append(step)
        return step

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> asyncio.Handle:  # type: ignore[override]  # as above
        raise AssertionError("a simulation has no threads")

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + max(0.0, delay), callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        step = _Timer(when, callback, args, context)
        if not self._over:
            heapq.heappush(self._timers, (when, self.next_number(), step))
        return step

    def create_future(self) -> asyncio.Future[Any]:
        return _NumberedFuture(loop=self)

    def create_task(self, coroutine: Any, *, name: Any = None, context: Any = None) -> asyncio.Task[Any]:
        task = _NumberedTask(coroutine, loop=self, name=name, context=context)
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            owner.adopt(task)
        return task

    def _check_closed(self) -> None:
        """There is nothing to close."""

    def is_closed(self) -> bool:
        return True
