"""Every stage in which a model drafts has a prompt of its own, a title, and a schema whose text the model gets."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from penstock_runner.workflows.agent_build.parts import PARTS as AGENT_BUILD
from penstock_runner.workflows.agent_update.parts import PARTS as AGENT_UPDATE
from penstock_runner.workflows.building.model import Part
from penstock_runner.workflows.tool_build.parts import PARTS as TOOL_BUILD

PARTS = (*AGENT_BUILD, *AGENT_UPDATE, *TOOL_BUILD)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.home.rsplit('.', 1)[-1]}-{part.stage}")
def test_a_part_has_all_that_both_drafters_need(part: Part[Any]) -> None:
    prompt = files(part.home).joinpath("prompts", f"{part.stage}.md").read_text("utf-8")
    assert 100 < len(prompt) < 4_000
    assert part.title
    assert (
        part.output.model_json_schema()["description"].startswith(part.stage) or part.output.__name__ == "ProjectPlan"
    )
    assert [place.format("made") for place in part.places if place.startswith(("/", "."))] == []
    takes_files = "files" in part.output.model_fields
    assert takes_files == bool(part.places)


@pytest.mark.parametrize("parts", [AGENT_BUILD, AGENT_UPDATE, TOOL_BUILD])
def test_no_prompt_is_left_over(parts: tuple[Part[Any], ...]) -> None:
    names = {entry.name for entry in files(parts[0].home).joinpath("prompts").iterdir()}
    assert names == {f"{part.stage}.md" for part in parts}
