"""Runs the workflow the way the runner does, but in memory: stage after stage, outputs through JSON."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from pydantic import BaseModel

from penstock_events.facts import Artifact
from penstock_runner.authoring import FinalError, OutputModel, ProjectInput, Workflow
from penstock_runner.domain.usage import UsageTotal
from penstock_runner.workflows.agent_build.workflow import build_agent_build
from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.drafting import Workshop
from penstock_runner.workflows.building.model import DraftingModel
from penstock_runner.workflows.building.workbench import Outcome, Ran, Refused
from penstock_runner.workflows.building.workbench import Workbench as WorkbenchPort


@dataclass
class Clock:
    """Time that moves only when somebody sleeps."""

    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Context:
    """A StageContext over dicts."""

    project: ProjectInput
    outputs: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    others: dict[str, dict[str, bytes]] = field(default_factory=dict)
    usage: UsageTotal = field(default_factory=UsageTotal)
    came: list[tuple[float | None, str]] = field(default_factory=list)
    stage: str = ""
    run_id: str = "run_1"
    project_id: str = "prj_1"
    tenant: str = "acme"
    attempt: int = 1
    idempotency_key: str = "run_1:stage"
    log: logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.LoggerAdapter(logging.getLogger("tests"))
    )

    def output_of(self, stage: str, model: type[OutputModel]) -> OutputModel:
        return model.model_validate_json(self.outputs[stage])

    def input_as(self, model: type[OutputModel]) -> OutputModel:
        return model.model_validate_json(self.project.input)

    def progress(self, fraction: float | None, line: str = "") -> None:
        self.came.append((fraction, line))

    async def put_artifact(self, name: str, data: bytes) -> Artifact:
        self.artifacts[name] = data
        return Artifact(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())

    async def get_artifact(self, name: str, of: str | None = None) -> bytes:
        """`of`: whatever the test has put there."""
        if of is None:
            return self.artifacts[name]
        if name not in self.others.get(of, {}):
            raise FinalError(f"The project {of} has left no file {name}.")
        return self.others[of][name]

    def files(self) -> list[SourceFile]:
        """The package as it was delivered."""
        return [
            SourceFile(path=name.removeprefix("package/"), text=data.decode())
            for name, data in self.artifacts.items()
            if name.startswith("package/")
        ]


@dataclass
class Workbench:
    """Says what it was told to say, and remembers what it was given."""

    outcome: Outcome = field(default_factory=lambda: Ran(0, "3 passed in 0.01s", 10))
    files: Sequence[SourceFile] = ()

    def refusal(self) -> Refused | None:
        return self.outcome if isinstance(self.outcome, Refused) else None

    async def run_tests(self, files: Sequence[SourceFile]) -> Outcome:
        self.files = files
        return self.outcome


def project(requirement: str, name: str = "", tags: tuple[str, ...] = ()) -> ProjectInput:
    return ProjectInput(name=name, requirement=requirement, tags=tags)


async def carry_out(workflow: Workflow, asked: ProjectInput, kind: type[Context] = Context) -> Context:
    return await carry_out_in(kind(asked), workflow)


async def carry_out_in(context: Context, workflow: Workflow) -> Context:
    for stage in workflow.stages:
        context.stage = stage.name
        output: BaseModel = await cast(Callable[[Context], Awaitable[BaseModel]], stage.run)(context)
        assert isinstance(output, stage.output)
        context.outputs[stage.name] = output.model_dump_json()
    return context


def shop(
    model: DraftingModel | None = None,
    workbench: WorkbenchPort | None = None,
    clock: Clock | None = None,
    pace: float = 0.0,
) -> Workshop:
    return Workshop(model or OfflineDrafter(), workbench or Workbench(), clock or Clock(), pace)


def built(
    requirement: str,
    name: str = "",
    tags: tuple[str, ...] = (),
    workbench: Workbench | None = None,
    build: Callable[[Workshop], Workflow] = build_agent_build,
) -> Context:
    """A whole run with the offline drafter; its tests are not really run."""
    return asyncio.run(carry_out(build(shop(workbench=workbench)), project(requirement, name, tags)))
