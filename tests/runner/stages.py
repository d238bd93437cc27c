"""Small workflows for tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from penstock_runner.authoring import Stage, StageContext, Workflow


class Word(BaseModel):
    text: str = ""


async def nothing(context: StageContext) -> Word:
    return Word()


def says(text: str) -> Callable[[StageContext], Awaitable[Word]]:
    async def stage(context: StageContext) -> Word:
        return Word(text=text)

    return stage


def stage(name: str, run: Callable[..., Any] = nothing, **settings: Any) -> Stage:
    return Stage(name, run, **{"output": Word, **settings})


def workflow(*stages: Stage, name: str = "sample", version: str = "1") -> Workflow:
    return Workflow(name, version=version, stages=stages)


def in_a_row(count: int) -> Workflow:
    return workflow(*(stage(f"s{number}") for number in range(1, count + 1)))
