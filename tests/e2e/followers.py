"""Two clients that follow one project over any number of broken connections, as a frontend would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from tests.e2e.product import CLOCK, Product
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

AGAIN_SECONDS = 0.1
TRIES_MAX = 300
ENDS = {"RunSucceeded", "RunFailed", "RunCancelled"}
Event = dict[str, Any]


async def by_sse(product: Product, project_id: str) -> list[Event]:
    """Every event until the run's end, each as it came."""
    seen: list[Event] = []
    for _ in range(TRIES_MAX):
        try:
            async for event in _sse(product, project_id, _last(seen)):
                seen.append(event)  # noqa: PERF401  # what came before the connection broke counts
        except httpx.TransportError:
            await CLOCK.sleep(AGAIN_SECONDS)
        if _is_over(seen):
            return seen
    raise AssertionError(f"no end after {TRIES_MAX} connections: {seen[-1:]}")


async def by_websocket(product: Product, project_id: str) -> list[Event]:
    seen: list[Event] = []
    for _ in range(TRIES_MAX):
        address = f"ws://127.0.0.1:{product.port}/v1/projects/{project_id}/stream?after={_last(seen)}"
        try:
            async with connect(address, proxy=None) as socket:
                async for message in socket:
                    seen.append(json.loads(message))  # noqa: PERF401  # what came before it broke counts
        except (OSError, ConnectionClosed, InvalidStatus):
            await CLOCK.sleep(AGAIN_SECONDS)
        if _is_over(seen):
            return seen
    raise AssertionError(f"no end after {TRIES_MAX} connections: {seen[-1:]}")


async def _sse(product: Product, project_id: str, after: int) -> AsyncIterator[Event]:
    path = f"/v1/projects/{project_id}/events/stream"
    async with product.client() as client, client.stream("GET", path, params={"after": after}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:") and "metadata" in (event := json.loads(line.removeprefix("data:"))):
                yield event


def _last(seen: list[Event]) -> int:
    return int(seen[-1]["metadata"]["sequence"]) if seen else 0


def _is_over(seen: list[Event]) -> bool:
    return bool(seen) and seen[-1]["metadata"]["type"] in ENDS
