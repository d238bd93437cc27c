"""Any service that speaks the chat completions protocol: OpenAI's own, vLLM, Ollama, a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from contextlib import aclosing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from penstock_runner.adapters.models.server_sent import STREAM_BYTES_MAX, data_lines, head_of
from penstock_runner.workflows.building.service.chat import (
    ANSWER_SECONDS_MAX,
    OUTPUT_TOKENS_MAX,
    REPLY_BYTES_MAX,
    SILENCE_SECONDS_MAX,
    Busy,
    Question,
    Reply,
    Unusable,
    joined,
)

CONNECT_SECONDS_MAX = 10.0
REFUSAL_CHARS_MAX, REFUSAL_SHOWN_CHARS_MAX = 16 * 1024, 500
PATH = "/chat/completions"
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
_LATER = frozenset({408, 409, 425, 429})
_OPTIONS = {
    "response_format": re.compile(r"response_?format|schema", re.IGNORECASE),
    "max_completion_tokens": re.compile(
        r"max_(completion_|output_|new_)?tokens|context.length|completion tokens", re.IGNORECASE
    ),
    "stream_options": re.compile(r"stream_options|include_usage", re.IGNORECASE),
}
"""What some services know the protocol without, and how their refusals speak of it; a limit may also be more than a model
can write. The prompt says all the same what is wanted, and services have limits of their own."""


@dataclass(slots=True)
class _Heard:
    pieces: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    size: int = 0
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0

    def reply(self) -> Reply:
        declined = joined(self.refusal) or ("its filter stopped it" if self.finish == "content_filter" else None)
        text = joined(self.pieces)
        complete = self.finish != "length"
        return Reply(text, self.input_tokens, self.output_tokens, complete, declined, self.cached_tokens)


class OpenAiCompatible:
    """A ChatModel. `url` is what comes before /chat/completions, usually ending in /v1."""

    def __init__(self, url: str, model: str, key: str | None) -> None:
        self.name = model
        parts = urlsplit(url)
        path = parts.path.rstrip("/").removesuffix(PATH) + PATH
        self._url = parts._replace(path=path, fragment="").geturl()
        # For people: without what may be a secret.
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
        # A proxy of the environment is no way to this machine, whether or not somebody thought of NO_PROXY.
        self._through_proxies = parts.hostname not in _THIS_MACHINE
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = httpx.Timeout(SILENCE_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        self._without: frozenset[str] = frozenset()

    async def ask(self, question: Question) -> Reply:
        for _ in range(1 + len(_OPTIONS)):
            try:
                return await self._stream(question, self._without)
            except _OptionRefused as refused:
                self._without |= {refused.option}
        raise AssertionError("without options, none is refused")

    async def _stream(self, question: Question, without: frozenset[str]) -> Reply:
        """`without`: the options that are left out. Others may learn of more meanwhile."""
        heard = _Heard()
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS_MAX),
                httpx.AsyncClient(
                    timeout=self._timeout,
                    headers=self._headers,
                    verify=_authorities(),
                    trust_env=self._through_proxies,
                ) as client,
                client.stream("POST", self._url, json=self._body(question, without)) as response,
            ):
                if response.status_code != 200:
                    await self._refused(response, without)
                await _listen(response, heard)
        except httpx.HTTPError as error:
            raise Busy(f"{self.name} at {self._place} cannot be reached, or broke off: {error!r:.200}") from error
        except TimeoutError as error:
            raise Busy(f"{self.name} at {self._place} did not finish within {ANSWER_SECONDS_MAX:g} s") from error
        if heard.finish is None:
            raise Busy(f"{self.name} broke off in the middle of its answer")
        return heard.reply()

    def _body(self, question: Question, without: frozenset[str]) -> dict[str, Any]:
        in_words = "response_format" in without
        system = question.system_with_schema() if in_words else question.system
        schema = {"name": question.name, "schema": question.schema, "strict": False}
        options = {
            "response_format": {"type": "json_schema", "json_schema": schema},
            "max_completion_tokens": OUTPUT_TOKENS_MAX,
            "stream_options": {"include_usage": True},
        }
        turns = [{"role": turn.role, "content": turn.text} for turn in question.turns]
        return {
            "model": self.name,
            "messages": [{"role": "system", "content": system}, *turns],
            "stream": True,
            **{name: value for name, value in options.items() if name not in without},
        }

    async def _refused(self, response: httpx.Response, without: frozenset[str]) -> None:
        """Raises what the status means."""
        text = await head_of(response, REFUSAL_CHARS_MAX)
        status = response.status_code
        if status in _LATER or status >= 500:
            raise Busy(f"{self.name} answers {status} at the moment", _after_seconds(response.headers))
        if status in (400, 422):
            for option, named in _OPTIONS.items():
                if option not in without and named.search(text):
                    raise _OptionRefused(option)
        if status in (401, 403):
            raise Unusable(f"The service of {self.name} refuses the key ({status}): set PENSTOCK_MODEL_KEY.")
        if status == 404:
            raise Unusable(
                f"There is no model {self.name} at {self._place} (404): correct PENSTOCK_MODEL or PENSTOCK_MODEL_URL, "
                "which usually ends in /v1."
            )
        if response.has_redirect_location:
            raise Unusable(
                f"The service of {self.name} is not at {self._place} ({status}), it says, but at "
                f"{response.headers['location'][:200]}: correct PENSTOCK_MODEL_URL."
            )
        shown = " ".join(text[:REFUSAL_SHOWN_CHARS_MAX].split())
        raise Unusable(f"The service of {self.name} refuses the request ({status}): {shown}")


class _OptionRefused(Exception):
    def __init__(self, option: str) -> None:
        super().__init__(option)
        self.option = option


@cache
def _authorities() -> ssl.SSLContext:
    """Reading the certificates takes a loop 20 ms, which each question would cost the other stages of the runner."""
    return httpx.create_ssl_context()


async def _listen(response: httpx.Response, heard: _Heard) -> None:
    """To the end, or to [DONE]. Raises Busy for what cannot be read."""
    if response.headers.get("content-type", "").startswith("application/json"):
        # Some services do not stream, whatever they are asked.
        _hear(await head_of(response, STREAM_BYTES_MAX), heard)
        return
    async with aclosing(data_lines(response)) as lines:
        async for data in lines:
            if data == b"[DONE]":
                return
            _hear(data, heard)


def _hear(data: str | bytes, heard: _Heard) -> None:
    try:
        event = json.loads(data)
        if event.get("error"):
            raise Busy(f"the model's service broke off: {event['error']!r:.200}")
        for choice in event.get("choices") or ():
            said = choice.get("delta") or choice.get("message") or {}
            for piece, pieces in ((said.get("content"), heard.pieces), (said.get("refusal"), heard.refusal)):
                heard.size += len(piece or "")
                pieces.append("" + (piece or ""))
            heard.finish = choice.get("finish_reason") or heard.finish
        usage = event.get("usage") or {}
        if type(usage.get("prompt_tokens")) is int and type(usage.get("completion_tokens")) is int:
            heard.input_tokens, heard.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            heard.cached_tokens = min(cached, heard.input_tokens) if type(cached) is int and cached > 0 else 0
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Busy(f"the model's service sent something that is no part of an answer: {data[:100]!r}") from error
    if heard.size > REPLY_BYTES_MAX:
        raise Unusable("The model's answer is too long to be a document.")


def _after_seconds(headers: httpx.Headers) -> float | None:
    """Of Retry-After, in seconds or as a date, which is compared with the service's own clock."""
    wanted = headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return max(0.0, float(wanted))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(wanted) - parsedate_to_datetime(headers.get("date"))).total_seconds())
    return None
