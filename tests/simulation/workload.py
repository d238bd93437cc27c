"""What the simulated users ask for, and the workflows that build it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel
from tests.simulation.machine import here, stream_of

from penstock_api.domain.new_project import NewProject
from penstock_backbone.records.limits import resource_scope, tenant_scope, workflow_scope
from penstock_runner.authoring import FinalError, Stage, StageContext, Workflow
from penstock_runner.registry import Registry, load

TENANTS = ("acme", "bronze", "clover")
"""Two shards have one and two of them, three shards one each."""
WORKFLOWS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "short": {"only": ()},
    "line": {"draft": (), "build": ("draft",), "check": ("build",)},
    "fork": {"plan": (), "left": ("plan",), "right": ("plan",), "join": ("left", "right")},
}
"""Stages with what they need."""
RESOURCES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("line", "build"): ("model:large",),
    ("fork", "left"): ("model:large",),
    ("fork", "join"): ("model:small",),
}
"""What a workflow's stage uses: one resource is shared by two workflows."""
SCOPES = (
    *map(tenant_scope, TENANTS),
    *map(workflow_scope, WORKFLOWS),
    *map(resource_scope, ("model:large", "model:small")),
)
"""That have limits beside the fleet."""
BACKOFF_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Wish:
    """One user's request. `key` None: sent without an idempotency key, and therefore only once."""

    number: int
    at: float
    tenant: str
    key: str | None
    project: NewProject


class Output(BaseModel):
    text: str


def wishes(seed: int, count: int, within_seconds: float) -> list[Wish]:
    chance = stream_of(seed, "wishes")
    made = []
    for number in range(count):
        # A third comes at once, so that there is a line from the first second on.
        at = chance.uniform(0.0, 2.0) if number % 3 == 0 else chance.uniform(0.0, within_seconds)
        tenant = TENANTS[0] if chance.random() < 0.5 else chance.choice(TENANTS)
        project = NewProject(
            requirement="Build me an agent that sorts letters.",
            name=f"wish {number}",
            workflow=chance.choice(tuple(WORKFLOWS)),
            priority=chance.randint(2, 4),
        )
        key = f"key {number}" if chance.random() < 0.8 else None
        made.append(Wish(number, at, tenant, key, project))
    return made


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The workflows, as every process knows them."""
    loaded = load([_workflow(name, needs) for name, needs in WORKFLOWS.items()], [])
    assert not loaded.problems, loaded.problems
    return loaded.registry


def _workflow(name: str, stages: Mapping[str, tuple[str, ...]]) -> Workflow:
    return Workflow(
        name,
        version="1",
        stages=tuple(
            Stage(
                stage,
                _work,
                output=Output,
                needs=needs,
                attempts_max=3,
                backoff_seconds=BACKOFF_SECONDS,
                resources=RESOURCES.get((name, stage), ()),
            )
            for stage, needs in stages.items()
        ),
    )


async def _work(context: StageContext) -> Output:
    """It takes time on the clock of the process that does it. The same for every attempt under the same number,
    whatever else happens in the world."""
    process = here()
    chance = stream_of(process.seed, "work", context.project.name, context.stage, context.attempt)
    lot = chance.random()
    await process.clock.sleep(chance.uniform(6.0, 14.0) if lot > 0.95 else chance.uniform(0.05, 1.5))
    lot = chance.random()
    if lot < 0.01:
        raise FinalError("it cannot be built")
    if lot < 0.06:
        raise RuntimeError("it did not work this time")
    if lot < 0.12:
        await context.put_artifact(f"{context.stage}.txt", b"file")
    return Output(text="x" * (3000 if lot > 0.9 else 10))
