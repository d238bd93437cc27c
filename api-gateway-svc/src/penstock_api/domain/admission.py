"""Why a run waits: its place, what blocks it and who holds that, and when it may start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from penstock_api.domain.estimate import MEASURED_RUNS_MIN, time_until_drained, time_until_freed
from penstock_api.domain.limits import address_of
from penstock_api.domain.views import AdmissionView, BlockerView, StartEstimate
from penstock_backbone.records.limits import (
    FLEET,
    is_shared,
    is_unreadable,
    shared_scopes,
    stated,
    tenant_scope,
    workflow_scope,
)
from penstock_backbone.records.runs import QUEUED, RUNNING, RunItem
from penstock_backbone.records.sessions import Served, needed
from penstock_backbone.records.times import to_text
from penstock_backbone.records.tokens import is_granted
from penstock_backbone.vocabulary import Item
from penstock_backbone.words import counted

VERSIONS_LISTED_MAX = 5


class Standing(NamedTuple):
    """The items that say how things stand, by scope, and the run's token, as they were read; None: there is no such item.
    `served`: what live runners serve."""

    limits: Mapping[str, Item | None]
    uses: Mapping[str, Item | None]
    token: Item | None = None
    served: Served = None


def scopes_of(run: RunItem) -> tuple[str, ...]:
    """All that it is counted in, the widest first."""
    return FLEET, tenant_scope(run["tenant"]), *shared_scopes(run["workflow"], tuple(run.get("resources", ())))


def admission_view(run: RunItem, standing: Standing) -> AdmissionView:
    board = _board(run, standing)
    granted = run["state"] == QUEUED and is_granted(standing.token, run)
    waits = run["state"] == QUEUED and not granted
    place = _place(run, board) if waits else None
    blockers = _blockers(run, standing) if waits else []
    unserved = _unserved(run, standing.served) if waits else None
    start, unknown = None, _GRANTED if granted else unserved
    if waits and unserved is None:
        start, unknown = _start(run, place, blockers, standing)
    return AdmissionView(
        run_id=run["pk"],
        state="granted" if granted else run["state"],
        priority=run["priority"],
        position=place,
        waiting=board.get("waiting") if waits else None,
        blocked_by=blockers,
        unserved=unserved,
        start=start,
        start_unknown=unknown,
        yielding=run["state"] == RUNNING and "yielding" in run,
        as_of=to_text(board["at"]) if "at" in board else None,
    )


def _unserved(run: RunItem, served: Served) -> str | None:
    """Why no runner could execute it, with what they serve instead. None: one can, or it is not known."""
    name, version = run["workflow"], run.get("version", "")
    if served is None or needed(name, version) in served:
        return None
    others = sorted(each.partition("@")[2] for each in served if each.startswith(needed(name, "") + "@"))
    if not others:
        return f"No runner serves {name}" + (f" version {version}." if version else ".")
    listed = ", ".join(others[:VERSIONS_LISTED_MAX]) + (", …" if len(others) > VERSIONS_LISTED_MAX else "")
    return f"No runner serves {name} version {version}, with which this run began: there is {listed}."


def _place(run: RunItem, board: Item) -> int | None:
    places = board.get("places", ())
    return places.index(run["pk"]) + 1 if run["pk"] in places else None


def _board(run: RunItem, standing: Standing) -> Item:
    return standing.uses[tenant_scope(run["tenant"])] or {}


def _blockers(run: RunItem, standing: Standing) -> list[BlockerView]:
    """Everything that would have to change before the run could be next: the widest scope first."""
    own = _board(run, standing).get("holders", ())
    found = []
    for scope in scopes_of(run):
        holders = [
            name for name, workflow, *resources in own
            if not is_shared(scope) or scope in shared_scopes(workflow, tuple(resources))
        ]  # fmt: skip
        found.append(_blocker(scope, standing.limits[scope], standing.uses[scope], holders))
    return [blocker for blocker in found if blocker is not None]


def _blocker(scope: str, limit: Item | None, use: Item | None, holders: list[str]) -> BlockerView | None:
    said = stated(scope, limit)
    held = use["held"] if use is not None else None
    unreadable = is_unreadable(scope, limit)
    is_full = said.limit is not None and (held or 0) >= said.limit
    if not (said.paused or unreadable or is_full):
        return None
    return BlockerView(
        scope=address_of(scope),
        reason="paused" if said.paused else "unreadable" if unreadable else "limit",
        limit=None if unreadable else said.limit,
        held=held,
        holders=holders,
        next_lease_end=None,
        next_lease_end_unknown=None,
    )


def _start(
    run: RunItem, place: int | None, blockers: list[BlockerView], standing: Standing
) -> tuple[StartEstimate | None, str | None]:
    """One of the two: the estimate, or why there is none."""
    durations: list[int] = (standing.uses[workflow_scope(run["workflow"])] or _NOTHING)["durations"]
    if any(blocker.reason == "paused" or blocker.limit == 0 for blocker in blockers):
        return None, "It is paused: nobody knows for how long."
    for blocker in blockers:
        if blocker.reason == "unreadable":
            return (
                None,
                f"The limit of {blocker.scope} cannot be read, so nobody knows whether anything is let in there.",
            )
        kind, _, name = blocker.scope.partition("/")
        if kind == "workflow":
            return None, "It waits for slots of its workflow, which all tenants share."
        if kind == "resource":
            return None, f"It waits for {name}, which runs of all tenants and workflows share."
    if place is None:
        return None, "Its place is not known yet, or too far back to be counted."
    if len(durations) < MEASURED_RUNS_MIN:
        return (
            None,
            f"Only {counted(len(durations), 'measured run')} of this workflow so far; an estimate needs {MEASURED_RUNS_MIN}.",
        )
    over = {each.scope.partition("/")[0]: (each.held or 0) - (each.limit or 0) for each in blockers}
    turn = _turn(place, _board(run, standing), standing.uses[FLEET] or {}, over)
    if isinstance(turn, str):
        return None, turn
    estimate = (time_until_drained if turn.drains else time_until_freed)(turn.freed, turn.slots, durations)
    return StartEstimate(p50_ms=estimate.p50_ms, p90_ms=estimate.p90_ms, measured_runs=len(durations)), None


class _Turn(NamedTuple):
    """It comes once `freed` of `slots` were freed. `drains`: none of these is filled again before."""

    freed: int
    slots: int
    drains: bool


def _turn(place: int, board: Item, in_use: Item, over: Mapping[str, int]) -> _Turn | str:
    """Or why that is not known. `over`: by how much the limits of the fleet and the tenant that block it are exceeded."""
    own, all_slots = board.get("held", 0), in_use.get("held", 0)
    if place > 1 and board.get("passed_over"):
        return "Runs of its line are passed over, as more than its limit keeps them out: how many stand before it is not known."
    # Itself it is one of them while nothing of its tenant runs.
    if "fleet" in over and in_use.get("hungry", 0) > (own == 0):
        return "Other tenants that hold no slot wait, too: how many of them go first is not known."
    # Of a tenant that holds none it is the turn whichever slot of the fleet is freed first.
    slots = own or all_slots
    if own == 0 and (place > 1 or slots == 0):
        return "Nothing of this tenant runs yet, so it is not known how fast its line moves."
    excess = max(over.values(), default=0)
    if excess > 0 and ("fleet" in over and slots < all_slots):
        return "More run than a limit allows since it was lowered: whose turn it is once fewer do is not known."
    if excess > 0 and excess + place > slots:
        return "More run than a limit allows since it was lowered: how fast its line moves once fewer do is not known."
    return _Turn(place + max(excess, 0), slots, drains=excess > 0)


_GRANTED = "It has its slot, and waits for a runner to take it up: a grant that none takes up goes back to the line."
_NOTHING: dict[str, Any] = {"held": 0, "durations": []}
