"""Stands in for a run that was observed elsewhere: takes as long as it is told, and reports what that run consumed.

`penstock load` serves it; no runner offers it by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from penstock_backbone.ports import Clock
from penstock_backbone.system import SystemClock
from penstock_runner.authoring import Stage, StageContext, StageFunction, Workflow

STAGES_MAX = 20
SECONDS_MAX = 24 * 3600.0


class ReplayedRun(BaseModel):
    """`seconds` for all stages together. What was not measured is left out."""

    seconds: float = Field(ge=0, le=SECONDS_MAX)
    input_tokens: int | None = Field(default=None, ge=0)
    output_tokens: int | None = Field(default=None, ge=0)
    tool_calls: int | None = Field(default=None, ge=0)
    cost_microusd: int | None = Field(default=None, ge=0)


class Part(BaseModel):
    """A stage's share of the run."""

    stage: int
    seconds: float


def workflow_name(stages: int) -> str:
    """Of the replay of a run with so many stages, 1 to STAGES_MAX."""
    return f"replay_{stages}"


def replays(clock: Clock) -> Iterator[Workflow]:
    """One for each number of stages."""
    for count in range(1, STAGES_MAX + 1):
        stages = (
            Stage(f"part_{number}", _part(number, count, clock), Part, timeout_seconds=SECONDS_MAX)
            for number in range(1, count + 1)
        )
        yield Workflow(workflow_name(count), version="1", stages=tuple(stages), input=ReplayedRun)


def share(total: int, number: int, count: int) -> int:
    """What the part `number` of `count` gets; all parts together get `total`."""
    return total * number // count - total * (number - 1) // count


def _part(number: int, count: int, clock: Clock) -> StageFunction:
    async def take_time(context: StageContext) -> Part:
        given = context.input_as(ReplayedRun)
        seconds = given.seconds / count
        await clock.sleep(seconds)
        measured = given.model_dump(exclude={"seconds"}, exclude_none=True)
        if measured:
            context.usage.add(**{name: share(total, number, count) for name, total in measured.items()})
        return Part(stage=number, seconds=seconds)

    return take_time


WORKFLOWS = tuple(replays(SystemClock()))
