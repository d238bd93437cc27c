"""Workflows for the end-to-end tests: short stages, so that a kill meets a run in the middle."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel

from penstock_backbone.system import SystemClock
from penstock_runner.authoring import HERE_SECONDS, Stage, StageContext, StageFunction, Workflow

CLOCK = SystemClock()
STAGES = 7
EFFECTS_FILE = "PENSTOCK_TEST_EFFECTS"


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


async def noted_step(context: StageContext) -> Step:
    """Leaves behind that it has begun, as an effect outside of Penstock."""
    _note(context.idempotency_key)
    return await step(context)


def _note(effect: str) -> None:
    with Path(os.environ[EFFECTS_FILE]).open("a") as effects:
        effects.write(f"{effect}\n")


def _seen(context: StageContext) -> Step:
    return Step(stage=context.stage, key=context.idempotency_key)


def steps(name: str, work: StageFunction = step) -> Workflow:
    return Workflow(
        name, version="1", stages=tuple(Stage(f"step_{number}", work, Step) for number in range(1, STAGES + 1))
    )


async def reviewed(context: StageContext) -> Step:
    await context.approve("Shall it be delivered?")
    return _seen(context)


async def nap(context: StageContext) -> Step:
    await context.sleep(HERE_SECONDS + 1)
    return _seen(context)


async def patient(context: StageContext) -> Step:
    await CLOCK.sleep(120)
    return _seen(context)


REVIEWED = Workflow(
    "reviewed", version="1", stages=(Stage("draft", step, Step), Stage("review", reviewed, Step), Stage("deliver", step, Step))
)  # fmt: skip
NAPPING = Workflow("napping", version="1", stages=(Stage("nap", nap, Step),))
PATIENT = Workflow("patient", version="1", stages=(Stage("draft", step, Step), Stage("work", patient, Step)))
WORKFLOWS = (
    steps("seven_steps"), steps("seven_quick_steps", quick_step), steps("seven_noted_steps", noted_step),
    REVIEWED, NAPPING, PATIENT,
)  # fmt: skip
