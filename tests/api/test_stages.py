"""What the snapshot says of each stage, fact by fact."""

from __future__ import annotations

from typing import Any

from penstock_api.domain.stages import snapshot
from penstock_backbone.records.runs import FactItem, RunItem, fact

ANNOUNCED = [{"name": "a", "title": "First"}, {"name": "b", "title": ""}]


def run_of(*facts: FactItem, state: str = "running") -> RunItem:
    story = {str(number): entry for number, entry in enumerate((fact("RunQueued", 1), *facts), start=2)}
    run: Any = {"facts": story, "seq": len(story) + 1, "state": state}
    return run  # type: ignore[no-any-return]  # the fields that the snapshot reads


def started(at: int = 10, attempt: int = 1, stages: tuple[str, ...] = ("a", "b")) -> FactItem:
    return fact("RunStarted", at, fence=1, attempt=attempt, workflow_version="1", stages=list(stages))


def begun(stage: str, at: int, attempt: int = 1) -> FactItem:
    return fact("StageStarted", at, stage=stage, attempt=attempt)


def completed(stage: str, at: int, **more: Any) -> FactItem:
    return fact("StageCompleted", at, stage=stage, attempt=1, duration_ms=5, output_bytes=2, **more)


def failed(stage: str, at: int, *, final: bool) -> FactItem:
    return fact(
        "StageFailed", at, stage=stage, attempt=1, duration_ms=3, error="Oops", message="It broke.", final=final
    )


def statuses(run: RunItem | None) -> list[str]:
    return [stage.status for stage in snapshot(run, ANNOUNCED).stages]


def test_before_the_run_the_announced_stages_are_pending() -> None:
    found = snapshot(None, ANNOUNCED)
    assert (found.total, found.completed) == (2, 0)
    assert [(stage.name, stage.title, stage.status) for stage in found.stages] == [
        ("a", "First", "pending"),
        ("b", None, "pending"),
    ]


def test_a_workflow_that_nobody_announces_has_no_number_of_stages() -> None:
    found = snapshot(None, None)
    assert (found.total, found.completed, found.stages) == (None, 0, [])


def test_a_running_stage_shows_how_far_it_has_come_and_one_that_has_ended_does_not() -> None:
    run = run_of(started(), begun("a", 11), completed("a", 12), begun("b", 13))
    run["progress"] = {"a": [900, "nearly"], "b": [250, "reading"]}
    first, second = snapshot(run, ANNOUNCED).stages
    assert first.progress is None
    assert second.progress is not None
    assert (second.progress.fraction, second.progress.line) == (0.25, "reading")


def test_the_usage_of_failed_attempts_counts_and_what_was_not_measured_stays_absent() -> None:
    costly = failed("a", 12, final=False)
    costly["d"]["usage"] = {"input_tokens": 100}
    run = run_of(
        started(),
        begun("a", 11),
        costly,
        begun("a", 13, 2),
        completed("a", 14, usage={"input_tokens": 5, "tool_calls": 1}),
    )
    usage = snapshot(run, ANNOUNCED).stages[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.tool_calls, usage.output_tokens) == (105, 1, None)


def test_a_running_stage_is_shown_as_running() -> None:
    found = snapshot(run_of(started(), begun("a", 11)), ANNOUNCED)
    assert [stage.status for stage in found.stages] == ["running", "pending"]
    assert found.stages[0].started_at == "1970-01-01T00:00:00.011Z"
    assert found.stages[0].duration_ms is None


def test_a_completed_stage_has_its_times_and_what_it_used() -> None:
    run = run_of(started(), begun("a", 11), completed("a", 16, usage={"input_tokens": 7}), begun("b", 16))
    found = snapshot(run, ANNOUNCED)
    assert (found.completed, found.total) == (1, 2)
    first = found.stages[0]
    assert (first.status, first.completed_at, first.duration_ms) == ("completed", "1970-01-01T00:00:00.016Z", 5)
    assert first.usage is not None
    assert (first.usage.input_tokens, first.usage.output_tokens) == (7, None)
    assert found.stages[1].usage is None


def test_a_failed_attempt_is_retrying_until_it_was_the_last() -> None:
    retrying = snapshot(run_of(started(), begun("a", 11), failed("a", 14, final=False)), ANNOUNCED).stages[0]
    assert (retrying.status, retrying.attempt) == ("retrying", 1)
    assert retrying.error is not None
    assert (retrying.error.error, retrying.error.message) == ("Oops", "It broke.")
    again = snapshot(run_of(started(), begun("a", 11), failed("a", 14, final=False), begun("a", 15, 2)), ANNOUNCED)
    assert (again.stages[0].status, again.stages[0].attempt, again.stages[0].error) == ("running", 2, None)
    assert statuses(run_of(started(), begun("a", 11), failed("a", 14, final=True))) == ["failed", "pending"]


def test_a_stage_whose_items_wait_waits_once_nothing_else_of_the_run_is_under_way() -> None:
    facts = [
        started(),
        begun("a", 11),
        fact("StageWaiting", 12, stage="a.1", wait="approval:1", kind="approval", question="Go?"),
    ]
    assert statuses(run_of(*facts)) == ["running", "pending"]
    rests = fact("RunWaiting", 13, stages=["a"])
    assert statuses(run_of(*facts, rests, state="waiting")) == ["waiting", "pending"]
    assert statuses(run_of(*facts, rests, begun("a", 14))) == ["running", "pending"]
    tried = [started(), begun("a", 11), failed("a", 12, final=False), rests]
    assert statuses(run_of(*tried, state="waiting")) == ["retrying", "pending"]


def test_an_interruption_sends_running_stages_back_and_keeps_completed_ones() -> None:
    facts = [started(), begun("a", 11), completed("a", 16), begun("b", 16), fact("RunRequeued", 20, reason="lost")]
    assert statuses(run_of(*facts, state="queued")) == ["completed", "pending"]
    resumed = run_of(*facts, started(30, attempt=2, stages=("b",)), begun("b", 31))
    assert statuses(resumed) == ["completed", "running"]
    assert snapshot(resumed, ANNOUNCED).total == 2


def test_when_a_run_ends_early_its_stages_do_not_look_alive() -> None:
    cut_short = [started(), begun("a", 11), fact("RunCancelled", 20, reason="asked for")]
    assert statuses(run_of(*cut_short, state="cancelled")) == ["cancelled", "skipped"]
    lost = [started(), begun("a", 11), failed("a", 14, final=True), fact("RunFailed", 15, error="Oops", message="m")]
    assert statuses(run_of(*lost, state="failed")) == ["failed", "skipped"]
    never_begun = run_of(fact("RunCancelled", 5, reason="asked for"), state="cancelled")
    assert statuses(never_begun) == ["skipped", "skipped"]


def test_a_fact_of_a_newer_writer_is_passed_over() -> None:
    assert statuses(run_of(started(), fact("StageAdmired", 11, stage="a"), begun("a", 12))) == ["running", "pending"]
