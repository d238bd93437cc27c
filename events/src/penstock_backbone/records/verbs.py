"""What people ask of a run, and what becomes of such a wish: every write refuses what has changed since it was read.

A run that gets going again is queued at once, `returning`, and with a fence that no grant from before reaches. The
orchestrator then makes its new token, after the old one is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock_backbone.records.projects import ProjectItem
from penstock_backbone.records.runs import (
    CANCELLED,
    PAUSED,
    QUEUED,
    RUNNING,
    TERMINAL,
    WAITING,
    FactItem,
    RunItem,
    answers_needed,
    append,
    becoming,
    enqueue_run,
    fact,
    owned,
    run_key,
    tenant_status,
    unchanged,
)
from penstock_backbone.vocabulary import And, Condition, Equals, Exists, Or, Put, Update

RESUMED = "resumed"
"""Why a run goes on: somebody resumed it; or its wait was over, by one of waits.py's kinds."""


# --- cancel -----------------------------------------------------------------------------------------


def cancel_waiting(run: RunItem, *, reason: str, at: int) -> Update:
    """API: a run that nobody executes is over at once, granted or not."""
    changes = append(run["seq"], [_cancelled(reason, at)]) | becoming(run, CANCELLED, at)
    return Update(run_key(run["pk"]), changes, when=_still(run, QUEUED, WAITING, PAUSED), remove=("returning", "due"))


def cancel_unqueued(project: ProjectItem, *, reason: str, at: int) -> Put:
    """API, for a project whose run was not enqueued yet: who comes to enqueue it finds it over."""
    return _unqueued(project, CANCELLED, _cancelled(reason, at), at)


def ask_to_cancel(run: RunItem, *, reason: str, at: int) -> Update:
    """API: its owner finds this at its next commit, which is refused for the sequence, or when it looks."""
    return _asked(run, "cancel", fact("RunCancelRequested", at, reason=reason), reason)


def stop_lost(run: RunItem, *, at: int) -> Update:
    """Orchestrator: as fence_off, but somebody has asked to cancel it, so it does not come back."""
    return _lost(run, CANCELLED, _cancelled(run["cancel"], at), at)


# --- pause and resume -------------------------------------------------------------------------------


def pause_resting(run: RunItem, *, reason: str, at: int) -> Update:
    """API: a run that nobody executes, queued or waiting, is paused at once."""
    changes = append(run["seq"], [_paused(reason, at)]) | becoming(run, PAUSED, at)
    return Update(run_key(run["pk"]), changes, when=_still(run, QUEUED, WAITING), remove=("returning", "due"))


def pause_unqueued(project: ProjectItem, *, reason: str, at: int) -> Put:
    """API: as cancel_unqueued."""
    return _unqueued(project, PAUSED, _paused(reason, at), at)


def ask_to_pause(run: RunItem, *, reason: str, at: int) -> Update:
    """API: as ask_to_cancel."""
    return _asked(run, "pause", fact("RunPauseRequested", at, reason=reason), reason)


def pause_lost(run: RunItem, *, at: int) -> Update:
    """Orchestrator: as stop_lost."""
    return _lost(run, PAUSED, _paused(run["pause"], at), at)


def resume(run: RunItem, *, at: int) -> Update:
    """API: a paused run returns to the line."""
    return _return(run, (PAUSED,), [fact("RunResumed", at, reason=RESUMED)], at, remove=("pause",))


def withdraw_pause(run: RunItem, *, at: int) -> Update:
    """API: its owner has not paused it yet, and goes on."""
    changes = append(run["seq"], [fact("RunResumed", at, reason=RESUMED)])
    return Update(run_key(run["pk"]), changes, when=owned(run["fence"], run["seq"]), remove=("pause",))


# --- yield ------------------------------------------------------------------------------------------


def ask_to_yield(run: RunItem, *, reason: str, at: int) -> Update:
    """Orchestrator, in one transaction with records.yields: its owner finds it as it finds a wish to pause. It asks this
    one claim; the next begins without it."""
    changes = append(run["seq"], [fact("RunYieldRequested", at, reason=reason)])
    changes |= {"yielding": True, "yields": run.get("yields", 0) + 1}
    return Update(run_key(run["pk"]), changes, when=owned(run["fence"], run["seq"]))


# --- signals, approvals, timers ---------------------------------------------------------------------


def answer(run: RunItem, *, key: str, text: str, told: FactItem, wakes: str | None, at: int) -> Update:
    """API: an answer that is not there yet. `wakes` is the kind of the wait that is over by it, where the run waits:
    then the run returns to the line; otherwise it is only kept."""
    kept = {"answers": answers_needed(run) | {key: text}}
    if wakes is not None and run["state"] == WAITING:
        return _return(run, (WAITING,), [told, fact("RunResumed", at, reason=wakes)], at, kept, remove=("due",))
    when = _still(run, QUEUED, RUNNING, WAITING, PAUSED)
    return Update(run_key(run["pk"]), append(run["seq"], [told]) | kept, when=when)


def wake(run: RunItem, *, kind: str, at: int) -> Update:
    """Orchestrator, when its time has come."""
    return _return(run, (WAITING,), [fact("RunResumed", at, reason=kind)], at, {"passed": run["due"]}, remove=("due",))


# --- retry ------------------------------------------------------------------------------------------


def retry(
    run: RunItem, *, from_stage: str | None, edited: Mapping[str, str], forget: Iterable[str], digest: str, at: int
) -> Update:
    """API: a run that is over begins anew. `forget` are answers that it must ask for again.
    `digest` says what was wanted, by which a repetition of the request is known."""
    kept: dict[str, Any] = {"attempt": 0, "retried": digest}
    if from_stage is not None:
        kept["restart"] = from_stage
    if edited:
        kept["edited"] = run.get("edited", {}) | dict(edited)
    if "answers" in run:
        kept["answers"] = {key: text for key, text in run["answers"].items() if key not in set(forget)}
    told = fact("RunRetried", at, from_stage=from_stage, edited=bool(edited))
    return _return(
        run, tuple(sorted(TERMINAL)), [told], at, kept, remove=("cancel", "pause", "waits", "started_at", "given_up")
    )


def make_token(run: RunItem, *, token: str, shard: int) -> Update:
    """Orchestrator, in one transaction with return_token: the run has what it returned for."""
    when = Equals("state", QUEUED) & Exists("returning") & Equals("fence", run["fence"])
    return Update(run_key(run["pk"]), {"token": token, "shard": shard}, when=when, remove=("returning",))


def _return(
    run: RunItem,
    states: Iterable[str],
    facts: list[FactItem],
    at: int,
    more: Mapping[str, Any] | None = None,
    *,
    remove: tuple[str, ...],
) -> Update:
    """A token of the run that was granted and not claimed has a fence of at most one above the run's: it is fenced off,
    too."""
    changes = append(run["seq"], facts) | becoming(run, QUEUED, at)
    changes |= {"fence": run["fence"] + 1, "queued_at": at, "returning": True, **(more or {})}
    return Update(run_key(run["pk"]), changes, when=_still(run, *states), remove=remove)


def _still(run: RunItem, *states: str) -> Condition:
    """It is in one of these states, and nothing was added to its story since it was read."""
    return And((Or(tuple(Equals("state", state) for state in states)), unchanged(run)))


def _unqueued(project: ProjectItem, state: str, told: FactItem, at: int) -> Put:
    put = enqueue_run(project, token="", shard=0, at=at)
    over = {"state": state, "tenant_status": tenant_status(project["tenant"], state)}
    return Put(put.key, put.item | over | {"facts": {"2": told}}, when=put.when)


def _asked(run: RunItem, wish: str, told: FactItem, reason: str) -> Update:
    changes = append(run["seq"], [told]) | {wish: reason}
    return Update(run_key(run["pk"]), changes, when=owned(run["fence"], run["seq"]))


def _lost(run: RunItem, state: str, told: FactItem, at: int) -> Update:
    changes = append(run["seq"], [told]) | becoming(run, state, at)
    remove = ("session", "pause")
    return Update(run_key(run["pk"]), changes, when=owned(run["fence"], run["seq"]), remove=remove)


def _cancelled(reason: str, at: int) -> FactItem:
    return fact("RunCancelled", at, reason=reason)


def _paused(reason: str, at: int) -> FactItem:
    return fact("RunPaused", at, reason=reason)
