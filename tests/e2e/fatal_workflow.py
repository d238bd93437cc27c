"""An async stage that ends the process of its runner, each time."""

from __future__ import annotations

import os

from tests.e2e.workflows import CLOCK, Step

from penstock_runner.authoring import Stage, StageContext, Workflow


async def exits(context: StageContext) -> Step:
    await CLOCK.sleep(0.2)
    os._exit(1)


WORKFLOWS = (Workflow("fatal", version="1", stages=(Stage("work", exits, Step),)),)
