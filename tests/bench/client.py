"""One keep-alive HTTP/1.1 connection, cheap enough not to be what the benchmark measures."""

from __future__ import annotations

import asyncio
import json
from typing import Any


class Connection:
    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        payload = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Length: {len(payload)}\r\n"
        if body is not None:
            head += "Content-Type: application/json\r\n"
        self._writer.write(head.encode() + b"\r\n" + payload)
        headers = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(headers[9:12])
        start = headers.find(b"content-length:")
        length = int(headers[start + 15 : headers.find(b"\r\n", start)]) if start >= 0 else 0
        data = await self._reader.readexactly(length) if length else b""
        return status, json.loads(data) if data else None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
