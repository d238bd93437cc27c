"""Workflows for the end-to-end tests: short stages, so that a kill meets a run in the middle."""

from __future__ import annotations

from pydantic import BaseModel

from penstock_backbone.system import SystemClock
from penstock_runner.authoring import Stage, StageContext, StageFunction, Workflow

CLOCK = SystemClock()
STAGES = 7


class Step(BaseModel):
    """What a stage saw."""

    stage: str
    key: str


async def step(context: StageContext) -> Step:
    await CLOCK.sleep(0.15)
    return _seen(context)


async def quick_step(context: StageContext) -> Step:
    await CLOCK.sleep(0.05)
    return _seen(context)


def _seen(context: StageContext) -> Step:
    return Step(stage=context.stage, key=context.idempotency_key)


def steps(name: str, work: StageFunction = step) -> Workflow:
    return Workflow(
        name, version="1", stages=tuple(Stage(f"step_{number}", work, Step) for number in range(1, STAGES + 1))
    )


WORKFLOWS = (steps("seven_steps"), steps("seven_quick_steps", quick_step))
