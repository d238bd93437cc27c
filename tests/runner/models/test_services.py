"""Both kinds of services over real connections: streams, throttling, outages, cut connections, nonsense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.runner.models.service import (
    Answer,
    Service,
    bedrock_refusal,
    completion,
    conversation,
    refusal,
    serving,
    stream_exception,
)

from penstock_runner.adapters.models.bedrock import Bedrock
from penstock_runner.adapters.models.openai_compatible import OpenAiCompatible
from penstock_runner.workflows.building.service.chat import Busy, ChatModel, Question, Turn, Unusable

pytestmark = pytest.mark.anyio

QUESTION = Question("You plan.", (Turn("user", "Plan it."),), "Plan", {"type": "object", "properties": {"a": {}}})
Client = Callable[[Service], ChatModel]


def chat(service: Service, key: str | None = "secret") -> OpenAiCompatible:
    return OpenAiCompatible(f"{service.url}/v1", "gpt-test", key)


def bedrock(service: Service) -> Bedrock:
    return Bedrock("anthropic.test", "eu-central-1", service.url)


async def test_chat_completions_are_asked_for_a_schema_and_heard_to_the_end() -> None:
    def script(path: str, _: dict[str, Any]) -> Answer:
        assert path == "/v1/chat/completions"
        return completion('{"a": "' + "ö" * 5000 + '"}')

    async with serving(script) as service:
        reply = await chat(service).ask(QUESTION)
    assert (len(reply.text), reply.input_tokens, reply.output_tokens, reply.complete) == (5009, 100, 20, True)
    (asked,) = service.asked
    assert service.headers[0]["authorization"] == "Bearer secret"
    assert asked["model"] == "gpt-test"
    assert asked["messages"] == [{"role": "system", "content": "You plan."}, {"role": "user", "content": "Plan it."}]
    assert asked["response_format"]["json_schema"]["schema"] == QUESTION.schema


async def test_without_a_key_none_is_sent() -> None:
    async with serving(lambda *_: completion("{}", tokens=None)) as service:
        reply = await chat(service, None).ask(QUESTION)
    assert "authorization" not in service.headers[0]
    assert (reply.input_tokens, reply.output_tokens) == (None, None)


async def test_a_service_without_schemas_gets_the_schema_in_words_from_then_on() -> None:
    def script(_: str, body: dict[str, Any]) -> Answer:
        return refusal(400, "response_format is not supported") if "response_format" in body else completion("{}")

    async with serving(script) as service:
        client = chat(service)
        for _ in range(2):
            assert (await client.ask(QUESTION)).text == "{}"
    assert len(service.asked) == 3, "it is refused once, and not tried again"
    assert '"properties"' in service.asked[-1]["messages"][0]["content"]


async def test_bedrock_is_asked_for_a_tools_input_and_heard_to_the_end() -> None:
    def script(path: str, _: dict[str, Any]) -> Answer:
        assert path == "/model/anthropic.test/converse-stream"
        return conversation('{"a": "' + "x" * 5000 + '"}')

    async with serving(script) as service:
        reply = await bedrock(service).ask(QUESTION)
    assert (len(reply.text), reply.input_tokens, reply.output_tokens, reply.complete) == (5009, 100, 20, True)
    (asked,) = service.asked
    assert asked["system"] == [{"text": "You plan."}]
    (tool,) = asked["toolConfig"]["tools"]
    assert tool["toolSpec"]["inputSchema"]["json"] == QUESTION.schema
    assert asked["toolConfig"]["toolChoice"] == {"tool": {"name": "answer"}}


@pytest.mark.parametrize(
    ("client", "answer"),
    [(chat, completion("{", finish="length")), (bedrock, conversation("{", stop="max_tokens"))],
    ids=["chat", "bedrock"],
)
async def test_an_answer_that_was_cut_off_at_the_limit_says_so(client: Client, answer: Answer) -> None:
    async with serving(lambda *_: answer) as service:
        assert not (await client(service).ask(QUESTION)).complete


@pytest.mark.parametrize(
    ("client", "answer", "after_seconds"),
    [
        (chat, refusal(429, **{"Retry-After": "7"}), 7.0),
        (chat, refusal(429, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), None),
        (
            chat,
            refusal(429, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:27:20 GMT"}),
            40.0,
        ),
        (
            chat,
            refusal(429, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Thu, 22 Oct 2026 07:28:00 GMT"}),
            0.0,
        ),
        (chat, refusal(429, **{"Retry-After": "soon", "Date": "Wed, 21 Oct 2026 07:27:20 GMT"}), None),
        (chat, refusal(429, **{"Retry-After": "nan"}), 0.0),
        (chat, refusal(500), None),
        (chat, refusal(503, **{"Retry-After": "2"}), 2.0),
        (chat, completion("{", cut=True, finish=None), None),
        (chat, completion("{", finish=None), None),
        (chat, Answer([b"data: {nonsense\n\n"]), None),
        (chat, Answer([b"data: 7\n\n"]), None),
        (chat, Answer([b'data: {"error": {"message": "overloaded"}}\n\n']), None),
        (chat, Answer([b"<html>"], 502), None),
        (bedrock, bedrock_refusal(429, "ThrottlingException"), None),
        (bedrock, bedrock_refusal(503, "ServiceUnavailableException"), None),
        (bedrock, bedrock_refusal(500, "InternalServerException"), None),
        (bedrock, stream_exception("throttlingException", "slow down"), None),
        (bedrock, stream_exception("modelStreamErrorException", "it broke"), None),
        (bedrock, conversation("{", stop=None), None),
        (bedrock, conversation("{", stop=None, cut=True), None),
        (
            bedrock,
            Answer([b"not an event stream"], headers={"Content-Type": "application/vnd.amazon.eventstream"}),
            None,
        ),
    ],
)
async def test_what_may_be_better_later_is_busy(client: Client, answer: Answer, after_seconds: float | None) -> None:
    async with serving(lambda *_: answer) as service:
        with pytest.raises(Busy) as busy:
            await client(service).ask(QUESTION)
    assert busy.value.after_seconds == after_seconds


@pytest.mark.parametrize("client", [chat, bedrock])
async def test_where_nobody_listens_it_may_be_better_later(client: Client) -> None:
    async with serving(lambda *_: completion("{}")) as service:
        pass
    with pytest.raises(Busy):
        await client(service).ask(QUESTION)


@pytest.mark.parametrize(
    ("client", "answer", "sentence"),
    [
        (chat, refusal(401), "set PENSTOCK_MODEL_KEY"),
        (chat, refusal(404), "correct PENSTOCK_MODEL"),
        (chat, refusal(400, "the prompt is too long"), "the prompt is too long"),
        (bedrock, bedrock_refusal(403, "AccessDeniedException"), "allow bedrock:InvokeModelWithResponseStream"),
        (bedrock, bedrock_refusal(404, "ResourceNotFoundException"), "has no model anthropic.test"),
        (bedrock, bedrock_refusal(400, "ValidationException", "wrong"), "ValidationException): wrong"),
    ],
)
async def test_what_no_patience_can_mend_says_what_to_do(client: Client, answer: Answer, sentence: str) -> None:
    async with serving(lambda *_: answer) as service:
        with pytest.raises(Unusable, match=sentence.replace("(", r"\(").replace(")", r"\)")):
            await client(service).ask(QUESTION)
    assert len(service.asked) == 1
