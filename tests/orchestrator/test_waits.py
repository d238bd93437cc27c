"""Each admission is one span in the trace of its request."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.orchestrator.world import EvenChance, World, hints, run_of

from penstock_backbone.telemetry import start
from penstock_orchestrator.bootstrap import Parts, Surroundings

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_the_wait_of_a_run_is_one_span_under_its_request(tmp_path: Path) -> None:
    world = World()
    telemetry = start("orchestrator", store_path=tmp_path / "spans.db", otlp=False)
    given = Surroundings(world.clock, world.ids, EvenChance(), telemetry)
    admission = Parts.on(world.engine, given).admission
    await world.limit(fleet=1)
    one = await world.submit(1)
    two = await world.submit(2, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    await admission.turn(hints(projects=[one, two]))
    await world.finish(run_of(one))
    world.clock.elapsed += 4.0
    await admission.turn(hints(runs=[run_of(one)]))
    await admission.turn(hints(everything=True))
    telemetry.shutdown()
    assert telemetry.store is not None
    (span,) = telemetry.store.trace(TRACE)
    assert (span["name"], span["parent_id"]) == ("admission", "b7ad6b7169203331")
    assert span["duration_ms"] == pytest.approx(4000.0)
    assert span["attributes"] == {"penstock.run": run_of(two), "penstock.tenant": "acme", "penstock.fence": 1}
