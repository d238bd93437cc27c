"""Chat completions as services really speak them: odd frames, options they do not know, answers in other shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.runner.models.service import Answer, Service, completion, refusal, serving

from penstock_runner.adapters.models import openai_compatible
from penstock_runner.adapters.models.openai_compatible import OpenAiCompatible
from penstock_runner.adapters.models.server_sent import STREAM_BYTES_MAX
from penstock_runner.workflows.building.service.chat import Busy, Question, Reply, Turn, Unusable

pytestmark = pytest.mark.anyio

QUESTION = Question("You plan.", (Turn("user", "Plan it."),), "Plan", {"type": "object", "properties": {"a": {}}})
STREAM = {"Content-Type": "text/event-stream"}


def said(text: str, finish: str | None = None, **more: Any) -> bytes:
    event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(event, ensure_ascii=False).encode()


async def asked(*answers: Answer, path: str = "/v1") -> tuple[Reply, Service]:
    """What is made of the answers, one for each request."""
    left = list(answers)
    async with serving(lambda *_: left.pop(0)) as service:
        return await OpenAiCompatible(service.url + path, "gpt-test", "secret").ask(QUESTION), service


async def test_a_stream_may_be_cut_into_pieces_anywhere() -> None:
    whole = b"\r\n\r\n".join((said("grün "), b": still there", said("模型 🚰", "stop"), b"data: [DONE]", b""))
    reply, _ = await asked(Answer([whole[at : at + 1] for at in range(len(whole))], headers=STREAM))
    assert (reply.text, reply.complete) == ("grün 模型 🚰", True)


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
async def test_a_sign_that_python_takes_for_the_end_of_a_line_stays_within_the_text(sign: str) -> None:
    event = json.dumps({"choices": [{"delta": {"content": "a\x00b"}, "finish_reason": "stop"}]}, ensure_ascii=False)
    chunk = f"data: {event}\n\n".replace(r"\u0000", sign if sign > "\x1f" else f"\\u{ord(sign):04x}").encode()
    reply, _ = await asked(Answer([chunk], headers=STREAM))
    assert reply.text == f"a{sign}b"


async def test_a_sign_whose_halves_come_in_two_pieces_is_put_together_and_half_a_sign_is_replaced() -> None:
    halves = [{"choices": [{"delta": {"content": half}}]} for half in ("a\ud83d", "\ude00b", "\ud83d")]
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in (*halves, end)]
    reply, _ = await asked(Answer(chunks, headers=STREAM))
    assert reply.text == "a😀b\ufffd"


async def test_the_last_line_needs_no_end() -> None:
    reply, _ = await asked(Answer([said("a", "stop")], headers=STREAM))
    assert reply.text == "a"


async def test_tokens_that_are_told_with_each_piece_count_once_and_a_null_error_is_none() -> None:
    usage = [{"prompt_tokens": 9, "completion_tokens": count} for count in (1, 2)]
    pieces = [said("a", usage=usage[0], error=None), said("b", "stop", usage=usage[1], error=None)]
    reply, _ = await asked(Answer([piece + b"\n\n" for piece in pieces], headers=STREAM))
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("ab", 9, 2)


@pytest.mark.parametrize(("told", "cached"), [(60, 60), (1000, 100), (-1, 0), ("60", 0), (None, 0)])
async def test_input_that_the_service_had_read_before_is_told_apart(told: Any, cached: int) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": told}}
    reply, _ = await asked(Answer([said("a", "stop", usage=usage)], headers=STREAM))
    assert (reply.input_tokens, reply.cached_tokens) == (100, cached)


async def test_a_service_that_does_not_stream_is_heard_too() -> None:
    message = {"choices": [{"message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}]}
    body = json.dumps(message | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}).encode()
    reply, _ = await asked(Answer([body], headers={"Content-Type": "application/json; charset=utf-8"}))
    assert (reply.text, reply.input_tokens, reply.output_tokens) == ("{}", 3, 1)


@pytest.mark.parametrize(
    "event",
    [
        '{"choices": [7]}',
        '{"choices": 7}',
        '{"choices": [{"delta": {"content": [1]}}]}',
        '{"choices": [{"delta": "x"}]}',
        '{"usage": 7}',
        "[]",
        '{"a":' * 100_000,
        "\ufffd{",
    ],
)
async def test_an_event_of_another_shape_is_an_answer_that_broke_off(event: str) -> None:
    with pytest.raises(Busy):
        await asked(Answer([f"data: {event}\n\n".encode()], headers=STREAM))


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_an_answer_without_end_is_not_kept(status: int) -> None:
    sent = 0

    def blocks() -> Iterator[bytes]:
        nonlocal sent
        while sent < 8 * STREAM_BYTES_MAX:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    class Endless(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            return blocks()

    headers = {"Content-Type": "text/event-stream", "Content-Length": str(8 * STREAM_BYTES_MAX)}
    with pytest.raises((Unusable, Busy)):
        await asked(Answer(Endless(), status, headers))
    assert sent < 3 * STREAM_BYTES_MAX


async def test_a_service_that_only_keeps_the_connection_alive_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_compatible, "ANSWER_SECONDS_MAX", 0.3)
    silence = Answer([b": still there\n\n"] * 100, headers=STREAM, pause_seconds=0.05)
    with pytest.raises(Busy, match="did not finish within"):
        await asked(silence)


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        (
            "max_tokens is too large: 32000. This model supports at most 16384 completion tokens",
            "max_completion_tokens",
        ),
        ("This model's maximum context length is 32768 tokens. However, you requested 33000", "max_completion_tokens"),
        ('[{"type":"extra_forbidden","loc":["body","max_completion_tokens"]}]', "max_completion_tokens"),
        ("Unrecognized request argument supplied: stream_options", "stream_options"),
        ("This response_format type is unavailable now", "response_format"),
        ("x" * 3000 + " json_schema is not supported", "response_format"),
    ],
)
async def test_what_a_service_does_not_know_or_allow_is_left_out(message: str, left_out: str) -> None:
    _, service = await asked(refusal(422, message), completion("{}"))
    first, second = service.asked
    assert set(first) - set(second) == {left_out}


async def test_a_service_that_knows_no_option_is_asked_without_any_and_one_that_always_refuses_is_given_up() -> None:
    message = "response_format, max_tokens and stream_options are not supported"
    _, service = await asked(*[refusal(400, message)] * 3, completion("{}"))
    assert set(service.asked[-1]) == {"model", "messages", "stream"}
    with pytest.raises(Unusable, match="not supported"):
        await asked(*[refusal(400, message)] * 4)


async def test_two_that_ask_at_once_both_learn_what_the_service_does_not_know() -> None:
    """The second refusal comes when the first has been learnt from."""

    def script(_: str, body: dict[str, Any]) -> Answer:
        return refusal(400, "response_format is not supported") if "response_format" in body else completion("{}")

    async with serving(script) as service:
        client = OpenAiCompatible(f"{service.url}/v1", "gpt-test", None)
        replies = await asyncio.gather(*(client.ask(QUESTION) for _ in range(4)))
    assert [reply.text for reply in replies] == ["{}"] * 4


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("", "/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/openai?api-version=1", "/openai/chat/completions?api-version=1"),
    ],
)
async def test_the_path_follows_from_whatever_address_people_paste(path: str, wanted: str) -> None:
    paths: list[str] = []

    def script(path: str, _: dict[str, Any]) -> Answer:
        paths.append(path)
        return completion("{}")

    async with serving(script) as service:
        await OpenAiCompatible(service.url + path, "gpt-test", None).ask(QUESTION)
    assert paths == [wanted]


async def test_a_proxy_is_asked_for_other_machines_and_not_for_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []

    def script(path: str, _: dict[str, Any]) -> Answer:
        paths.append(path)
        return completion("{}")

    async with serving(script) as service:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, service.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for address in ("http://models.test/v1", f"http://localhost:{service.port}/v1"):
            await OpenAiCompatible(address, "gpt-test", None).ask(QUESTION)
    assert paths == ["http://models.test/v1/chat/completions", "/v1/chat/completions"]


async def test_an_error_shows_neither_password_nor_query_of_the_address() -> None:
    async with serving(lambda *_: refusal(404)) as service:
        address = f"http://someone:pass-word@127.0.0.1:{service.port}/v1?key=hidden"
        with pytest.raises(Unusable) as failed:
            await OpenAiCompatible(address, "gpt-test", None).ask(QUESTION)
    assert "usually ends in /v1" in str(failed.value)
    assert "pass-word" not in str(failed.value)
    assert "hidden" not in str(failed.value)


async def test_a_redirect_says_where_the_service_is() -> None:
    with pytest.raises(Unusable, match=r"at https://x\.test/v1/chat/completions: correct PENSTOCK_MODEL_URL"):
        await asked(refusal(308, "moved", Location="https://x.test/v1/chat/completions"))


@pytest.mark.parametrize(
    ("event", "declined"),
    [
        ({"delta": {"refusal": "I cannot help."}, "finish_reason": "stop"}, "I cannot help."),
        ({"delta": {"content": '{"a'}, "finish_reason": "content_filter"}, "its filter stopped it"),
    ],
)
async def test_a_refusal_of_the_model_or_of_a_filter_is_told_apart_from_a_bad_answer(
    event: dict[str, Any], declined: str
) -> None:
    reply, _ = await asked(Answer([f"data: {json.dumps({'choices': [event]})}\n\n".encode()], headers=STREAM))
    assert reply.declined == declined
