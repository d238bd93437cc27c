"""Clients of the two streams, as a frontend would write them, and a run that goes on meanwhile."""

from __future__ import annotations

import asyncio
import json
import random  # noqa: TID251  # seeded below, so that a failure can be repeated
from collections.abc import AsyncIterator
from typing import Any

import httpx
import websockets
from tests.api.world import STAGES, World

from penstock_backbone.records.runs import RunItem, fact

Events = list[dict[str, Any]]


async def by_websocket(address: str, project_id: str, after: int) -> AsyncIterator[dict[str, Any]]:
    url = f"ws://{address}/v1/projects/{project_id}/stream?after={after}"
    # With a bounded queue this client stops reading, and then waits ten seconds for an answer to its close.
    async with websockets.connect(url, max_queue=None) as socket:
        async for message in socket:
            yield json.loads(message)


async def by_sse(address: str, project_id: str, after: int) -> AsyncIterator[dict[str, Any]]:
    """As a browser: the id of the last event is sent again as a header."""
    headers = {"Last-Event-ID": str(after)} if after else {}
    url = f"http://{address}/v1/projects/{project_id}/events/stream"
    # Without verify=False each client would load the certificates of the world.
    async with (
        httpx.AsyncClient(trust_env=False, timeout=20, verify=False) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        sequence = 0
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                sequence = int(line.removeprefix("id: "))
            elif line == "event: end":
                return
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                assert event["metadata"]["sequence"] == sequence
                yield event


async def restless(address: str, project_id: str, last: int, seed: int) -> Events:
    """Changes its mind after a few events, goes away, and reads on where it was, by the other way."""
    chance = random.Random(seed)  # seeded, so that a failure can be repeated
    seen: Events = []
    while not seen or seen[-1]["metadata"]["sequence"] < last:
        follow = by_websocket if chance.random() < 0.5 else by_sse
        enough = chance.randint(1, 9)
        stream = follow(address, project_id, len(seen))
        async for event in stream:
            seen.append(event)
            enough -= 1
            if not enough:
                break
        await stream.aclose()  # type: ignore[attr-defined]  # both are async generators
        await asyncio.sleep(chance.random() * 0.02)  # noqa: TID251  # a real client takes real time
    return seen


async def live(made: World, project_id: str, facts: int, seconds_between: float) -> RunItem:
    """Enqueues, claims, adds `facts` facts, succeeds."""
    await asyncio.sleep(seconds_between)  # noqa: TID251  # a real run takes real time
    run = await made.claim(await made.enqueue(project_id))
    for number in range(facts):
        await asyncio.sleep(seconds_between)  # noqa: TID251  # a real run takes real time
        run = await made.commit(
            run, fact("StageStarted", run["at"] + 1, stage=STAGES[number % len(STAGES)], attempt=number + 1)
        )
    return await made.succeed(run)
