"""A replayed run takes as long as it is told, in as many stages, and reports exactly what it is told."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.runner.rig import Rig, virtual
from tests.runner.test_execution import of_type
from tests.runner.test_input import submitted

from penstock_backbone.records.runs import FAILED, SUCCEEDED
from penstock_runner.registry import load
from penstock_runner.workflows import replay
from penstock_runner.workflows.replay import STAGES_MAX, replays, share, workflow_name


@virtual
async def test_the_time_and_the_usage_of_a_run_are_split_over_its_stages(rig: Rig) -> None:
    workflow = {one.name: one for one in replays(rig.clock)}[workflow_name(3)]
    began = rig.clock.monotonic()
    run_id = await submitted(rig, workflow, '{"seconds":6,"input_tokens":100,"cost_microusd":2}')
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert rig.clock.monotonic() - began == pytest.approx(6, abs=0.1)
    completed = of_type(await rig.story(run_id), "StageCompleted")
    assert [entry["duration_ms"] for entry in completed] == [2000, 2000, 2000]
    total: Counter[str] = Counter()
    for entry in completed:
        total.update(entry["usage"])
    assert total == {"input_tokens": 100, "cost_microusd": 2}, "what was not measured is not invented"


@virtual
async def test_a_run_without_measured_usage_reports_none(rig: Rig) -> None:
    workflow = {one.name: one for one in replays(rig.clock)}[workflow_name(1)]
    run_id = await submitted(rig, workflow, '{"seconds":0.5}')
    await rig.until_ended(run_id, state=SUCCEEDED)
    (completed,) = of_type(await rig.story(run_id), "StageCompleted")
    assert completed.get("usage") is None


@virtual
async def test_a_replay_must_be_told_how_long_it_takes(rig: Rig) -> None:
    workflow = {one.name: one for one in replays(rig.clock)}[workflow_name(1)]
    run_id = await submitted(rig, workflow, "{}")
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "RunFailed")
    assert failed["error"] == "InvalidInput"


@pytest.mark.parametrize(("total", "count"), [(0, 3), (2, 3), (100, 7), (1, 1), (751_900, 9)])
def test_shares_differ_by_one_at_most_and_lose_nothing(total: int, count: int) -> None:
    shares = [share(total, number, count) for number in range(1, count + 1)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_the_module_can_be_served_as_it_is() -> None:
    loaded = load((), [replay.__name__])
    assert loaded.problems == []
    assert [plan.workflow.name for plan in loaded.registry.plans()] == [
        workflow_name(count) for count in range(1, STAGES_MAX + 1)
    ]
    assert [len(plan.stages) for plan in loaded.registry.plans()] == list(range(1, STAGES_MAX + 1))
