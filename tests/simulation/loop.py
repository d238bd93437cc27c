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
from typing import Any, Protocol, TypeAlias

from tests.simulation.violations import Violation


class Owner(Protocol):
    """A process as the loop sees it. `aside` None: it is running; otherwise its steps wait there."""

    gone: bool
    aside: list[Any] | None

    def adopt(self, task: asyncio.Task[Any]) -> None: ...


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)


class Stuck(Exception):
    """Nothing can ever happen again, or too much has happened."""


def died(error: BaseException) -> Violation:
    violation = Violation("log", f"a task that nobody waits for has died of {error!r}")
    violation.__cause__ = error
    return violation


Event: TypeAlias = tuple[Owner | None, Callable[..., object], tuple[Any, ...], contextvars.Context | None]
"""Something that happens at its time and is never taken back: cheaper than a handle. Without a context it is outside of
every one."""


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
    owner: Owner | None = None

    def __init__(self, coroutine: Any, *, loop: SimulationLoop, name: str | None, context: Any) -> None:
        self._number = loop.next_number()
        super().__init__(coroutine, loop=loop, name=name or "task", context=context)
        # A process that is gone leaves its tasks undone, and that is nobody's mistake.
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number

    def is_orphan(self) -> bool:
        return self.owner is not None and self.owner.gone


class _NumberedFuture(asyncio.Future[Any]):
    """Its number is given when somebody first asks for it, because most futures are in no set."""

    _number = 0

    def __hash__(self) -> int:
        if not self._number:
            loop: Any = self.get_loop()
            self._number = loop.next_number()
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
        self._due: deque[asyncio.Handle | Event] = deque()
        self._timers: list[tuple[float, int, asyncio.Handle | Event]] = []
        self._over = False
        self.set_exception_handler(self._unheard)
        self.get_debug = bool  # type: ignore[method-assign]  # each new future asks: this answers False without a frame

    def _unheard(self, _loop: object, context: dict[str, Any]) -> None:
        """Of a task that has died, and nobody has asked what became of it. What a process leaves undone that is gone is
        nobody's mistake, and an answer that is not waited for any more may be an error."""
        task = context.get("future")
        if isinstance(task, _NumberedTask) and not task.is_orphan() and self.failure is None:
            self.failure = died(context["exception"])

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
        due, steps_max = self._due, self._steps_max
        random = self._chance.random if self._chance is not None else None
        is_over = running.done
        while not is_over():
            if not due:
                step = self._advance()
                if step is None:
                    continue
            elif random is None or len(due) == 1:
                step = due.popleft()
            else:
                place = int(random() * len(due))
                step = due[place]
                due[place] = due[-1]
                due.pop()
            context: Any
            if type(step) is tuple:
                owner, callback, arguments, context = step
            elif step._cancelled:  # type: ignore[union-attr]  # it is a handle
                continue
            else:
                handle: Any = step
                context, callback, arguments = handle._context, handle._callback, handle._args
                owner = context.get(OWNER)
            if owner is not None:
                if owner.gone:
                    continue
                if owner.aside is not None:
                    owner.aside.append(step)
                    continue
            self.steps += 1
            if context is None:
                callback(*arguments)
            else:
                context.run(callback, *arguments)
            if self.failure is not None:
                raise self.failure
            if self.steps > steps_max:
                raise Stuck(f"{steps_max} steps were made, and it goes on")

    def _advance(self) -> asyncio.Handle | Event | None:
        """To the next moment for which something is planned. One step is given at once; if there are more, all are due."""
        timers, due, pop = self._timers, self._due, heapq.heappop
        while timers:
            when, _, step = pop(timers)
            if type(step) is tuple or not step._cancelled:  # type: ignore[union-attr]  # it is a handle
                break
        else:
            raise Stuck("nobody waits for anything")
        if when > self.now:
            self.now = when
        now = self.now
        if not timers or timers[0][0] > now:
            return step
        due.append(step)
        while timers and timers[0][0] <= now:
            step = pop(timers)[2]
            if type(step) is tuple or not step._cancelled:  # type: ignore[union-attr]  # it is a handle
                due.append(step)
        return None

    def resume(self, steps: list[asyncio.Handle | Event]) -> None:
        """Those that were put aside for a process that has thawed."""
        self._due.extend(steps)

    def happen(self, at: float, owner: Owner | None, callback: Callable[..., object], *arguments: Any) -> None:
        """Calls it then, for this process or for the world; it cannot be taken back."""
        self._numbers = number = self._numbers + 1
        if not self._over:
            heapq.heappush(self._timers, (at, number, (owner, callback, arguments, None)))

    # --- what asyncio asks of a loop ----------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]  # typeshed ties the arguments' types to the callback's
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        if context is not None:
            # Only tasks and futures ask so. They never take a step back, so it needs no handle.
            if not self._over:
                self._due.append((context.get(OWNER), callback, args, context))
            return None  # type: ignore[return-value]  # a task or a future drops it
        step = _Step(callback, args, context)
        if not self._over:
            self._due.append(step)
        return step

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> asyncio.Handle:  # type: ignore[override]  # typeshed ties the arguments' types to the callback's
        raise AssertionError("a simulation has no threads")

    def call_later(  # type: ignore[override]  # typeshed ties the arguments' types to the callback's
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + max(0.0, delay), callback, *args, context=context)

    def call_at(  # type: ignore[override]  # typeshed ties the arguments' types to the callback's
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        step = _Timer(when, callback, args, context)
        if not self._over:
            heapq.heappush(self._timers, (when, self.next_number(), step))
        return step

    def create_future(self) -> asyncio.Future[Any]:
        return _NumberedFuture(loop=self)

    def create_answer(self) -> asyncio.Future[Any]:
        """For whoever awaits it at once and puts it in no set: asyncio's own class alone has a short way to its task."""
        return asyncio.Future(loop=self)

    def create_task(self, coroutine: Any, *, name: Any = None, context: Any = None) -> asyncio.Task[Any]:
        task = _NumberedTask(coroutine, loop=self, name=name, context=context)
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            task.owner = owner
            owner.adopt(task)
        return task

    def _check_closed(self) -> None:
        """There is nothing to close."""

    def is_closed(self) -> bool:
        return True
