"""A workflow is checked before it is served, and its order is worked out once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel
from tests.runner.stages import Word, nothing, stage, workflow

from penstock_runner.authoring import STAGES_MAX, BlockingContext, Stage, StageContext, Workflow
from penstock_runner.domain.mistakes import Problem
from penstock_runner.domain.plan import GiveUp, Plan, TryAgain, after_failure, backoff_seconds, make_plan


def plan_of(*stages: Stage) -> Plan:
    plan = make_plan(workflow(*stages))
    assert isinstance(plan, Plan), plan
    return plan


def problem_of(described: Workflow) -> str:
    problem = make_plan(described)
    assert isinstance(problem, Problem)
    return problem.sentence


def names(stages: tuple[Stage, ...]) -> list[str]:
    return [stage.name for stage in stages]


def blocking(context: BlockingContext) -> Word:
    return Word()


async def takes_more(context: StageContext, more: int) -> Word:
    return Word()


class AsyncCallable:
    async def __call__(self, context: StageContext) -> Word:
        return Word()


def test_without_needs_the_stages_run_in_the_order_in_which_they_are_listed() -> None:
    plan = plan_of(stage("a"), stage("b"), stage("c"))
    assert names(plan.startable(frozenset())) == ["a"]
    assert names(plan.startable_after("a", {"a"})) == ["b"]
    assert names(plan.startable_after("c", {"a", "b", "c"})) == []
    assert plan.before["c"] == {"a", "b"}


def test_independent_stages_start_together_and_the_one_after_them_once() -> None:
    plan = plan_of(stage("a"), stage("b", needs=("a",)), stage("c", needs=("a",)), stage("d", needs=("b", "c")))
    assert names(plan.startable_after("a", {"a"})) == ["b", "c"]
    assert names(plan.startable_after("b", {"a", "b"})) == []
    assert names(plan.startable_after("c", {"a", "b", "c"})) == ["d"]
    assert plan.before["d"] == {"a", "b", "c"}


def test_a_stage_may_need_one_that_is_listed_later() -> None:
    plan = plan_of(stage("late", needs=("early",)), stage("early", needs=()))
    assert names(plan.startable(frozenset())) == ["early"]
    assert names(plan.startable_after("early", {"early"})) == ["late"]


def test_a_run_that_resumes_starts_every_stage_whose_needs_are_finished() -> None:
    plan = plan_of(stage("a"), stage("b", needs=("a",)), stage("c", needs=("a",)), stage("d", needs=("b", "c")))
    assert names(plan.startable({"a", "b"})) == ["c"]
    assert names(plan.startable({"a"})) == ["b", "c"]
    assert names(plan.startable({"a", "b", "c", "d"})) == []


@pytest.mark.parametrize("run", [nothing, AsyncCallable()])
def test_a_stage_runs_anything_that_is_async_and_callable(run: Any) -> None:
    assert plan_of(stage("a", run)).stages["a"].run is run


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ((), "workflow sample: it has 0 stages, and 1 to 50 are possible"),
        ((stage("A b"),), "workflow sample, stage 'A b': its name must match [a-z][a-z0-9_]{0,39}"),
        ((stage("a"), stage("a")), "workflow sample, stage a: another stage has the same name"),
        ((stage("a", needs=("b",)),), "workflow sample, stage a: it needs 'b', and no stage has that name"),
        ((stage("a", needs=("a",)),), "workflow sample, stage a: it needs itself"),
        ((stage("a", needs="b"),), 'workflow sample, stage a: needs=("b",) was probably meant: needs is a tuple of names'),
        (
            (stage("a", needs=("c",)), stage("b"), stage("c"), stage("d", needs=())),
            "workflow sample: the stages a, b, c wait for each other, so none of them could ever start",
        ),
        (
            (stage("a", resources="model:large"),),
            """workflow sample, stage a: resources must be a tuple of names: ("model:sonnet",), not 'model:large'""",
        ),
        (
            (stage("a", resources=("Sonnet",)),),
            "workflow sample, stage a: the resource 'Sonnet' must be a sort and a name, as in model:sonnet",
        ),
        (
            tuple(stage(f"a{number}", resources=(f"model:{number}",)) for number in range(9)),
            "workflow sample: its stages use 9 resources, and up to 8 are possible",
        ),
        ((stage("a", attempts_max=0),), "workflow sample, stage a: attempts_max is 0, and 1 to 20 are possible"),
        ((stage("a", backoff_seconds=-1),), "workflow sample, stage a: backoff_seconds is -1, and 0 to 60 are possible"),
        ((stage("a", timeout_seconds=0),), "workflow sample, stage a: timeout_seconds is 0, and up to 86400 are possible"),
        ((stage("a", jitter=1.5),), "workflow sample, stage a: jitter is 1.5, and 0 to 1 are possible"),
        (
            (stage("a", final_errors=ValueError),),
            "workflow sample, stage a: final_errors must be a tuple of exception classes",
        ),
        (
            (stage("a", takes_more),),
            "workflow sample, stage a: what it runs must be a function that takes the context, and nothing else",
        ),
        ((stage("a", output=str),), "workflow sample, stage a: its output must be a pydantic model class"),
        ((stage("a", 7),), "workflow sample, stage a: what it runs must be a function that takes the context"),  # type: ignore[arg-type]  # the mistake under test
        (("a",), "workflow sample, 'a' is not a Stage"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence_that_names_the_stage(stages: tuple[Any, ...], sentence: str) -> None:
    assert problem_of(workflow(*stages)) == sentence


def test_a_workflow_has_a_name_a_version_and_a_limited_number_of_stages() -> None:
    assert "its name must match" in problem_of(workflow(stage("a"), name="my workflow"))
    assert "its version '' must match" in problem_of(workflow(stage("a"), version=""))
    assert "51 stages" in problem_of(workflow(*(stage(f"s{n}") for n in range(STAGES_MAX + 1))))
    assert isinstance(make_plan(workflow(*(stage(f"s{n}") for n in range(STAGES_MAX)))), Plan)


def test_a_plain_function_is_a_blocking_stage_and_must_be_found_by_another_process() -> None:
    def local(context: BlockingContext) -> Word:
        return Word()

    assert plan_of(stage("a", blocking), stage("b")).blocking == {"a"}
    assert problem_of(workflow(stage("a", local))).startswith(
        "workflow sample, stage a: it is a plain function, so it runs in a worker process: it, its output and its "
        "final_errors must stand at the top of a module ("
    )


def test_a_run_may_have_a_time_limit_of_its_own() -> None:
    limited = Workflow("sample", "1", (stage("a"),), timeout_seconds=90)
    assert isinstance(make_plan(limited), Plan)
    assert problem_of(replace(limited, timeout_seconds=0)) == (
        "workflow sample: timeout_seconds is 0, and up to 2592000 are possible, or None for no limit"
    )


def test_stages_that_may_run_side_by_side_are_one_step() -> None:
    plan = plan_of(
        stage("a"), stage("b", needs=("a",)), stage("c", needs=("b",)), stage("d", needs=("a",)), stage("e", needs=("c", "d"))
    )  # fmt: skip
    assert [names(tuple(step)) for step in plan.steps()] == [["a"], ["b", "d"], ["c"], ["e"]]


def test_the_output_may_be_any_model() -> None:
    class Other(BaseModel):
        pass

    assert isinstance(make_plan(workflow(stage("a", output=Other))), Plan)


def test_the_back_off_doubles_up_to_a_minute_and_the_jitter_takes_up_to_half_of_it_away() -> None:
    assert [backoff_seconds(1, failures=n, chance=0) for n in (1, 2, 3, 7, 8, 1000)] == [1, 2, 4, 60, 60, 60]
    assert backoff_seconds(8, failures=1, chance=0.999999) == pytest.approx(4, abs=0.001)
    assert backoff_seconds(0, failures=3, chance=0.5) == 0


def test_the_jitter_says_how_much_of_the_back_off_chance_may_take_away() -> None:
    steady, loose = stage("a", backoff_seconds=8.0, jitter=0), stage("a", backoff_seconds=8.0, jitter=1)
    assert after_failure(steady, attempt=1, final=False, chance=0.75) == TryAgain(8.0)
    assert after_failure(loose, attempt=1, final=False, chance=0.75) == TryAgain(2.0)


def test_after_a_failure_there_is_another_attempt_until_they_are_used_up_or_cannot_help() -> None:
    twice = stage("a", attempts_max=2, backoff_seconds=3.0)
    assert after_failure(twice, attempt=1, final=False, chance=0) == TryAgain(3.0)
    assert after_failure(twice, attempt=2, final=False, chance=0) == GiveUp()
    assert after_failure(twice, attempt=1, final=True, chance=0) == GiveUp()
