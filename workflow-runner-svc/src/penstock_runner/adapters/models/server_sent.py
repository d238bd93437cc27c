"""Reads what a service streams: the data of server-sent events, within bounds."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import httpx

from penstock_runner.workflows.building.service.chat import REPLY_BYTES_MAX, Unusable

STREAM_BYTES_MAX = 4 * REPLY_BYTES_MAX
"""Each piece of an answer comes in an envelope several times its size."""
_LINE_END = re.compile(rb"\r\n|\n|\r")


async def data_lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """What stands after "data:", line by line. Not by httpx's aiter_lines: it ends lines at the signs, such as U+2028,
    that JSON may hold within a text, and keeps a line without an end whole. Raises Unusable for an answer without end."""
    size = 0
    begun: list[bytes] = []
    async for block in response.aiter_bytes():
        size += len(block)
        if size > STREAM_BYTES_MAX:
            raise Unusable("The model's answer has no end: it was cut off.")
        *whole, rest = _LINE_END.split(block)
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun.clear()
        begun.append(rest)
        for line in whole:
            if line.startswith(b"data:") and (data := line[5:].strip()):
                yield data
    last = b"".join(begun)
    if last.startswith(b"data:") and (data := last[5:].strip()):
        yield data


async def head_of(response: httpx.Response, most: int) -> str:
    """The beginning of a body that should be short."""
    found = bytearray()
    async for block in response.aiter_bytes():
        found += block
        if len(found) >= most:
            break
    return found[:most].decode("utf-8", "replace")
