"""An async stage that ends the process of its runner, each time, and one that it must not take with it for good."""

from __future__ import annotations

import os

from tests.e2e.workflows import CLOCK, Step

from penstock_runner.authoring import Stage, StageContext, Workflow


async def exits(context: StageContext) -> Step:
    await CLOCK.sleep(0.2)
    os._exit(1)


async def works(context: StageContext) -> Step:
    await CLOCK.sleep(3)
    return Step(stage=context.stage, key=context.idempotency_key)


WORKFLOWS = (
    Workflow("fatal", version="1", stages=(Stage("work", exits, Step),)),
    Workflow("innocent", version="1", stages=(Stage("work", works, Step),)),
)
