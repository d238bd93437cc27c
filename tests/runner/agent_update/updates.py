"""Runs agent_update in memory, on packages that agent_build has made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.runner.building.runs import Context, Workbench, carry_out, project, shop

from penstock_runner.authoring import ProjectInput
from penstock_runner.workflows.agent_update.workflow import build_agent_update
from penstock_runner.workflows.building.drafting import Workshop

BASE = "prj_base"


def order(change: str, given: Mapping[str, Any] | None = None) -> ProjectInput:
    text = json.dumps(given if given is not None else {"project": BASE}, ensure_ascii=False)
    return project(change).model_copy(update={"input": text})


def files_of(run: Context) -> dict[str, str]:
    return {file.path: file.text for file in run.files()}


def beside(base: Mapping[str, bytes]) -> type[Context]:
    """A context in which the project BASE has left these artifacts."""

    class Beside(Context):
        def __init__(self, asked: ProjectInput) -> None:
            super().__init__(asked)
            self.others = {BASE: dict(base)}

    return Beside


async def updated(
    base: Mapping[str, bytes], change: str, given: Mapping[str, Any] | None = None, on: Workshop | None = None
) -> Context:
    workflow = build_agent_update(on or shop(workbench=Workbench()))
    return await carry_out(workflow, order(change, given), beside(base))
