"""A claimed run goes through its stages, and its story says so without a gap."""

from __future__ import annotations

from tests.runner.rig import Rig, virtual
from tests.runner.stages import in_a_row

from penstock_backbone.records.runs import SUCCEEDED


@virtual
async def test_a_run_of_three_stages_tells_its_whole_story(rig: Rig) -> None:
    three = in_a_row(3)
    run_id = await rig.submit(three)
    rig.start(three)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert await rig.told(run_id) == [
        "RunQueued", "RunAdmitted", "RunStarted",
        "StageStarted s1", "StageCompleted s1",
        "StageStarted s2", "StageCompleted s2",
        "StageStarted s3", "StageCompleted s3", "RunSucceeded",
    ]  # fmt: skip
