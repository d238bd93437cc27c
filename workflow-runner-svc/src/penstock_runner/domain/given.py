"""What a request gives to its workflow's input model, and whether it fits."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import cast

from pydantic import ValidationError

from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import RunItem, answers_without
from penstock_backbone.records.sessions import INPUT_SCHEMA_BYTES_MAX
from penstock_runner.authoring import Workflow

PROBLEMS_SHOWN = 5


def as_asked(project: ProjectItem, run: RunItem) -> ProjectItem:
    """The project as this run is to see it: a retry may have edited what it asks for."""
    return cast(ProjectItem, {**project, **run["edited"]}) if "edited" in run else project


def without(run: RunItem, cleared: Container[str]) -> RunItem:
    """The run without these results, and without what their stages were answered: as it stands once it is claimed."""
    results = {name: result for name, result in run["results"].items() if name not in cleared}
    return cast(RunItem, {**run, "results": results, "answers": answers_without(run, cleared)})


def input_problem(workflow: Workflow, project: ProjectItem) -> str | None:
    """In plain words: where it does not fit, and why. A workflow without a model takes anything."""
    if workflow.input is None:
        return None
    try:
        workflow.input.model_validate_json(project.get("input", "{}"))
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(f"{_place(error['loc'])}: {error['msg']}" for error in errors[:PROBLEMS_SHOWN])
        more = f" (and {len(errors) - PROBLEMS_SHOWN} more)" if len(errors) > PROBLEMS_SHOWN else ""
        return f"The input does not fit the workflow {workflow.name}: {told}{more}."
    return None


def input_schema(workflow: Workflow) -> str | None:
    """As JSON text. None: there is no model, or none that a JSON Schema of a bearable size describes."""
    if workflow.input is None:
        return None
    try:
        schema = workflow.input.model_json_schema()
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except Exception:  # noqa: BLE001  # a model may have code of its author's that makes its schema
        return None
    return text if len(text.encode()) <= INPUT_SCHEMA_BYTES_MAX else None


def _place(location: tuple[int | str, ...]) -> str:
    return "/".join(("input", *map(str, location)))
