"""The story of a run has no gaps, whatever happened to it, and each fact in it is one that readers know."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.events.stories import AT, RUN_ID, WRITES, apply, enqueue, load_run, must, run_in, stage_done

from penstock_backbone.memory import MemoryEngine
from penstock_backbone.ports import Tables
from penstock_backbone.records import runs
from penstock_backbone.records.runs import RunItem
from penstock_backbone.system import SystemClock, SystemIds
from penstock_backbone.vocabulary import BlobRef, Written
from penstock_events.facts import FACTS

pytestmark = pytest.mark.anyio

VERBS = sorted(WRITES.keys() - {"enqueue"})


def assert_complete(run: RunItem) -> None:
    told = list(runs.story(run))
    assert [number for number, _ in told] == list(range(2, run["seq"] + 1))
    assert len(run["facts"]) == len(told)
    assert 2 <= run["since"] <= run["seq"]
    for _, entry in told:
        FACTS[entry["t"]].model_validate(entry["d"])


async def tell(verbs: list[str]) -> None:
    tables = MemoryEngine(SystemClock(), SystemIds()).tables
    await must(tables, enqueue())
    run = await load_run(tables)
    for verb in verbs:
        outcome = await apply(tables, WRITES[verb](run))
        after = await load_run(tables)
        if isinstance(outcome, Written) and verb not in ("revoke", "make_token"):
            assert after["since"] == run["seq"] + 1
        else:
            assert after["seq"] == run["seq"]
        assert after["facts"].items() >= run["facts"].items()
        assert after["fence"] >= run["fence"]
        assert_complete(after)
        run = after


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.sampled_from(VERBS), max_size=12))
def test_no_order_of_events_leaves_a_gap_or_changes_a_fact(verbs: list[str]) -> None:
    asyncio.run(tell(verbs))


async def test_the_story_after_a_fact_is_what_came_later(tables: Tables) -> None:
    run = await run_in(tables, runs.RUNNING)
    whole = list(runs.story(run))
    assert [entry["t"] for _, entry in whole] == ["RunQueued", "RunAdmitted", "RunStarted", "StageStarted"]
    for after in range(run["seq"] + 2):
        assert list(runs.story(run, after)) == [(number, entry) for number, entry in whole if number > after]


async def test_several_facts_in_one_write_are_all_new_to_a_reader_of_the_item(tables: Tables) -> None:
    run = await run_in(tables, runs.RUNNING)
    facts = [stage_done(), runs.fact("StageStarted", AT + 3, stage="review", attempt=1)]
    commit = runs.commit_facts(
        RUN_ID, fence=run["fence"], seq=run["seq"], facts=facts, results={"draft": "1"}, at=AT + 3
    )
    await must(tables, commit)
    after = await load_run(tables)
    assert [entry for _, entry in runs.story(after, after["since"] - 1)] == facts


async def test_a_result_is_kept_as_it_is_or_by_reference(tables: Tables) -> None:
    run = await run_in(tables, runs.RUNNING)
    elsewhere = BlobRef("run_1/1/review.json", "ab" * 32, 70_000)
    results: dict[str, str | BlobRef] = {"draft": '"short"', "review": elsewhere}
    commit = runs.commit_facts(
        RUN_ID, fence=run["fence"], seq=run["seq"], facts=[stage_done()], results=results, at=AT + 3
    )
    await must(tables, commit)
    after = await load_run(tables)
    assert runs.finished_stages(after) == {"draft", "review"}
    assert runs.result_of(after, "draft") == '"short"'
    assert runs.result_of(after, "review") == elsewhere


def test_a_number_that_was_not_measured_is_left_out_of_a_fact() -> None:
    assert runs.fact("RunFailed", 5, error="E", message="m", stage=None)["d"] == {"error": "E", "message": "m"}


def test_what_the_items_of_a_cleared_stage_were_answered_is_forgotten_with_it_and_signals_stand() -> None:
    answers = {"each.0/approval:1": "1", "each/approval:1": "2", "other/approval:1": "3", "signal:go": "4"}
    run = runs.as_run({"answers": answers})
    assert runs.answers_without(run, ["each"]) == {"other/approval:1": "3", "signal:go": "4"}
