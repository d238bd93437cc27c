"""What the stages of one claimed run wait for: it outlives the claim, because the run gives its slot back meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock_backbone.records.runs import FactItem, RunItem, WaitItem, fact
from penstock_backbone.records.times import to_ms, to_text
from penstock_backbone.records.waits import (
    APPROVAL,
    QUESTION_CHARS_MAX,
    RETRY,
    SIGNAL,
    TIMER,
    WAIT_SECONDS_MAX,
    answer_key,
    is_over,
)
from penstock_runner.authoring import FinalError
from penstock_runner.domain.wording import valid_text
from penstock_runner.handlers.journal import Journal
from penstock_runner.ports import World


class Waiting:
    """`answers` and `passed` are as the run's item had them when it was last seen."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world = world
        self._journal = journal
        self._answers: Mapping[str, str] = {}
        self._passed = 0
        self.see(journal.run)

    def see(self, run: RunItem) -> None:
        self._answers = run.get("answers", {})
        self._passed = run.get("passed", 0)

    def begun(
        self, stage: str, key: str, *, kind: str, attempt: int, seconds: float | None, about: str = ""
    ) -> WaitItem:
        """The wait under this key, which an earlier execution of the stage may have begun."""
        waits = self._journal.waits.setdefault(stage, {})
        if key not in waits:
            if seconds is not None and not 0 <= seconds <= WAIT_SECONDS_MAX:
                raise FinalError(f"A stage can wait for 0 to {WAIT_SECONDS_MAX} seconds, not for {seconds:g}.")
            if len(about) > QUESTION_CHARS_MAX:
                raise FinalError(f"A question may have {QUESTION_CHARS_MAX} characters.")
            now = to_ms(self._world.clock.now())
            wait: WaitItem = {"k": kind, "n": attempt, "at": now}
            if about:
                wait["q"] = valid_text(about)
            if seconds is not None:
                wait["until"] = now + round(seconds * 1000)
            waits[key] = wait
        return waits[key]

    def answer(self, stage: str, key: str) -> str | None:
        """JSON text; None: there is none yet."""
        return self._answers.get(answer_key(stage, key, self._journal.waits[stage][key]))

    def is_over(self, stage: str, key: str) -> bool:
        """It was answered, or its time has passed."""
        return is_over(stage, key, self._journal.waits[stage][key], self._answers, self._now())

    def is_blocked(self, name: str) -> bool:
        """Whether the stage, or the item of a list, must not begin yet."""
        return any(not self.is_over(name, key) for key in self._journal.waits.get(name, ()))

    def items_of(self, stage: str) -> list[str]:
        """The unfinished items of a stage that wait, or have waited."""
        return [name for name in self._journal.waits if name.startswith(f"{stage}.")]

    def attempt(self, name: str) -> int:
        """The one in which it goes on: an attempt that waited is the same one afterwards."""
        return max((wait["n"] for wait in self._journal.waits.get(name, {}).values()), default=1)

    def forget(self, names: Iterable[str]) -> None:
        """They have finished."""
        for name in names:
            self._journal.waits.pop(name, None)

    def until(self, others: Iterable[int] = ()) -> int | None:
        """When the first of all that is waited for passes by itself, or one of `others`, in ms."""
        moments = [
            wait["until"]
            for stage, waits in self._journal.waits.items()
            for key, wait in waits.items()
            if "until" in wait and not self.is_over(stage, key)
        ]
        return min([*moments, *others], default=None)

    def told(self, stage: str, key: str) -> FactItem:
        wait = self._journal.waits[stage][key]
        details: dict[str, Any] = {}
        if wait["k"] in (SIGNAL, APPROVAL):
            details["signal" if wait["k"] == SIGNAL else "question"] = wait.get("q", "")
        if "until" in wait:
            details["until"] = to_text(wait["until"])
        now = to_ms(self._world.clock.now())
        return fact("StageWaiting", now, stage=stage, wait=key, kind=wait["k"], **details)

    def back_off(self, stage: str, attempt: int, seconds: float) -> str:
        """The key of a wait for the next attempt, which is `attempt`."""
        key = _retry_key(attempt)
        self.begun(stage, key, kind=RETRY, attempt=attempt, seconds=seconds)
        return key

    def remember(self, stage: str, attempt: int) -> None:
        """Which attempt is due, and nothing that whoever resumes the run would wait for, whatever his clock says."""
        now = to_ms(self._world.clock.now())
        self._journal.waits.setdefault(stage, {})[_retry_key(attempt)] = {
            "k": RETRY,
            "n": attempt,
            "at": now,
            "until": 0,
        }

    def _now(self) -> int:
        return max(to_ms(self._world.clock.now()), self._passed)


def _retry_key(attempt: int) -> str:
    return f"{RETRY}:{attempt}"


def sleep_key(number: int) -> str:
    return f"{TIMER}:{number}"


def signal_key(name: str) -> str:
    return f"{SIGNAL}:{name}"


def approval_key(number: int) -> str:
    return f"{APPROVAL}:{number}"
