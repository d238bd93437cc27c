"""Runs that an older release has begun, as they were recorded then, go on with the release of today."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.runner.old_workflows import FORK, RAN, TOLD, WORKFLOWS
from tests.runner.record_history import HISTORIES
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, nothing, stage, workflow

from penstock_backbone.inventory import DISPATCH_QUEUE
from penstock_backbone.records.runs import QUEUED, RUNNING, SUCCEEDED, TERMINAL, run_key
from penstock_backbone.vocabulary import Put
from penstock_runner.authoring import Stage, Workflow
from penstock_runner.domain.dispatch import Dispatch, Drop, Leave, decide
from penstock_runner.domain.plan import make_plan

HISTORY = {path.stem: json.loads(path.read_text()) for path in sorted(HISTORIES.glob("*.json"))}
MOMENTS = [(name, number) for name, images in HISTORY.items() for number in range(1, len(images) - 1)]
"""Every moment between the claim and the end."""


def test_every_old_workflow_has_a_history() -> None:
    assert set(HISTORY) == {f"{workflow.name}-{workflow.version}" for workflow in WORKFLOWS}


@pytest.mark.parametrize(("name", "moment"), MOMENTS)
def test_a_recorded_run_goes_on_from_any_moment_and_ends_as_it_did(name: str, moment: int) -> None:
    goes_on(name, moment)


@virtual
async def goes_on(rig: Rig, name: str, moment: int) -> None:
    RAN.clear()
    TOLD.clear()
    images = HISTORY[name]
    image, last = images[moment], images[-1]
    assert image["state"] == RUNNING
    process = rig.start(*WORKFLOWS)
    run_id = await rig.ask_for(image["workflow"])
    fresh = dict(await rig.run(run_id))
    kept = {
        key: value for key, value in image.items() if key not in ("pk", "sk", "project_id", "fence", "state", "session")
    }
    changed = fresh | kept | {"state": QUEUED, "fence": image["fence"]}
    del changed["pk"], changed["sk"]
    await rig.engine.tables.write([Put(run_key(run_id), changed)])
    rig.engine.storage.feed.clear()
    await rig.dispatch(run_id, image["fence"] + 1)
    await rig.until(lambda run: run["state"] in TERMINAL, run_id)
    assert (await rig.run(run_id))["state"] == last["state"]
    done = {result.replace(".", ":") for result in image["results"]}
    assert not done & set(RAN)
    assert bool(TOLD) == (last["state"] != SUCCEEDED)
    process.kill()


def changed_fork() -> Workflow:
    stages = tuple(
        Stage(stage.name, nothing, Word, needs=("plan", "left")) if stage.name == "right" else stage
        for stage in FORK.stages
    )  # fmt: skip
    return Workflow("fork", "1", stages)


def test_a_plan_that_has_changed_under_its_version_is_refused_in_one_sentence() -> None:
    image: Any = HISTORY["fork-1"][2] | {"state": QUEUED}
    dispatch = Dispatch(image["pk"], image["fence"] + 1, image["tenant"], None)
    plan = make_plan(changed_fork())
    decision = decide(dispatch, image, receives=1, find=lambda _name, _version: plan, now=0, has_suspect=False)  # type: ignore[arg-type,return-value]  # a recorded image, and a plan that may be a problem
    assert isinstance(decision, Leave)
    assert decision.reason == (
        "it began with other stages of workflow fork version 1 than this runner has: give the changed workflow a new "
        "version, and list the old one beside it until its runs have ended"
    )
    last = decide(dispatch, image, receives=6, find=lambda _name, _version: plan, now=0, has_suspect=False)  # type: ignore[arg-type,return-value]  # a recorded image, and a plan that may be a problem
    assert isinstance(last, Drop)


def test_what_a_stage_does_and_how_often_may_change_under_one_version() -> None:
    one, two = make_plan(workflow(stage("a"), stage("b"))), make_plan(
        workflow(stage("a", attempts_max=9), stage("b", needs=("a",), timeout_seconds=5))
    )  # fmt: skip
    other = make_plan(workflow(stage("a"), stage("b", needs=())))
    assert getattr(one, "digest", 1) == getattr(two, "digest", 2) != getattr(other, "digest", 3)


@virtual
async def test_a_runner_with_another_plan_leaves_the_run_to_one_that_has_its_own(rig: Rig) -> None:
    images = HISTORY["fork-1"]
    run_id = await rig.ask_for("fork")
    item = dict(await rig.run(run_id)) | {"version": "1", "plan": images[1]["plan"]}
    del item["pk"], item["sk"]
    await rig.engine.tables.write([Put(run_key(run_id), item)])
    await rig.dispatch(run_id, 1)
    other = rig.start(changed_fork())
    await rig.clock.sleep(2.5)
    assert (await rig.run(run_id))["state"] == QUEUED
    other.kill()
    rig.start(FORK)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert await rig.engine.queues.receive(DISPATCH_QUEUE, 1, 0) == []
