"""The events of a run tell when it held a slot."""

from __future__ import annotations

from typing import Any

from penstock_cli.load.domain.story import read


def event(second: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"metadata": {"type": kind, "occurred_at": f"1970-01-01T00:00:{second:02d}.500Z"}, "data": data}


def test_a_run_that_lost_its_runner_holds_a_slot_twice_and_pays_for_both() -> None:
    told = read(
        [
            event(1, "ProjectCreated"),
            event(2, "RunQueued"),
            event(3, "RunAdmitted", fence=1, waited_ms=1000),
            event(3, "StageStarted", stage="part_1", attempt=1),
            event(4, "StageFailed", stage="part_1", usage={"input_tokens": 5}),
            event(5, "StageCompleted", stage="part_1", usage={"input_tokens": 7, "cost_microusd": 2}),
            event(6, "RunRequeued", reason="its runner was lost"),
            event(8, "RunAdmitted", fence=2, waited_ms=2000),
            event(9, "StageCompleted", stage="part_2", usage=None),
            event(9, "RunSucceeded", duration_ms=6000),
        ]
    )
    assert (told.created, told.queued) == (1.5, 2.5)
    assert told.holds == [(3.5, 6.5), (8.5, 9.5)]
    assert (told.ended, told.error) == (True, "")
    assert told.usage == {"input_tokens": 12, "cost_microusd": 2}


def test_a_run_that_failed_says_why_even_if_it_never_held_a_slot() -> None:
    told = read([event(1, "ProjectCreated"), event(2, "RunFailed", stage=None, error="E", message="no luck")])
    assert (told.ended, told.error, told.holds) == (True, "no luck", [])
    assert read([event(1, "ProjectCreated"), event(2, "RunCancelled", reason="enough")]).error == "enough"
    assert read([event(1, "ProjectCreated"), event(2, "RunTimedOut", timeout_ms=1)]).error == "RunTimedOut"


def test_a_story_without_an_end_has_not_ended() -> None:
    assert not read([event(1, "ProjectCreated"), event(2, "RunAdmitted")]).ended
