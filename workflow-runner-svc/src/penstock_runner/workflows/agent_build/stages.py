"""The nine stages: seven ask the drafting model for a document, two assemble, prove and deliver the package."""

from __future__ import annotations

import asyncio
import re
from typing import TypeVar, assert_never

from penstock_backbone.ports import Clock
from penstock_runner.authoring import FinalError, ProjectInput, StageContext, StageFunction
from penstock_runner.workflows.agent_build.archive import source_archive, wheel, wheel_name
from penstock_runner.workflows.agent_build.assembly import Drafts, Package, as_json, assemble, packaged
from penstock_runner.workflows.agent_build.documents import (
    AgentCode,
    AgentDesign,
    AssemblyReport,
    Deployment,
    Document,
    ProjectPlan,
    PromptSet,
    RequirementsAnalysis,
    SystemArchitecture,
    TestReport,
    ToolSet,
)
from penstock_runner.workflows.agent_build.inspection import CHECKED, problems_of
from penstock_runner.workflows.agent_build.model import Assignment, DraftingModel
from penstock_runner.workflows.agent_build.workbench import Ran, Refused, TookTooLong, Workbench

DRAFTED: dict[str, type[Document]] = {
    "orchestrator": ProjectPlan,
    "requirements_analysis": RequirementsAnalysis,
    "system_architecture": SystemArchitecture,
    "agent_design": AgentDesign,
    "tools_developer": ToolSet,
    "prompt_engineer": PromptSet,
    "agent_code_developer": AgentCode,
}
"""The stages whose documents the model drafts, in order."""
DEVELOPER_MANAGER = "agent_developer_manager"
DEPLOYER = "agent_deployer"
STAGES = (*DRAFTED, DEVELOPER_MANAGER, DEPLOYER)

ARCHIVE = "package.zip"
ERROR_OUTPUT_CHARS_MAX = 1200
_COUNT = re.compile(r"(\d+) (passed|failed|errors?)")

Earlier = TypeVar("Earlier", bound=Document)


def drafting(stage: str, model: DraftingModel, clock: Clock, pace_seconds: float) -> StageFunction:
    """A stage that gives the model everything drafted before it and takes its document."""
    before = list(DRAFTED)[: list(DRAFTED).index(stage)]

    async def draft(context: StageContext) -> Document:
        await _pace(clock, pace_seconds)
        earlier = {DRAFTED[name]: context.output_of(name, DRAFTED[name]) for name in before}
        drafted = await model.draft(Assignment(_project(context), stage, DRAFTED[stage], earlier))
        if drafted.usage is not None:
            context.report_usage(drafted.usage)
        return drafted.document

    return draft


def managing(clock: Clock, pace_seconds: float) -> StageFunction:
    async def manage(context: StageContext) -> AssemblyReport:
        await _pace(clock, pace_seconds)
        package = _assembled(context)
        if problems := problems_of(package):
            raise FinalError("The package cannot be built: " + " ".join(problems))
        context.log.info("assembled %s with %d files", package.manifest.name, len(package.files))
        return AssemblyReport(manifest=package.manifest, checks=CHECKED)

    return manage


def deploying(workbench: Workbench) -> StageFunction:
    async def deploy(context: StageContext) -> Deployment:
        package = _assembled(context)
        tests = await _tested(package, workbench)
        archives = {ARCHIVE: source_archive(package), wheel_name(package): wheel(package)}
        artifacts = {f"package/{file.path}": file.text.encode() for file in package.files} | archives
        for stage in STAGES[:-1]:
            artifacts[_document(stage)] = _as_json(context.output_of(stage, _output(stage)))
        deployment = Deployment(
            archive=packaged(ARCHIVE, archives[ARCHIVE]),
            wheel=packaged(wheel_name(package), archives[wheel_name(package)]),
            tests=tests,
            artifacts=len(artifacts) + 1,
        )
        artifacts[_document(DEPLOYER)] = _as_json(deployment)
        # Not a TaskGroup: a FinalError inside an exception group would be taken for something to try again.
        await asyncio.gather(*(context.put_artifact(name, data) for name, data in artifacts.items()))
        return deployment

    return deploy


async def _tested(package: Package, workbench: Workbench) -> TestReport:
    """Tests that fail fail again, so the run ends; tests that took too long may have met a busy machine."""
    outcome = await workbench.run_tests(package.files)
    match outcome:
        case Ran(exit_code=0, output=output, duration_ms=duration_ms):
            passed, failed = counts(output)
            return TestReport(passed=passed, failed=failed, duration_ms=duration_ms, output=output)
        case Ran(exit_code=code, output=output):
            raise FinalError(f"The package's tests failed (exit code {code}). They end with:\n{_tail(output)}")
        case TookTooLong(seconds=seconds, output=output):
            raise TimeoutError(f"The package's tests did not end within {seconds:g} s. So far:\n{_tail(output)}")
        case Refused(reason=reason):
            raise FinalError(
                f"The package's tests did not run: {reason}. Use such a machine, or set PENSTOCK_SANDBOX=warn."
            )
        case _:
            assert_never(outcome)


def counts(output: str) -> tuple[int, int]:
    """Passed, and failed or in error, from pytest's last line ("1 failed, 4 passed in 0.05s")."""
    lines = output.strip().splitlines() or [""]
    found = {word: int(number) for number, word in _COUNT.findall(lines[-1])}
    return found.get("passed", 0), sum(count for word, count in found.items() if word != "passed")


def _assembled(context: StageContext) -> Package:
    def of(kind: type[Earlier]) -> Earlier:
        return context.output_of(next(stage for stage, output in DRAFTED.items() if output is kind), kind)

    files = (*of(ToolSet).files, *of(PromptSet).files, *of(AgentCode).files)
    drafts = Drafts(
        _project(context), of(ProjectPlan), of(RequirementsAnalysis), of(SystemArchitecture), of(AgentDesign), files
    )
    return assemble(drafts, STAGES)


def _project(context: StageContext) -> ProjectInput:
    """Half characters, which no file can hold, become question marks; all else stays as it was given."""
    given = context.project
    return ProjectInput(name=_encodable(given.name), requirement=_encodable(given.requirement), tags=given.tags)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _output(stage: str) -> type[Document]:
    return DRAFTED.get(stage, AssemblyReport)


def _document(stage: str) -> str:
    return f"documents/{stage}.json"


def _as_json(document: Document) -> bytes:
    return as_json(document.model_dump(mode="json")).encode()


def _tail(output: str) -> str:
    return output.strip()[-ERROR_OUTPUT_CHARS_MAX:]


async def _pace(clock: Clock, seconds: float) -> None:
    if seconds > 0:
        await clock.sleep(seconds)
