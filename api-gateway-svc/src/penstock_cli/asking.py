"""Asks the API over HTTP, with patience: it may be started again meanwhile."""

from __future__ import annotations

from typing import Any

import httpx

from penstock_backbone.ports import Clock
from penstock_cli.refusal import Refusal

AGAIN_SECONDS = 0.2
TRIES_MAX = 150
"""Of AGAIN_SECONDS each."""
ANSWER_SECONDS_MAX = 10.0


class Asking:
    """Every call survives an API that is away for a moment."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """The answer's JSON. Raises Refusal when the API says no, or nothing for TRIES_MAX tries."""
        for _ in range(TRIES_MAX):
            try:
                answer = await self._client.request(method, path, timeout=ANSWER_SECONDS_MAX, **options)
            except httpx.TransportError:
                await self._clock.sleep(AGAIN_SECONDS)
                continue
            if answer.is_server_error:
                await self._clock.sleep(AGAIN_SECONDS)
                continue
            if answer.is_error:
                raise Refusal(f"{method} {path} was refused: {answer.text}")
            return answer.json()
        raise Refusal(
            f"{method} {path} had no good answer for {TRIES_MAX * AGAIN_SECONDS:.0f} s: look into the API's log."
        )
