"""Why a run waits: its place, what blocks it and who holds that, and when it may start."""

from __future__ import annotations

from typing import Any, NamedTuple

from penstock_api.domain.estimate import MEASURED_RUNS_MIN, time_until_freed
from penstock_api.domain.limits import address_of
from penstock_api.domain.views import AdmissionView, BlockerView, StartEstimate
from penstock_backbone.records.limits import FLEET, stated, tenant_scope, workflow_scope
from penstock_backbone.records.runs import QUEUED, RunItem
from penstock_backbone.records.times import to_text
from penstock_backbone.vocabulary import Item


class Standing(NamedTuple):
    """The items that say how things stand, as they were read; None: there is no such item."""

    board: Item | None
    fleet_limit: Item | None
    tenant_limit: Item | None
    workflow_limit: Item | None
    fleet_use: Item | None
    workflow_use: Item | None


def admission_view(run: RunItem, standing: Standing) -> AdmissionView:
    board = standing.board or {}
    waits = run["state"] == QUEUED
    holds = [holder[0] for holder in board.get("holders", ())]
    granted = waits and run["pk"] in holds
    place = _place(run, board) if waits and not granted else None
    blockers = _blockers(run, standing) if waits and not granted else []
    start, unknown = _start(place, blockers, standing) if waits and not granted else (None, None)
    return AdmissionView(
        run_id=run["pk"],
        state="granted" if granted else run["state"],
        priority=run["priority"],
        position=place,
        waiting=board.get("waiting") if waits and not granted else None,
        blocked_by=blockers,
        start=start,
        start_unknown=unknown,
        as_of=to_text(board["at"]) if "at" in board else None,
    )


def _place(run: RunItem, board: Item) -> int | None:
    places = board.get("places", ())
    return places.index(run["pk"]) + 1 if run["pk"] in places else None


def _blockers(run: RunItem, standing: Standing) -> list[BlockerView]:
    """Everything that would have to change before the run could be next: the widest scope first."""
    tenant, workflow = run["tenant"], run["workflow"]
    board = standing.board or {}
    own = [(holder[0], holder[1]) for holder in board.get("holders", ())]
    scopes = (
        (FLEET, standing.fleet_limit, standing.fleet_use, [name for name, _ in own]),
        (tenant_scope(tenant), standing.tenant_limit, standing.board, [name for name, _ in own]),
        (
            workflow_scope(workflow),
            standing.workflow_limit,
            standing.workflow_use,
            [name for name, used in own if used == workflow],
        ),
    )
    found = (_blocker(*scope) for scope in scopes)
    return [blocker for blocker in found if blocker is not None]


def _blocker(scope: str, limit: Item | None, use: Item | None, holders: list[str]) -> BlockerView | None:
    said = stated(scope, limit)
    held = use["held"] if use is not None else None
    is_full = said.limit is not None and (held or 0) >= said.limit
    if not said.paused and not is_full:
        return None
    return BlockerView(
        scope=address_of(scope),
        reason="paused" if said.paused else "limit",
        limit=said.limit,
        held=held,
        holders=holders,
    )


def _start(
    place: int | None, blockers: list[BlockerView], standing: Standing
) -> tuple[StartEstimate | None, str | None]:
    """One of the two: the estimate, or why there is none."""
    durations: list[int] = (standing.workflow_use or _NOTHING)["durations"]
    if any(blocker.reason == "paused" or blocker.limit == 0 for blocker in blockers):
        return None, "It is paused: nobody knows for how long."
    if any(blocker.scope.startswith("workflow/") for blocker in blockers):
        return None, "It waits for slots of its workflow, which all tenants share."
    if place is None:
        return None, "Its place is not known yet, or too far back to be counted."
    if len(durations) < MEASURED_RUNS_MIN:
        return (
            None,
            f"Only {len(durations)} runs of this workflow were measured yet; an estimate needs {MEASURED_RUNS_MIN}.",
        )
    slots = (standing.board or _NOTHING)["held"]
    if slots == 0:
        # The tenant with the smallest share is next, whichever slot of the fleet is freed first.
        slots = (standing.fleet_use or _NOTHING)["held"]
        if place > 1 or slots == 0:
            return None, "Nothing of this tenant runs yet, so it is not known how fast its line moves."
    estimate = time_until_freed(place, slots, durations)
    return StartEstimate(p50_ms=estimate.p50_ms, p90_ms=estimate.p90_ms, measured_runs=len(durations)), None


_NOTHING: dict[str, Any] = {"held": 0, "durations": []}
