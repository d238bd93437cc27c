"""The web application is made once for a process; what it works on comes with each request."""

from __future__ import annotations

import pytest
from tests.api.world import submitted, world

pytestmark = pytest.mark.anyio


async def test_two_in_one_process_answer_from_their_own_stores() -> None:
    async with world("agent_build") as (_, client), world("agent_build", "tool_build") as (_, other):
        project = await submitted(client)
        assert (await client.get(f"/v1/projects/{project['id']}")).status_code == 200
        assert (await other.get(f"/v1/projects/{project['id']}")).status_code == 404
        counts = [len((await each.get("/v1/workflows")).json()["workflows"]) for each in (client, other)]
    assert counts == [1, 2]
