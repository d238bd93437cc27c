"""What the simulated users ask for, and the workflows that build it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tests.simulation import work
from tests.simulation.machine import stream_of

from penstock_api.domain.new_project import PRIORITY_MAX, PRIORITY_MIN, NewProject
from penstock_backbone.records.limits import resource_scope, tenant_scope, workflow_scope
from penstock_runner.authoring import Stage, Workflow
from penstock_runner.registry import Registry, load

TENANTS = ("acme", "bronze", "clover")
"""Two shards have one and two of them, three shards one each."""
VERSIONS = ("1", "2")
"""Of every workflow, with the same stages."""
BACKOFF_SECONDS = 0.4
PATIENT_SECONDS = 3600.0
TIMEOUT_SECONDS = 5.0
"""Of the stages that may take longer than they should, or never end."""


class Made(NamedTuple):
    """A stage. `blocking`: a plain function, for a worker. `hasty`: with a time limit that some attempts exceed.
    `waits`: for what it waits before it works."""

    name: str
    needs: tuple[str, ...] = ()
    each: str | None = None
    at_once: int = 8
    blocking: bool = False
    hasty: bool = False
    waits: str = ""
    resources: tuple[str, ...] = ()


WORKFLOWS: Mapping[str, Sequence[Made]] = {
    "short": (Made("only"),),
    "line": (Made("draft"), Made("build", ("draft",), resources=("model:large",)), Made("check", ("build",))),
    "fork": (
        Made("plan"),
        Made("left", ("plan",), resources=("model:large",)),
        Made("right", ("plan",)),
        Made("join", ("left", "right"), resources=("model:small",)),
    ),
    "album": (
        Made("choose"),
        Made("draw", ("choose",), each="choose.pages", at_once=2, hasty=True),
        Made("cover", ("choose",), hasty=True),
        Made("bind", ("draw", "cover"), blocking=True, hasty=True),
    ),
    "press": (
        Made("choose", blocking=True, hasty=True),
        Made("print", ("choose",), each="choose.pages", at_once=3, blocking=True, hasty=True),
        Made("fold", ("print",)),
    ),
    "parley": (
        Made("draft"),
        Made("ask", ("draft",), waits="approval"),
        Made("pay", ("draft",), waits="signal"),
        Made("work", ("draft",)),
        Made("rest", ("ask", "pay", "work"), waits="time"),
    ),
}
HOOKED = frozenset({"album", "press"})
"""The workflows that tell a hook when they fail."""
SCOPES = (
    *map(tenant_scope, TENANTS),
    *map(workflow_scope, WORKFLOWS),
    *map(resource_scope, ("model:large", "model:small")),
)
"""That have limits beside the fleet."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One user's request. `key` None: sent without an idempotency key, and therefore only once."""

    number: int
    at: float
    tenant: str
    key: str | None
    project: NewProject


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
            priority=chance.randint(PRIORITY_MIN, PRIORITY_MAX),
        )
        # Who will be asked something must come to know his project, so he repeats his request until he does.
        key = f"key {number}" if chance.random() < 0.8 or project.workflow == "parley" else None
        made.append(Wish(number, at, tenant, key, project))
    return made


@lru_cache(maxsize=16)
def registry(versions: Sequence[str]) -> Registry:
    """The workflows in those versions, of which the last one is for new runs."""
    loaded = load([_workflow(name, stages, each) for name, stages in WORKFLOWS.items() for each in versions], [])
    assert not loaded.problems, loaded.problems
    return loaded.registry


_STAGES = {(name, made.name): made for name, stages in WORKFLOWS.items() for made in stages}


def at_once_of(workflow: str, stage: str) -> int:
    """How many attempts of the stage may run side by side in one run."""
    made = _STAGES[workflow, stage]
    return made.at_once if made.each is not None else 1


def is_hasty(workflow: str, stage: str) -> bool:
    return _STAGES[workflow, stage].hasty


def _workflow(name: str, stages: Sequence[Made], version: str) -> Workflow:
    return Workflow(
        name,
        version=version,
        stages=tuple(_stage(made) for made in stages),
        on_failure=work.told_of_failure if name in HOOKED else None,
    )


def _stage(made: Made) -> Stage:
    return Stage(
        made.name,
        work.WAITERS[made.waits] if made.waits else work.FUNCTIONS[made.blocking, made.each is not None],
        output=work.Pages if made.name == "choose" else work.Output,
        needs=made.needs,
        attempts_max=3,
        backoff_seconds=BACKOFF_SECONDS,
        timeout_seconds=TIMEOUT_SECONDS if made.hasty else PATIENT_SECONDS,
        resources=made.resources,
        each=made.each,
        at_once=made.at_once,
    )
