"""A model's service on this machine: it speaks the real protocols, and answers what the test tells it to."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from penstock_backbone.system import SystemClock


@dataclass(frozen=True, slots=True)
class Answer:
    """`chunks` are the pieces of the body, sent with `pause_seconds` between them. `framed`: in chunks of HTTP's own, as
    AWS answers. `cut`: the connection is broken off after them."""

    chunks: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    framed: bool = False
    pause_seconds: float = 0.0


Script = Callable[[str, dict[str, Any]], Answer]
"""From the path and the JSON body of a request."""


@dataclass(slots=True)
class Service:
    port: int
    asked: list[dict[str, Any]]
    headers: list[dict[str, str]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Service]:
    """Until the body ends. One request a connection."""
    service = Service(0, [], [])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
            service.asked.append(body)
            service.headers.append(headers)
            answer = script(first.split(" ")[1], body)
            length = {"Transfer-Encoding": "chunked"} if answer.framed else {}
            if answer.status != 200 and "Content-Length" not in answer.headers:
                length = {"Content-Length": str(sum(map(len, answer.chunks)))}
            said = {"Connection": "close", **length, **answer.headers}
            writer.write(f"HTTP/1.1 {answer.status} X\r\n".encode())
            writer.write("".join(f"{name}: {value}\r\n" for name, value in said.items()).encode() + b"\r\n")
            for chunk in answer.chunks:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if answer.framed else chunk)
                await writer.drain()
                await SystemClock().sleep(answer.pause_seconds)
            if answer.framed and not answer.cut:
                writer.write(b"0\r\n\r\n")
            if answer.cut:
                writer.transport.abort()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    async with server:
        yield service


# --- chat completions ------------------------------------------------------------------------------------


def completion(
    text: str, *, finish: str | None = "stop", tokens: tuple[int, int] | None = (100, 20), cut: bool = False
) -> Answer:
    """A streamed answer in pieces of a few characters."""
    events: list[Any] = [
        {"choices": [{"index": 0, "delta": {"content": text[start : start + 997]}, "finish_reason": None}]}
        for start in range(0, len(text), 997)
    ]
    if finish:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if tokens:
        events.append({"choices": [], "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}})
    chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    if not cut:
        chunks.append(b"data: [DONE]\n\n")
    return Answer(chunks, headers={"Content-Type": "text/event-stream"}, cut=cut)


def refusal(status: int, message: str = "no", **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message}}).encode()
    return Answer([body], status, {"Content-Type": "application/json", **headers})


# --- Bedrock's Converse ------------------------------------------------------------------------------------


def conversation(
    text: str, *, stop: str | None = "tool_use", tokens: tuple[int, int] = (100, 20), cut: bool = False
) -> Answer:
    """The events of ConverseStream, in Amazon's binary framing."""
    events: list[tuple[str, Any]] = [("messageStart", {"role": "assistant"})]
    events.append(
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "answer"}}})
    )
    events += [
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": text[start : start + 997]}}})
        for start in range(0, len(text), 997)
    ]
    if stop:
        events += [
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": stop}),
            (
                "metadata",
                {
                    "usage": {"inputTokens": tokens[0], "outputTokens": tokens[1], "totalTokens": sum(tokens)},
                    "metrics": {"latencyMs": 1},
                },
            ),
        ]
    chunks = [_frame(kind, data) for kind, data in events]
    return Answer(chunks, headers={"Content-Type": "application/vnd.amazon.eventstream"}, cut=cut)


def talk(*pieces: tuple[str, str], stop: str = "end_turn") -> Answer:
    """ConverseStream's events for pieces of text ("text", …) and of a tool's input ("input", …)."""
    deltas = [{"text": piece} if kind == "text" else {"toolUse": {"input": piece}} for kind, piece in pieces]
    chunks = [_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}) for delta in deltas]
    chunks.append(_frame("messageStop", {"stopReason": stop}))
    return Answer(chunks, headers={"Content-Type": "application/vnd.amazon.eventstream"})


def stream_exception(kind: str, message: str) -> Answer:
    chunk = _frame(kind, {"message": message}, message_type="exception")
    return Answer([chunk], headers={"Content-Type": "application/vnd.amazon.eventstream"})


def bedrock_refusal(status: int, code: str, message: str = "no") -> Answer:
    body = json.dumps({"message": message}).encode()
    return Answer([body], status, {"Content-Type": "application/json", "x-amzn-ErrorType": code})


def _frame(kind: str, data: Any, message_type: str = "event") -> bytes:
    name = ":exception-type" if message_type == "exception" else ":event-type"
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for key, value in ((name, kind), (":content-type", "application/json"), (":message-type", message_type))
    )
    payload = json.dumps(data).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))
