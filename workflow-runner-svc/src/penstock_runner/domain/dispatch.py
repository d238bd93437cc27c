"""Decides what to do with a dispatch message, from the run as it stands: the message itself is only a hint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from penstock_backbone.records.runs import QUEUED, RunItem
from penstock_backbone.records.waits import open_waits
from penstock_runner.authoring import Stage
from penstock_runner.domain.failing import failing
from penstock_runner.domain.plan import Plan

ID_CHARS_MAX = 100
LEAVE_SECONDS = 1.0
LEAVES_MAX = 6
SUSPECT_LOSSES = 3
"""A run that has lost so many runners may be what takes them down: it is begun only where no other such run executes, so that
the one that is at fault takes no other suspect with it, and the others stop losing attempts."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """`project` lets run and project be read together; without it the project is read after the run."""

    run: str
    fence: int
    tenant: str
    project: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Ours to try: `first` are the stages that start at once, and `attempts` says of some which attempt that is.
    `cleared` are results that do not count any more."""

    plan: Plan
    first: tuple[Stage, ...]
    attempts: Mapping[str, int]
    cleared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is to be done, and nobody else could do anything either."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Another runner may be able to: it is offered again after `seconds`."""

    seconds: float
    reason: str


Decision: TypeAlias = Claim | Drop | Leave
FindPlan: TypeAlias = Callable[[str, str | None], Plan | None]


def parse(body: str) -> Dispatch | None:
    """None: not a dispatch message."""
    try:
        raw: Any = json.loads(body)
        run, fence, tenant, project = raw["run"], raw["fence"], raw["tenant"], raw.get("project")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not (_is_id(run) and isinstance(tenant, str) and type(fence) is int and (project is None or _is_id(project))):
        return None
    return Dispatch(run, fence, tenant, project)


def _is_id(value: object) -> bool:
    """Something that can be looked up: a message must not be able to spoil the read of a whole batch."""
    return isinstance(value, str) and 0 < len(value) <= ID_CHARS_MAX and value.isprintable()


def decide(
    dispatch: Dispatch, run: RunItem | None, *, receives: int, find: FindPlan, now: int, has_suspect: bool
) -> Decision:
    """`receives` counts the deliveries of this message; `now` in ms; `has_suspect`: this runner executes another run that is
    one. A run that nobody here can execute is offered to others a few times; after that the orchestrator takes back the grant
    that nobody claimed, and grants it anew.
    """
    if run is None:
        return Drop("there is no such run")
    if run["tenant"] != dispatch.tenant:
        return Drop("it names another tenant")
    if run["state"] != QUEUED or run["fence"] >= dispatch.fence:
        return Drop("it was claimed, revoked or ended before")
    version = run.get("version")
    plan = find(run["workflow"], version)
    if plan is None:
        name = f"workflow {run['workflow']}" + (f" version {version}" if version else "")
        return _leave(receives, f"this runner does not know {name}")
    if (other := _changed(plan, run)) is not None:
        return _leave(receives, other)
    if has_suspect and is_suspect(run):
        return _leave(
            receives, f"it has lost {run['attempt']} runners, and this one executes another run that lost as many"
        )
    return _claim(plan, run, now)


def is_suspect(run: RunItem) -> bool:
    """Before its claim."""
    return run["attempt"] >= SUSPECT_LOSSES


def _leave(receives: int, reason: str) -> Decision:
    return Drop(reason) if receives >= LEAVES_MAX else Leave(LEAVE_SECONDS * receives, reason)


def _claim(plan: Plan, run: RunItem, now: int) -> Claim:
    cleared = tuple(plan.following(run["restart"], run["results"])) if "restart" in run else ()
    if failing(run):
        return Claim(plan, (), {}, cleared)
    startable = plan.startable(run["results"].keys() - set(cleared))
    waits = run.get("waits", {})
    blocked = {each.stage for each in open_waits(run, now)}
    first = tuple(stage for stage in startable if stage.name not in blocked)
    attempts = {
        stage.name: max(wait["n"] for wait in waits[stage.name].values()) for stage in first if waits.get(stage.name)
    }
    return Claim(plan, first, attempts, cleared)


def _changed(plan: Plan, run: RunItem) -> str | None:
    """Why a run that began with other stages under the same version cannot go on with these."""
    begun_with = run.get("plan")
    if begun_with is None or begun_with == plan.digest:
        return None
    workflow = plan.workflow
    return (
        f"it began with other stages of workflow {workflow.name} version {workflow.version} than this runner has: give "
        "the changed workflow a new version, and list the old one beside it until its runs have ended"
    )
