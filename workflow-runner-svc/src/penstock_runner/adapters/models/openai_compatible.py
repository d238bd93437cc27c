"""Any service that speaks the chat completions protocol: OpenAI's own, vLLM, Ollama, a gateway."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from penstock_runner.workflows.building.service.chat import (
    OUTPUT_TOKENS_MAX,
    REPLY_BYTES_MAX,
    Busy,
    Question,
    Reply,
    Unusable,
)

CONNECT_SECONDS_MAX = 10.0
SILENCE_SECONDS_MAX = 60.0
"""Between two pieces of an answer."""
_LATER = frozenset({408, 409, 425, 429})


@dataclass(slots=True)
class _Heard:
    text: str = ""
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class OpenAiCompatible:
    """A ChatModel. `url` is what comes before /chat/completions, usually ending in /v1."""

    def __init__(self, url: str, model: str, key: str | None) -> None:
        self.name = model
        self._url = url.rstrip("/") + "/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = httpx.Timeout(SILENCE_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        self._takes_schemas = True

    async def ask(self, question: Question) -> Reply:
        try:
            return await self._stream(question)
        except _SchemaRefused:
            # Some services know the protocol without its schemas; the prompt says what is wanted all the same.
            self._takes_schemas = False
            return await self._stream(question)

    async def _stream(self, question: Question) -> Reply:
        heard = _Heard()
        try:
            async with (
                httpx.AsyncClient(timeout=self._timeout, headers=self._headers, verify=_authorities()) as client,
                client.stream("POST", self._url, json=self._body(question)) as response,
            ):
                if response.status_code != 200:
                    await self._refused(response)
                async with aclosing(_events(response)) as events:
                    async for event in events:
                        _hear(event, heard)
        except httpx.HTTPError as error:
            raise Busy(f"{self.name} at {self._url} cannot be reached, or broke off: {error!r:.200}") from error
        if heard.finish is None:
            raise Busy(f"{self.name} broke off in the middle of its answer")
        return Reply(heard.text, heard.input_tokens, heard.output_tokens, complete=heard.finish != "length")

    def _body(self, question: Question) -> dict[str, Any]:
        system = question.system
        if not self._takes_schemas:
            system += f"\n\nThe JSON Schema of the answer:\n{json.dumps(question.schema, ensure_ascii=False)}"
        turns = [{"role": turn.role, "content": turn.text} for turn in question.turns]
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": "system", "content": system}, *turns],
            "max_completion_tokens": OUTPUT_TOKENS_MAX,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._takes_schemas:
            schema = {"name": question.name, "schema": question.schema, "strict": False}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def _refused(self, response: httpx.Response) -> None:
        """Raises what the status means."""
        text = (await response.aread())[:500].decode("utf-8", "replace")
        status = response.status_code
        if status in _LATER or status >= 500:
            raise Busy(
                f"{self.name} answers {status} at the moment", _after_seconds(response.headers.get("retry-after"))
            )
        if status in (400, 422) and self._takes_schemas and ("response_format" in text or "json_schema" in text):
            raise _SchemaRefused
        if status in (401, 403):
            raise Unusable(f"The service of {self.name} refuses the key ({status}): set PENSTOCK_MODEL_KEY.")
        if status == 404:
            raise Unusable(
                f"There is no model {self.name} at {self._url} (404): correct PENSTOCK_MODEL or PENSTOCK_MODEL_URL."
            )
        raise Unusable(f"The service of {self.name} refuses the request ({status}): {' '.join(text.split())}")


class _SchemaRefused(Exception):
    pass


@cache
def _authorities() -> ssl.SSLContext:
    """Reading the certificates takes a loop 20 ms, which each question would cost the other stages of the runner."""
    return httpx.create_ssl_context()


async def _events(response: httpx.Response) -> AsyncGenerator[Any, None]:
    """The data of the server-sent events, up to [DONE]. Raises Busy for what cannot be read."""
    size = 0
    async for line in response.aiter_lines():
        size += len(line)
        if size > 4 * REPLY_BYTES_MAX:
            raise Unusable("The model's answer has no end: it was cut off.")
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            return
        if data:
            try:
                yield json.loads(data)
            except ValueError as error:
                raise Busy(f"the model's service sent something that is not JSON: {data[:100]!r}") from error


def _hear(event: Any, heard: _Heard) -> None:
    if not isinstance(event, dict):
        raise Busy("the model's service sent an event that is no object")
    if "error" in event:
        raise Busy(f"the model's service broke off: {event['error']!r:.200}")
    for choice in event.get("choices") or ():
        heard.text += (choice.get("delta") or {}).get("content") or ""
        heard.finish = choice.get("finish_reason") or heard.finish
        if len(heard.text) > REPLY_BYTES_MAX:
            raise Unusable("The model's answer is too long to be a document.")
    usage = event.get("usage") or {}
    if type(usage.get("prompt_tokens")) is int and type(usage.get("completion_tokens")) is int:
        heard.input_tokens, heard.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]


def _after_seconds(text: str | None) -> float | None:
    """Of Retry-After in seconds; a date is not worth a clock that may be wrong."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
