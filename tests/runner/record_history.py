"""Adds histories: `python -m tests.runner.record_history` plays each old workflow once and keeps its run after every write.

One file a workflow and version, with the run's item as it stood after each commit. An existing file is never touched.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.runner.old_workflows import WORKFLOWS
from tests.runner.rig import Rig

from penstock_backbone.inventory import RUNS
from penstock_backbone.records.runs import TERMINAL
from penstock_runner.authoring import Workflow

HISTORIES = Path(__file__).parent / "histories"


async def play(rig: Rig, workflow: Workflow) -> list[dict[str, Any]]:
    run_id = await rig.submit(workflow)
    process = rig.start(workflow)
    await rig.until_ended(run_id)
    process.kill()
    return [dict(record.item) for record in rig.engine.storage.feed if record.key.table == RUNS and record.item]


def main() -> None:
    HISTORIES.mkdir(exist_ok=True)
    for workflow in WORKFLOWS:
        path = HISTORIES / f"{workflow.name}-{workflow.version}.json"
        if path.exists():
            continue
        rig = Rig()
        images = asyncio.run(drive(rig, workflow))
        assert images[-1]["state"] in TERMINAL
        path.write_text(json.dumps(images, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


async def drive(rig: Rig, workflow: Workflow) -> list[dict[str, Any]]:
    return await rig.clock.drive(play(rig, workflow))


if __name__ == "__main__":
    main()
