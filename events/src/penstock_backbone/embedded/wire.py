"""What clients and the store say to each other: length-prefixed msgpack frames over a Unix socket.

A frame is 4 bytes of big-endian length and the msgpack of [id, request] one way, [id, kind, body] back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from penstock_backbone.errors import BackboneError
from penstock_backbone.vocabulary import (
    BusEntry,
    Key,
    Origin,
    Outgoing,
    Query,
    TransactionPart,
    Write,
)

FRAME_BYTES_MAX = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")

ANSWER = 0
FAILURE = 1
NOTICE = 2
"""Kinds of frames from the store: an answer, an error [class name, text], a watched key that changed."""


class GetItems(msgspec.Struct, frozen=True, array_like=True, tag=1):
    keys: list[Key]


class QueryItems(msgspec.Struct, frozen=True, array_like=True, tag=2):
    query: Query


class WriteItems(msgspec.Struct, frozen=True, array_like=True, tag=3):
    writes: list[Write]


class WriteAfter(msgspec.Struct, frozen=True, array_like=True, tag=4):
    guard: Write
    followers: list[Write]


class Transact(msgspec.Struct, frozen=True, array_like=True, tag=5):
    parts: list[TransactionPart]


class ReadStream(msgspec.Struct, frozen=True, array_like=True, tag=6):
    consumer: str
    limit: int
    wait_seconds: float


class SettleStream(msgspec.Struct, frozen=True, array_like=True, tag=7):
    consumer: str
    through: str


class RewindStream(msgspec.Struct, frozen=True, array_like=True, tag=8):
    consumer: str


class Publish(msgspec.Struct, frozen=True, array_like=True, tag=9):
    entries: list[BusEntry]
    origin: Origin | None


class Send(msgspec.Struct, frozen=True, array_like=True, tag=10):
    queue: str
    messages: list[Outgoing]
    origin: Origin | None


class Receive(msgspec.Struct, frozen=True, array_like=True, tag=11):
    queue: str
    limit: int
    wait_seconds: float


class DeleteMessages(msgspec.Struct, frozen=True, array_like=True, tag=12):
    queue: str
    receipts: list[str]


class ExtendMessages(msgspec.Struct, frozen=True, array_like=True, tag=13):
    queue: str
    receipts: list[str]
    seconds: float


class WatchKey(msgspec.Struct, frozen=True, array_like=True, tag=14):
    key: Key


class ForgetKey(msgspec.Struct, frozen=True, array_like=True, tag=15):
    key: Key


class CountRequests(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """How many requests the store has taken since it started."""


Request: TypeAlias = (
    GetItems
    | QueryItems
    | WriteItems
    | WriteAfter
    | Transact
    | ReadStream
    | SettleStream
    | RewindStream
    | Publish
    | Send
    | Receive
    | DeleteMessages
    | ExtendMessages
    | WatchKey
    | ForgetKey
    | CountRequests
)

_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(tuple[int, Request])
_reply_decoder = msgspec.msgpack.Decoder(tuple[int, int, msgspec.Raw])


def frame(message: Any) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> tuple[int, Request]:
    return _request_decoder.decode(body)


def decode_reply(body: bytes) -> tuple[int, int, msgspec.Raw]:
    return _reply_decoder.decode(body)


class BadFrame(BackboneError):
    """The peer does not speak this protocol."""


class Frames:
    """Cuts a byte stream into frames; keeps what is incomplete."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        rest = self._rest
        rest += data
        start = 0
        while len(rest) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(rest, start)
            if length > FRAME_BYTES_MAX:
                raise BadFrame(f"a frame of {length} bytes: {FRAME_BYTES_MAX} at most")
            end = start + _LENGTH.size + length
            if len(rest) < end:
                break
            yield bytes(rest[start + _LENGTH.size : end])
            start = end
        del rest[:start]
