"""Hand-written stand-ins: a clock that never waits, and AWS answers that a test writes down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from penstock_backbone.aws.calls import Calls, Service
from penstock_backbone.aws.patience import Patience
from penstock_backbone.aws.settings import AwsSettings, Names
from penstock_backbone.aws.tables import AwsTables
from penstock_backbone.aws.wakeups import Wakeups
from penstock_backbone.inventory import INVENTORY

SETTINGS = AwsSettings("dev", "eu-central-1")
NAMES = Names("dev", INVENTORY)

Answer: TypeAlias = Mapping[str, Any] | Exception | Callable[[dict[str, Any]], Mapping[str, Any]]


class HastyClock:
    """Sleeping takes no time, and is remembered."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now, UTC)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds


class CountingIds:
    def __init__(self) -> None:
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"


class EvenChance:
    def random(self) -> float:
        return 0.5


class ScriptedCalls(Calls):
    """Gives the answers in turn, the last one again and again; an exception is raised, a function is asked."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(SETTINGS)
        self._answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def call(self, service: Service, operation: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append((operation, arguments))
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer(arguments) if callable(answer) else answer)

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.asked]


def tables_over(calls: Calls, clock: HastyClock | None = None) -> AwsTables:
    return AwsTables(
        calls,
        NAMES,
        INVENTORY,
        patience=Patience(clock or HastyClock(), EvenChance()),
        ids=CountingIds(),
        wakeups=Wakeups(INVENTORY),
        in_statements=True,
    )
