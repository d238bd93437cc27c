"""Workflows whose runs are recorded in histories/: each stays as it was, and a changed one gets a new version."""

from __future__ import annotations

from pydantic import BaseModel
from tests.runner.stages import Word

from penstock_runner.authoring import FinalError, RunFailure, Stage, StageContext, Workflow


class Words(BaseModel):
    words: list[str] = []


RAN: list[str] = []
"""What ran in this process, by idempotency key without the run; emptied by each test."""
TOLD: list[str] = []


def _note(context: StageContext) -> None:
    RAN.append(context.idempotency_key.partition(":")[2])


async def plain(context: StageContext) -> Word:
    _note(context)
    return Word(text=context.stage)


async def split(context: StageContext) -> Words:
    _note(context)
    return Words(words=["one", "two", "three"])


async def say(context: StageContext, word: str) -> Word:
    _note(context)
    return Word(text=word)


async def join(context: StageContext) -> Word:
    _note(context)
    return Word(text=" ".join(word.text for word in context.outputs_of("say", Word)))


async def fail(context: StageContext) -> Word:
    _note(context)
    raise FinalError("it cannot be done")


async def tell(context: StageContext, failure: RunFailure) -> None:
    TOLD.append(failure.message)


LINE = Workflow("line", "1", (Stage("draft", plain, Word), Stage("build", plain, Word), Stage("check", plain, Word)))
FORK = Workflow(
    "fork",
    "1",
    (
        Stage("plan", plain, Word),
        Stage("left", plain, Word, needs=("plan",)),
        Stage("right", plain, Word, needs=("plan",)),
        Stage("join", plain, Word, needs=("left", "right")),
    ),
)
LIST = Workflow(
    "list",
    "1",
    (Stage("split", split, Words), Stage("say", say, Word, each="split.words", at_once=1), Stage("join", join, Word)),
)
HOOK = Workflow("hook", "1", (Stage("draft", plain, Word), Stage("fail", fail, Word)), on_failure=tell)
WORKFLOWS = (LINE, FORK, LIST, HOOK)
