"""A stage in a worker process that will not let go. It has a module of its own, because runners that serve a blocking stage
keep workers warm for it, and a test that kills a runner each second would mostly see workers being started."""

from __future__ import annotations

import contextlib
import time

from tests.e2e.workflows import Step

from penstock_runner.authoring import BlockingContext, Stage, Workflow


def stubborn(_: BlockingContext) -> Step:
    """Hears of nothing but SIGKILL."""
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(120)  # noqa: TID251  # in a process of its own


WORKFLOWS = (Workflow("stubborn", version="1", stages=(Stage("work", stubborn, Step),)),)
