"""What follows from looking: verdicts on held tokens, leases, overdue grants, hints, limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.orchestrator.world import event_body

from penstock_backbone.records.limits import FLEET_LIMIT_DEFAULT, LIMIT_MAX, shared_scopes, workflow_scope
from penstock_backbone.records.runs import RunItem, as_run
from penstock_backbone.records.sessions import LEASE_SECONDS
from penstock_orchestrator.domain.backoff import backoff_seconds
from penstock_orchestrator.domain.hints import Hints, limits_changed, read_hint
from penstock_orchestrator.domain.leases import Leases
from penstock_orchestrator.domain.limits import Limits, read_limits
from penstock_orchestrator.domain.token import Token
from penstock_orchestrator.domain.verdicts import (
    Ended,
    Executing,
    Returned,
    Unclaimed,
    Unclear,
    Verdict,
    is_leaving,
    judge,
)
from penstock_orchestrator.domain.watchlist import AUDIT_SECONDS, CLAIM_SECONDS, LOOKS_MAX, Watchlist


def run(state: str, fence: int = 0, session: str | None = None) -> RunItem:
    item: dict[str, Any] = {"state": state, "fence": fence}
    return as_run(item | ({"session": session} if session else {}))


@pytest.mark.parametrize(
    ("item", "verdict"),
    [
        (None, Ended()),
        (run("succeeded", 3), Ended()),
        (run("failed", 3), Ended()),
        (run("cancelled", 2), Ended()),
        (run("timed_out", 3), Ended()),
        (run("waiting", 3), Ended()),
        (run("paused", 2), Ended()),
        (as_run({"state": "queued", "fence": 3, "returning": True}), Ended()),
        (run("succeeded", 1), Unclaimed()),
        (run("waiting", 1), Unclaimed()),
        (run("cancelled", 0), Unclaimed()),
        (run("queued", 3), Returned(resumes=True)),
        (run("queued", 4), Returned(resumes=True)),
        (as_run({"state": "queued", "fence": 3, "revoked": 3}), Returned(resumes=False)),
        (as_run({"state": "queued", "fence": 4, "revoked": 3}), Returned(resumes=True)),
        (run("queued", 2), Unclaimed()),
        (run("running", 3, "ses_1"), Executing("ses_1")),
        (run("running", 2, "ses_1"), Executing("ses_1")),
        (run("running", 3), Executing("")),
        (run("dreaming", 3), Unclear()),
        (as_run({}), Unclear()),
        (as_run({"state": "queued"}), Unclear()),
    ],
)
def test_a_token_held_under_fence_3_is_judged_by_its_run(item: RunItem | None, verdict: Verdict) -> None:
    assert judge(3, item) == verdict


@pytest.mark.parametrize(
    ("item", "leaves"),
    [
        (run("paused", 3), True),
        (run("cancelled", 4), True),
        (run("paused", 2), False),
        (run("queued", 3), False),
        (run("running", 3, "ses_1"), False),
        (as_run({"state": "queued", "fence": 4, "returning": True}), True),
        (as_run({"state": "queued", "fence": 3, "returning": True}), False),
    ],
)
def test_a_token_that_waits_with_fence_3_behind_it_leaves_if_its_run_rests_or_returns_with_another(
    item: RunItem, *, leaves: bool
) -> None:
    assert is_leaving(3, item) is leaves


# --- leases -------------------------------------------------------------------------------------------------


def test_a_lease_expires_when_the_heartbeat_has_stood_still_for_its_length() -> None:
    leases = Leases()
    leases.observe("s", 4, 100.0)
    leases.observe("s", 4, 105.0)
    assert not leases.has_expired("s", 100.0 + LEASE_SECONDS - 0.001)
    assert leases.has_expired("s", 100.0 + LEASE_SECONDS)


def test_a_heartbeat_renews_the_lease_and_an_unseen_session_has_time() -> None:
    leases = Leases()
    leases.observe("s", 4, 100.0)
    leases.observe("s", 5, 109.0)
    assert not leases.has_expired("s", 112.0)
    assert not leases.has_expired("never seen", 10_000.0)


def test_a_session_that_is_gone_is_forgotten() -> None:
    leases = Leases()
    leases.observe("s", 4, 0.0)
    leases.forget_all_but(["t"])
    assert not leases.has_expired("s", 10_000.0)


# --- overdue grants -----------------------------------------------------------------------------------------


def token(number: int, fence: int = 1) -> Token:
    kind = shared_scopes("w", ())
    return Token(number, f"run_{number}", f"a#3#run_{number}", f"prj_{number}", "a", "w", (), kind, "w", 3, fence)


def watching(*tokens: Token, now: float = 0.0) -> Watchlist:
    watchlist = Watchlist()
    watchlist.follow({each.key: each for each in tokens}, now)
    return watchlist


def test_a_grant_is_sent_again_twice_and_then_taken_back() -> None:
    watchlist, granted = watching(token(1)), token(1)
    steps = []
    for second in range(1, 17):
        assert watchlist.due(float(second), set()) == [granted]
        steps.append(watchlist.saw(granted, Unclaimed(), float(second), anybody_lives=True))
    overdue = {second + 1: step for second, step in enumerate(steps) if step != "nothing"}
    assert overdue == {5: "redispatch", 10: "redispatch", 15: "revoke"}


def test_without_any_runner_a_grant_waits_in_the_queue() -> None:
    watchlist, granted = watching(token(1)), token(1)
    for second in range(1, 60):
        assert watchlist.saw(granted, Unclaimed(), float(second), anybody_lives=False) == "nothing"
    assert watchlist.saw(granted, Unclaimed(), 59.0 + CLAIM_SECONDS, anybody_lives=True) == "redispatch"


def test_a_new_grant_of_the_same_run_is_watched_anew() -> None:
    watchlist = watching(token(1))
    assert watchlist.saw(token(1), Unclaimed(), CLAIM_SECONDS, anybody_lives=True) == "redispatch"
    again = token(1, fence=2)
    watchlist.follow({again.key: again}, 6.0)
    assert watchlist.saw(token(1), Unclaimed(), 20.0, anybody_lives=True) == "nothing"
    assert watchlist.saw(again, Unclaimed(), 6.0 + CLAIM_SECONDS - 0.1, anybody_lives=True) == "nothing"


def test_a_run_in_execution_is_audited_seldom_and_at_once_when_its_runner_dies() -> None:
    granted = token(1)
    watchlist = watching(granted)
    assert watchlist.saw(granted, Executing("ses_1"), 1.0, anybody_lives=True) == "check session"
    assert watchlist.due(5.0, set()) == []
    assert watchlist.due(5.0, {"ses_2"}) == []
    assert watchlist.due(5.0, {"ses_1"}) == [granted]
    assert watchlist.due(1.0 + AUDIT_SECONDS, set()) == [granted]
    assert watchlist.unnamed({"ses_1", "ses_2"}) == {"ses_2"}


def looked(watchlist: Watchlist, now: float, dead: set[str]) -> None:
    """At the runs that are due, all of which a living runner has."""
    for each in watchlist.due(now, dead):
        watchlist.saw(each, Executing("ses_live"), now, anybody_lives=True)


def test_a_dead_session_is_forgotten_also_where_every_turn_has_more_to_look_at_than_it_can() -> None:
    """And while runs come that nobody has looked at yet: they were granted after its death."""
    watchlist, dead = Watchlist(), {"ses_dead"}
    held = {each.key: each for each in (token(number) for number in range(10 * LOOKS_MAX))}
    forgotten_at = []
    for turn in range(30):
        late = token(10 * LOOKS_MAX + turn)
        watchlist.follow(held := held | {late.key: late}, 2.0 * turn)
        looked(watchlist, 2.0 * turn, dead)
        if dead == watchlist.unnamed(dead):
            forgotten_at.append(turn)
    assert forgotten_at == list(range(10, 30))


def test_a_session_that_dies_later_waits_for_looks_of_its_own() -> None:
    granted = token(1)
    watchlist = watching(granted)
    looked(watchlist, 1.0, {"ses_1"})
    assert watchlist.unnamed({"ses_1"}) == {"ses_1"}
    watchlist.follow({granted.key: granted}, 1.0)
    assert watchlist.unnamed({"ses_1", "ses_2"}) == {"ses_1"}
    watchlist.follow({granted.key: granted}, 2.0 + AUDIT_SECONDS)
    assert watchlist.unnamed({"ses_2"}) == set()
    looked(watchlist, 2.0 + AUDIT_SECONDS, set())
    assert watchlist.unnamed({"ses_2"}) == {"ses_2"}


def test_a_young_grant_is_not_worth_a_look_unless_a_runner_died() -> None:
    watchlist = watching(token(1))
    assert watchlist.due(0.5, set()) == []
    assert watchlist.due(0.5, {"ses_1"}) == [token(1)]


def test_looks_are_bounded_and_the_longest_overdue_come_first() -> None:
    watchlist = watching(*(token(number) for number in range(LOOKS_MAX + 50)))
    late = token(LOOKS_MAX + 60)
    watchlist.follow({each.key: each for each in [*(token(n) for n in range(LOOKS_MAX + 50)), late]}, 3.0)
    due = watchlist.due(10.0, set())
    assert len(due) == LOOKS_MAX
    assert late not in due


def test_the_runs_of_a_dead_runner_are_looked_at_before_all_that_are_overdue() -> None:
    """With ten thousand runs at work something is always overdue, and they would wait for a whole round of looks."""
    lost = [token(number) for number in range(5)]
    watchlist = watching(*lost, *(token(number) for number in range(5, LOOKS_MAX + 50)))
    for each in lost:
        watchlist.saw(each, Executing("ses_1"), 9.0, anybody_lives=True)
    assert set(lost) <= set(watchlist.due(10.0, {"ses_1"}))


# --- hints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ProjectCreated", Hints(projects={"prj_1": "run_1"})),
        ("RunSucceeded", Hints(runs={"run_1"})),
        ("RunFailed", Hints(runs={"run_1"})),
        ("RunCancelled", Hints(leaving={"run_1"})),
        ("StageStarted", Hints()),
        ("SomethingNewer", Hints()),
    ],
)
def test_events_of_the_bus_point_at_projects_and_runs(kind: str, expected: Hints) -> None:
    assert read_hint(json.dumps(event_body(kind, "prj_1"))) == expected


def test_a_changed_limit_points_at_the_limits() -> None:
    assert read_hint(limits_changed().body) == Hints(limits=True)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "{}", '{"detail-type": "RunFailed"}', '{"detail": {"metadata": 3}}']
)
def test_what_nobody_should_have_sent_is_told_apart(body: str) -> None:
    assert read_hint(body) is None


@pytest.mark.parametrize("name", ["", "x" * 1025, "é" * 513])
@pytest.mark.parametrize("field", ["project_id", "run_id"])
@pytest.mark.parametrize("kind", ["ProjectCreated", "RunFailed", "RunCancelled", "RunResumed"])
def test_an_event_whose_ids_can_be_no_keys_is_no_hint(kind: str, field: str, name: str) -> None:
    body = event_body(kind, "prj_1")
    body["detail"]["metadata"][field] = name
    assert read_hint(json.dumps(body)) is None


def test_the_longest_id_that_can_be_a_key_is_a_hint() -> None:
    body = event_body("RunCancelled", "prj_1")
    body["detail"]["metadata"]["run_id"] = "é" * 512
    assert read_hint(json.dumps(body)) == Hints(leaving={"é" * 512})


# --- limits ---------------------------------------------------------------------------------------------------


def item(scope: str, limit: Any) -> dict[str, Any]:
    return {"pk": "LIMITS", "sk": scope, "limit": limit}


def test_scopes_without_an_item_have_no_limit_of_their_own_except_the_fleet() -> None:
    found = read_limits([], Limits()).limits
    assert found.fleet == FLEET_LIMIT_DEFAULT
    assert found.of_tenant("a") is None
    assert found.of_scope(workflow_scope("w")) is None


@pytest.mark.parametrize("damaged", [None, "7", -1, True, LIMIT_MAX + 1, [1]])
def test_a_damaged_limit_keeps_its_last_good_value_and_is_reported(damaged: Any) -> None:
    last = read_limits([item("fleet", 9), item("tenant#a", 2)], Limits()).limits
    reading = read_limits([item("fleet", damaged), item("tenant#a", damaged), item("workflow#w", damaged)], last)
    assert (reading.limits.fleet, reading.limits.of_tenant("a")) == (9, 2)
    assert reading.limits.of_scope(workflow_scope("w")) == 0, "closed, when no good value is known"
    assert len(reading.warnings) == 3


def test_a_paused_scope_is_closed_and_a_scope_without_a_limit_of_its_own_is_not_damaged() -> None:
    reading = read_limits(
        [item("fleet", 9) | {"paused": True}, item("tenant#a", "none"), item("workflow#w", "none") | {"paused": True}],
        Limits(),
    )
    found = reading.limits
    assert (found.fleet, found.of_tenant("a"), found.of_scope(workflow_scope("w"))) == (0, None, 0)
    assert reading.warnings == ()


def test_a_tenants_weight_and_share_are_read_and_damaged_ones_are_the_defaults() -> None:
    found = read_limits(
        [item("tenant#a", 9) | {"weight": 3, "min_share": 2}, item("tenant#b", 9) | {"weight": "3", "min_share": -1}],
        Limits(),
    ).limits
    assert (found.weight("a"), found.min_share("a")) == (3, 2)
    assert (found.weight("b"), found.min_share("b"), found.weight("c")) == (1, 0, 1)


def test_waits_between_tries_grow_to_a_bound_and_are_spread() -> None:
    waits = [backoff_seconds(attempt, 0.5, first=0.1, longest=1.0) for attempt in range(1, 8)]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(0.75)
    assert backoff_seconds(10_000, 0.999, longest=2.0) <= 2.0
    assert backoff_seconds(3, 0.0) < backoff_seconds(3, 0.9)
