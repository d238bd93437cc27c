"""tool_build makes a small tested tool from any requirement, with a description that agents can call it by."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.runner.building.packages import lay_out, manifest, ruff_says
from tests.runner.building.requirements_said import SAID
from tests.runner.building.runs import Context, Workbench, built, carry_out, project, shop

from penstock_backbone.system import SystemClock
from penstock_runner.authoring import FinalError
from penstock_runner.workflows import built_in
from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits
from penstock_runner.workflows.building.documents import Deployment, Document, SourceFile
from penstock_runner.workflows.building.drafter.catalog import CARDS
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.inspection import Inspection, inspect
from penstock_runner.workflows.building.model import Assignment, DocumentModel
from penstock_runner.workflows.building.packaging import Package
from penstock_runner.workflows.building.workbench import Ran
from penstock_runner.workflows.tool_build.documents import ToolCode, ToolRequirements, Validation
from penstock_runner.workflows.tool_build.drafter.writing import FUNCTIONS
from penstock_runner.workflows.tool_build.workflow import build_tool_build

ENGLISH = "I need a tool that counts the days between two dates, for our calendar."
CHINESE = "开发一个数据脱敏工具，识别并隐藏身份证、手机号、邮箱等敏感信息"
SIX = ["orchestrator", "requirements_analyzer", "tool_designer", "tool_developer", "tool_validator", "tool_documenter"]


def made(requirement: str, name: str = "", workbench: Workbench | None = None) -> Context:
    return built(requirement, name, workbench=workbench, build=build_tool_build)


@pytest.fixture(scope="module")
def runs() -> dict[str, Context]:
    return {case: made(requirement, name) for case, (name, requirement) in SAID.items()}


@pytest.fixture(params=list(SAID))
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def described(run: Context) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.artifacts[f"package/{manifest(run).name}/tool.json"])
    return found


def test_the_six_stages_run_one_after_the_other() -> None:
    workflow = next(one for one in built_in(SystemClock(), OfflineDrafter()) if one.name == "tool_build")
    assert [stage.name for stage in workflow.stages] == SIX
    assert all(stage.needs is None and stage.title for stage in workflow.stages)


def test_the_inspection_finds_nothing_wrong_whatever_was_asked_for(runs: dict[str, Context], case: str) -> None:
    assert inspect(Package(manifest(runs[case]), tuple(runs[case].files()))) == Inspection(problems=(), notes=())


def test_the_requirement_is_kept_and_the_name_is_safe(runs: dict[str, Context], case: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,39}", manifest(runs[case]).name)
    assert manifest(runs[case]).name.split("_")[-1] == "tool" or manifest(runs[case]).name.startswith("tool_")
    assert manifest(runs[case]).kind == "tool"
    assert described(runs[case])["requirement"] == SAID[case][1]


@pytest.mark.parametrize(
    ("requirement", "package", "language", "phrase", "called"),
    [
        (ENGLISH, "counts_days_between_tool", "en", "counts days between dates and moves dates", "calculate_dates"),
        (CHINESE, "development_data_masking_tool", "zh", "对文本中的个人信息进行脱敏", "mask_personal_data"),
    ],
)
def test_a_tool_is_built_and_its_own_tests_pass_in_the_sandbox(
    requirement: str, package: str, language: str, phrase: str, called: str
) -> None:
    workflow = build_tool_build(shop(workbench=ChildWorkbench(SystemClock(), Limits())))
    run = asyncio.run(carry_out(workflow, project(requirement)))
    validation = Validation.model_validate_json(run.outputs["tool_validator"])
    assert (validation.tests.failed, validation.notes) == (0, ())
    assert validation.tests.passed > 10
    assert (manifest(run).name, manifest(run).language) == (package, language)
    assert phrase in run.artifacts["package/README.md"].decode()
    (function,) = described(run)["functions"]
    assert function["description"] == phrase
    assert function["name"] == called
    assert function["input_schema"]["required"] == ["request"]
    assert function["input_schema"]["properties"]["files"]["items"] == {"type": "string"}


def test_every_file_document_and_archive_is_an_artifact_and_what_was_tested_is_delivered() -> None:
    workbench = Workbench()
    run = made(CHINESE, workbench=workbench)
    deployment = Deployment.model_validate_json(run.outputs["tool_documenter"])
    assert len(run.artifacts) == deployment.artifacts
    for stage in SIX:
        assert json.loads(run.artifacts[f"documents/{stage}.json"]) == json.loads(run.outputs[stage])
    delivered = {file.path: file.text for file in run.files()}
    tested = {file.path: file.text for file in workbench.files}
    assert tested == {path: text for path, text in delivered.items() if path not in {"README.md", "manifest.json"}}
    with zipfile.ZipFile(io.BytesIO(run.artifacts["package.zip"])) as archive:
        assert len(archive.namelist()) == len(delivered)
    assert made(CHINESE).artifacts == run.artifacts


def test_what_the_tool_does_not_do_is_said_openly() -> None:
    run = made("A tool that reads PDF files and sends mail with their summary: send mail to the team.")
    analysis = ToolRequirements.model_validate_json(run.outputs["requirements_analyzer"])
    assert any("PDF" in lack for lack in analysis.not_covered)
    assert "PDF files: convert them" in run.artifacts["package/README.md"].decode()


def spoiled(change: Callable[[SourceFile], SourceFile | None]) -> Context:
    """A run whose developer's files were changed, or left out, before anybody looked at them."""

    class Meddler(OfflineDrafter):
        async def draft(self, assignment: Assignment[DocumentModel]) -> DocumentModel:
            document = await super().draft(assignment)
            drafted: Document = document
            if isinstance(drafted, ToolCode):
                drafted = ToolCode(files=tuple(file for one in drafted.files if (file := change(one)) is not None))
            assert isinstance(drafted, assignment.part.output)
            return drafted

    return asyncio.run(carry_out(build_tool_build(shop(Meddler())), project(ENGLISH)))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("def calculate_dates(", "def walk(", r"__main__.py' imports '\w+.calculate_dates', which is neither"),
        ("import json\n", "import magic_sdk\nimport json\n", "imports 'magic_sdk'"),
        ("return described", "return descried", r"line \d+: undefined name 'descried'"),
    ],
)
def test_code_that_is_wrong_never_passes_the_validator(old: str, new: str, complaint: str) -> None:
    with pytest.raises(FinalError, match=complaint):
        spoiled(lambda one: one.model_copy(update={"text": one.text.replace(old, new)}))


def test_what_the_design_promises_must_be_there() -> None:
    def forget(file: SourceFile) -> SourceFile | None:
        if file.path.endswith(("__main__.py", "test_tool.py")):
            return None
        return file.model_copy(update={"text": ""}) if file.path.endswith("__init__.py") else file

    with pytest.raises(
        FinalError, match=r"__init__.py' must offer 'calculate_dates', as the design says.*must offer 'main'"
    ):
        spoiled(forget)


def test_every_tool_of_the_library_has_a_function_of_its_own_name() -> None:
    assert list(FUNCTIONS) == list(CARDS)
    assert len(set(FUNCTIONS.values()) | set(CARDS)) == 2 * len(CARDS), "a name must not hide a module"


def test_tests_that_fail_end_the_run_at_the_validator() -> None:
    with pytest.raises(FinalError, match="exit code 1"):
        made(ENGLISH, workbench=Workbench(Ran(1, "1 failed in 0.1s", 10)))


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is a tool of the developers, not of the runner")
def test_ruff_has_nothing_to_say_about_the_packages(runs: dict[str, Context], tmp_path: Path) -> None:
    lay_out(runs.values(), tmp_path)
    assert ruff_says(tmp_path) == ""
