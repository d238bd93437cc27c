"""A frontend in few lines: posts projects, follows their events by SSE, asks for the queue. It knows only HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from penstock_backbone.ports import Clock, Ids
from penstock_cli.asking import AGAIN_SECONDS, ANSWER_SECONDS_MAX, Asking
from penstock_cli.demo.requests import Request

SILENCE_SECONDS_MAX = 60.0
"""A stream says at least that it is alive; one that does not is opened anew."""
PAGES_MAX = 100


@dataclass(frozen=True, slots=True)
class Accepted:
    project_id: str
    run_id: str
    name: str


class Frontend:
    """Every call survives an API that is away for a moment."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, ids: Ids) -> None:
        self._client = client
        self._asking = Asking(client, clock)
        self._clock = clock
        self._ids = ids

    async def submit(self, request: Request) -> Accepted:
        """One key for all tries: a request whose answer was lost does not become two projects."""
        body = request._asdict() | {"workflow": "agent_build"}
        headers = {"Idempotency-Key": self._ids.new("demo")}
        answer = await self._asking.ask("POST", "/v1/projects", json=body, headers=headers)
        return _accepted(answer)

    async def unfinished(self) -> list[Accepted]:
        """What an earlier demo on the same data folder left, oldest first."""
        found: list[Accepted] = []
        for status in ("queued", "building"):
            parameters = {"status": status}
            for _ in range(PAGES_MAX):
                page = await self._asking.ask("GET", "/v1/projects", params=parameters)
                found += [_accepted(project) for project in page["projects"]]
                if not page["next_cursor"]:
                    break
                parameters["cursor"] = page["next_cursor"]
        return sorted(
            {project.project_id: project for project in found}.values(), key=lambda project: project.project_id
        )

    async def places(self) -> Sequence[str]:
        """The waiting runs, the next one first."""
        board = await self._asking.ask("GET", "/v1/board")
        return [place["run_id"] for place in board["places"]]

    async def follow(self, project_id: str) -> AsyncGenerator[tuple[int, str, dict[str, Any]], None]:
        """(sequence, type, data) of each event from the first on, without gap or repeat, until the caller has enough."""
        after = 0
        while True:
            try:
                async for event in self._stream(project_id, after):
                    metadata = event["metadata"]
                    after = metadata["sequence"]
                    yield after, metadata["type"], event["data"]
            except (httpx.TransportError, httpx.HTTPStatusError):
                await self._clock.sleep(AGAIN_SECONDS)

    async def _stream(self, project_id: str, after: int) -> AsyncIterator[dict[str, Any]]:
        timeout = httpx.Timeout(ANSWER_SECONDS_MAX, read=SILENCE_SECONDS_MAX)
        path = f"/v1/projects/{project_id}/events/stream"
        async with self._client.stream("GET", path, params={"after": after}, timeout=timeout) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data:") and "metadata" in (event := json.loads(line.removeprefix("data:"))):
                    yield event


def _accepted(project: dict[str, Any]) -> Accepted:
    return Accepted(project["id"], project["run_id"], project["name"])
