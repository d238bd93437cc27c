"""Notices from a thread of its own that a stage blocks the event loop, says where, and ends a process that stays stuck.

An `async def` that computes or blocks stops everything in its runner, heartbeats included: after LEASE_SECONDS others
take the runs, and finish them. Nothing can interrupt it from outside, so a runner that never comes back would only
hold its slots. Its supervisor starts another one, and the run that did it is given up after its attempts.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable

LOOK_SECONDS = 0.5
SLOW_LOOKS = 4
"""Looks without a beat until it is said that the loop is blocked."""
STUCK_LOOKS = 60
"""The same until the process is given up: well after its session is over, so that nothing is lost by it."""
FRAMES_SHOWN = 4

_log = logging.getLogger(__name__)


class LoopGuard:
    """Counts its own looks and not the time: a process that was frozen as a whole is not stuck."""

    def __init__(self, on_stuck: Callable[[], None], look_seconds: float = LOOK_SECONDS) -> None:
        """To be made in the loop's thread. `on_stuck` is called in another."""
        self._on_stuck = on_stuck
        self._look_seconds = look_seconds
        self._guarded = threading.get_ident()
        self._beats = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="loop-guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        """The loop turns. To be called at least every `look_seconds`."""
        self._beats += 1

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        seen, silent = -1, 0
        while not self._over.wait(self._look_seconds):
            if self._beats != seen:
                seen, silent = self._beats, 0
                continue
            silent += 1
            if silent == SLOW_LOOKS:
                _log.warning(
                    "The event loop has been blocked for %.0f s. A stage that computes or blocks must be a plain def. It is here:\n%s",
                    silent * self._look_seconds, self._place(),
                )  # fmt: skip
            elif silent == STUCK_LOOKS:
                _log.error("The event loop is still blocked: this runner ends.\n%s", self._place())
                self._on_stuck()
                return

    def _place(self) -> str:
        frame = sys._current_frames().get(self._guarded)  # noqa: SLF001  # the documented way to see another thread
        return "".join(traceback.format_stack(frame)[-FRAMES_SHOWN:]).rstrip() if frame else "unknown"
