"""A dispatch message is only a hint: the run as it stands decides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.runner.rig import registry
from tests.runner.stages import in_a_row

from penstock_backbone.records.runs import QUEUED, RUNNING, SUCCEEDED, as_run
from penstock_runner.domain.dispatch import (
    LEAVES_MAX,
    SUSPECT_LOSSES,
    Claim,
    Decision,
    Dispatch,
    Drop,
    Leave,
    decide,
    parse,
)

BODY = {"run": "run_1", "fence": 3, "token": "t", "tenant": "acme"}


def decided(*, receives: int = 1, tenant: str = "acme", has_suspect: bool = False, **changes: Any) -> Decision:
    run = {
        "tenant": "acme",
        "state": QUEUED,
        "fence": 2,
        "attempt": 0,
        "workflow": "sample",
        "results": {},
        "seq": 2,
        "facts": {},
        **changes,
    }
    find = registry(in_a_row(3)).find
    return decide(
        Dispatch("run_1", 3, tenant, None), as_run(run), receives=receives, find=find, now=0, has_suspect=has_suspect
    )


def test_a_message_is_read_with_or_without_the_project() -> None:
    assert parse(json.dumps(BODY)) == Dispatch("run_1", 3, "acme", None)
    assert parse(json.dumps({**BODY, "project": "prj_1"})) == Dispatch("run_1", 3, "acme", "prj_1")


@pytest.mark.parametrize(
    "body",
    ["", "nonsense", "[]", "null", "{}", '"run"', *(json.dumps({**BODY, name: value}) for name, value in [
        ("run", None), ("run", ""), ("run", "r" * 101), ("run", "\ud800"), ("project", ""), ("fence", "3"), ("fence", True), ("fence", 2.5), ("tenant", 1), ("project", 5),
    ]), "[" * 100_000],
)  # fmt: skip
def test_anything_else_is_no_dispatch(body: str) -> None:
    assert parse(body) is None


def test_a_queued_run_below_the_granted_fence_is_claimed_where_it_left_off() -> None:
    fresh = decided()
    assert isinstance(fresh, Claim)
    assert [stage.name for stage in fresh.first] == ["s1"]
    resumed = decided(results={"s1": "{}"}, version="1")
    assert isinstance(resumed, Claim)
    assert [stage.name for stage in resumed.first] == ["s2"]


@pytest.mark.parametrize("changes", [{"state": RUNNING}, {"state": SUCCEEDED}, {"fence": 3}, {"fence": 4}])
def test_a_late_or_repeated_message_is_dropped(changes: dict[str, Any]) -> None:
    assert decided(**changes) == Drop("it was claimed, revoked or ended before")


def test_a_message_for_an_unknown_run_or_with_another_tenant_is_dropped() -> None:
    assert decided(tenant="evil") == Drop("it names another tenant")
    assert decide(
        Dispatch("run_1", 3, "acme", None), None, receives=1, find=registry().find, now=0, has_suspect=False
    ) == Drop("there is no such run")


def test_a_workflow_or_version_that_is_not_served_here_is_left_to_others_for_a_while() -> None:
    assert decided(version="2") == Leave(1.0, "this runner does not know workflow sample version 2")
    assert decided(workflow="other", receives=3) == Leave(3.0, "this runner does not know workflow other")
    assert isinstance(decided(workflow="other", receives=LEAVES_MAX), Drop)


def test_a_run_that_has_lost_many_runners_is_left_to_others_where_another_such_run_executes() -> None:
    assert isinstance(decided(attempt=SUSPECT_LOSSES), Claim)
    assert isinstance(decided(attempt=SUSPECT_LOSSES - 1, has_suspect=True), Claim)
    assert decided(attempt=3, receives=2, has_suspect=True) == Leave(
        2.0, "it has lost 3 runners, and this one executes another run that lost as many"
    )
    assert isinstance(decided(attempt=3, receives=LEAVES_MAX, has_suspect=True), Drop)
