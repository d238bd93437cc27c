"""Converse as models on Bedrock really speak it, and its thread, which nobody has to wait for."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.runner.models.service import Answer, Service, bedrock_refusal, conversation, serving, talk

from penstock_backbone.system import SystemClock
from penstock_runner.adapters.models import bedrock
from penstock_runner.adapters.models.bedrock import Bedrock
from penstock_runner.workflows.building.service.chat import Busy, Question, Reply, Turn, Unusable

pytestmark = pytest.mark.anyio

QUESTION = Question("You plan.", (Turn("user", "Plan it."),), "Plan", {"type": "object", "properties": {"a": {}}})


async def asked(*answers: Answer) -> tuple[Reply, Service]:
    """What is made of the answers, one for each request."""
    left = list(answers)
    async with serving(lambda *_: left.pop(0)) as service:
        return await Bedrock("anthropic.test", "eu-central-1", service.url).ask(QUESTION), service


def framed(answer: Answer, **how: Any) -> Answer:
    return dataclasses.replace(answer, framed=True, **how)


async def test_a_stream_in_chunks_is_heard_and_one_that_breaks_off_in_them_may_be_better_later() -> None:
    reply, _ = await asked(framed(conversation('{"a": 1}')))
    assert reply.text == '{"a": 1}'
    with pytest.raises(Busy, match="broke off"):
        await asked(framed(conversation("{", stop=None), cut=True))


async def test_a_stream_that_falls_silent_may_be_better_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock, "SILENCE_SECONDS_MAX", 0.2)
    with pytest.raises(Busy, match="broke off"):
        await asked(framed(conversation("{" * 5000), pause_seconds=1.0))


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        ("The maximum tokens you requested exceeds the model limit of 8192. Try again with a lower value.", "inferenceConfig"),
        ("This model doesn't support the toolConfig.toolChoice.tool field. Remove it and try again.", "toolConfig"),
        ("This model doesn't support tool use in streaming mode.", "toolConfig"),
    ],
)  # fmt: skip
async def test_what_a_model_cannot_do_is_left_out(message: str, left_out: str) -> None:
    refused = bedrock_refusal(400, "ValidationException", message)
    reply, service = await asked(refused, talk(("text", '{"a": 1}')))
    first, second = service.asked
    assert set(first) - set(second) == {left_out}
    assert ('"properties"' in second["system"][0]["text"]) == (left_out == "toolConfig")
    assert reply.text == '{"a": 1}'


async def test_a_model_that_always_refuses_is_given_up() -> None:
    refused = bedrock_refusal(400, "ValidationException", "neither tool use nor maxTokens")
    with pytest.raises(Unusable, match="neither tool use"):
        await asked(refused, refused, refused)


async def test_what_is_written_into_the_tool_counts_before_what_is_said_beside_it() -> None:
    reply, _ = await asked(talk(("text", "I fill {a}: "), ("input", '{"a"'), ("input", ": 1}"), stop="tool_use"))
    assert reply.text == '{"a": 1}'


@pytest.mark.parametrize(
    ("stop", "complete", "declined"),
    [
        ("model_context_window_exceeded", False, None),
        ("guardrail_intervened", True, "a guardrail stopped it"),
        ("content_filtered", True, "its filter stopped it"),
    ],
)
async def test_why_an_answer_ended_is_understood(stop: str, *, complete: bool, declined: str | None) -> None:
    reply, _ = await asked(talk(("input", "{"), stop=stop))
    assert (reply.complete, reply.declined) == (complete, declined)


async def test_a_sign_whose_halves_come_in_two_pieces_is_put_together() -> None:
    reply, _ = await asked(talk(("input", "a\ud83d"), ("input", "\ude00b"), stop="tool_use"))
    assert reply.text == "a😀b"


async def test_a_model_that_failed_by_itself_may_be_better_later() -> None:
    with pytest.raises(Busy):
        await asked(bedrock_refusal(424, "ModelErrorException"))


async def until(true: Callable[[], bool]) -> None:
    clock = SystemClock()
    for _ in range(800):
        if true():
            return
        await clock.sleep(0.01)
    pytest.fail("it did not come true in time")


def listening() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "penstock-bedrock"]


async def test_one_that_is_no_longer_waited_for_ends_and_holds_up_neither_files_nor_the_process() -> None:
    slow = framed(conversation("x" * 997 * 200), pause_seconds=0.05)
    clock = SystemClock()
    async with serving(lambda *_: slow) as service:
        client = Bedrock("anthropic.test", "eu-central-1", service.url)
        asking = [asyncio.create_task(client.ask(QUESTION)) for _ in range(40)]
        await until(lambda: len(service.asked) == 40)
        began = clock.monotonic()
        await asyncio.wait_for(asyncio.to_thread(int), 1.0)
        assert clock.monotonic() - began < 1.0, "the loop's own threads are free"
        assert all(thread.daemon for thread in listening())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await until(lambda: not listening())


async def test_a_trickle_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock, "ANSWER_SECONDS_MAX", 0.3)
    with pytest.raises(Busy, match="did not finish within"):
        await asked(framed(conversation("x" * 997 * 100), pause_seconds=0.05))
