"""The load of a campaign of kills: as many runs in the system as are wanted, whatever dies meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
from tests.e2e.product import CLOCK, Product

OUTSTANDING = 24
"""Runs kept in the system: some wait, some run."""
AGAIN_SECONDS = 0.1
UNAVAILABLE = 503
"""What the API says while the store, or every runner, is away. Nothing else of what it may answer comes of a kill."""


class _Away(Exception):
    """Asked again, and again under the same key."""


class Load:
    """`runs` by their projects, of what was accepted. `unavailable`: answers that said so. `refused`: all other answers that
    were no success, by what they were."""

    def __init__(self, product: Product, workflow: str) -> None:
        self._product = product
        self._workflow = workflow
        self._stopping = False
        self.runs: dict[str, str] = {}
        self.unavailable = 0
        self.refused: Counter[str] = Counter()

    def stop(self) -> None:
        self._stopping = True

    async def keep(self) -> None:
        """Until it is stopped. A request whose answer was lost is repeated under its key."""
        pending: list[str] = []
        while not self._stopping:
            try:
                async with self._product.client() as client:
                    while not self._stopping:
                        if len(pending) < OUTSTANDING:
                            pending.append(await self._submit(client, len(self.runs)))
                            continue
                        pending = [each for each in pending if not await self._is_over(client, each)]
                        await CLOCK.sleep(AGAIN_SECONDS)
            except (httpx.TransportError, _Away):
                await CLOCK.sleep(AGAIN_SECONDS)

    async def _submit(self, client: httpx.AsyncClient, number: int) -> str:
        body = {"requirement": f"Take seven steps, number {number}", "workflow": self._workflow}
        headers = {"Idempotency-Key": f"campaign-{number}"}
        project = self._answered(await client.post("/v1/projects", json=body, headers=headers))
        self.runs[project["id"]] = project["run_id"]
        return str(project["id"])

    async def _is_over(self, client: httpx.AsyncClient, project: str) -> bool:
        answer = self._answered(await client.get(f"/v1/projects/{project}"))
        return answer["run"]["ended_at"] is not None

    def _answered(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json()
        if answer.status_code == UNAVAILABLE:
            self.unavailable += 1
        else:
            self.refused[f"{answer.request.method} was answered with {answer.status_code}"] += 1
        raise _Away
