"""What a runner and its worker say to each other: msgpack in frames of four bytes of length and the text.

The worker asks and the runner answers; what only informs has no answer. Only the runner's own words are unpickled.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import msgspec

LENGTH = struct.Struct(">I")
FRAME_BYTES_MAX = 80 * 1024 * 1024
"""More than the largest artifact with its name."""


class Work(msgspec.Struct, frozen=True, tag=True):
    """The job. `code` is the pickled function, output model, final errors and arguments: references to code, not the
    code itself."""

    code: bytes
    stage: str
    run_id: str
    project_id: str
    tenant: str
    attempt: int
    project: dict[str, object]
    idempotency_key: str


class Warm(msgspec.Struct, frozen=True, tag=True):
    """Import these modules, so that the first job need not."""

    modules: list[str]


class Answer(msgspec.Struct, frozen=True, tag=True):
    data: bytes = b""
    sha256: str = ""


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """The stage's code raises it: as FinalError when trying again cannot help."""

    message: str
    final: bool


Told: TypeAlias = Work | Warm | Answer | Refusal


class AskOutput(msgspec.Struct, frozen=True, tag=True):
    stage: str


class AskPut(msgspec.Struct, frozen=True, tag=True):
    name: str
    data: bytes


class AskGet(msgspec.Struct, frozen=True, tag=True):
    """`of`: another project's id."""

    name: str
    of: str | None


class Said(msgspec.Struct, frozen=True, tag=True):
    level: int
    text: str


class Came(msgspec.Struct, frozen=True, tag=True):
    """How far the stage has come."""

    fraction: float | None
    line: str


class Used(msgspec.Struct, frozen=True, tag=True):
    amounts: dict[str, int | None]


class Done(msgspec.Struct, frozen=True, tag=True):
    """`grown_bytes`: how much more memory the worker has needed at its peak than when it was new. `left`: what the stage
    has left behind in its process, in words."""

    output: bytes
    grown_bytes: int
    left: str


class Broke(msgspec.Struct, frozen=True, tag=True):
    error: str
    message: str
    final: bool
    trace: str
    grown_bytes: int
    left: str


Heard: TypeAlias = AskOutput | AskPut | AskGet | Said | Came | Used | Done | Broke

_encoder = msgspec.msgpack.Encoder()
told: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)
heard: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(Heard)


def framed(message: Told | Heard) -> bytes:
    text = _encoder.encode(message)
    return LENGTH.pack(len(text)) + text


def end_of_output(job: int) -> bytes:
    """The line that a worker prints after each job, so that the runner knows when it has read all that was printed."""
    return f"\n\0end of job {job}\n".encode()
