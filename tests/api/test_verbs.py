"""What can be asked of a project, in every state of its run; docs/run-states.md shows the same table."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.api.test_bad_input import assert_problem
from tests.api.world import World, submitted, world
from tests.docs.verb_table import CELLS, VERBS, Cell, run_for

from penstock_api.documentation.examples import EXAMPLES
from penstock_api.domain.wishes import ANSWERED_BYTES_MAX, FACTS_KEPT, Answer, Step, comes_of
from penstock_backbone.local.limits import item_size
from penstock_backbone.records.projects import as_project, project_key
from penstock_backbone.records.runs import (
    FACTS_MAX,
    PAUSED,
    QUEUED,
    RUNNING,
    WAITING,
    RunItem,
    commit_facts,
    end_run,
    fact,
    run_key,
    story,
)
from penstock_backbone.records.transitions import TRANSITIONS
from penstock_backbone.records.verbs import make_token
from penstock_backbone.vocabulary import ITEM_BYTES_MAX, Update

pytestmark = pytest.mark.anyio

WORKFLOW = "agent_build"
QUESTION: dict[str, Any] = {"analysis": {"approval:1": {"k": "approval", "n": 1, "at": 5, "q": "Go?"}}}
SIGNAL: dict[str, Any] = {"analysis": {"signal:go": {"k": "signal", "n": 1, "at": 5, "q": "go"}}}


async def ask(client: httpx.AsyncClient, project: dict[str, Any], verb: str, body: Any = None) -> httpx.Response:
    return await client.post(f"/v1/projects/{project['id']}/{verb}", json=body)


async def rest(made: World, run: RunItem, state: str = WAITING, waits: Any = None) -> RunItem:
    told = (
        fact("RunPaused", run["at"] + 1, reason="x")
        if state == PAUSED
        else fact("RunWaiting", run["at"] + 1, stages=[])
    )
    return await made.update(
        end_run(run, state=state, fence=run["fence"], seq=run["seq"], facts=[told], results={}, at=run["at"] + 1, waits=waits, attempt=run["attempt"] - 1)
    )  # fmt: skip


async def waiting(made: World, client: httpx.AsyncClient, waits: Any) -> dict[str, Any]:
    project = await submitted(client)
    await rest(made, await made.claim(await made.enqueue(project["id"])), waits=waits)
    return project


async def kinds(made: World, project: dict[str, Any]) -> list[str]:
    return [each["t"] for _, each in story(await made.run(project["run_id"]))]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.verb}-{cell.state}")
async def test_every_verb_has_one_answer_in_every_state_and_the_same_when_it_is_repeated(cell: Cell) -> None:
    """The write of each cell is tried on the run itself, and what it leaves is asked again."""
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        (item,) = await made.real_tables.get([project_key(project["id"])])
        assert item is not None
        run = await run_for(made, project["id"], cell.state)
        wish = VERBS[cell.verb]
        found = comes_of(wish, as_project(item), run, 10**13)
        first = found.verdict if isinstance(found, Step) else found
        assert cell.answers(first), first
        if isinstance(found, Step):
            await made.write(found.write)
            changed = await made.run(project["run_id"])
            assert changed["state"] == cell.becomes
            sources = ("",) if run is None else (run["state"],)
            assert any(
                set(each.sources) & set(sources) and each.target in (changed["state"], "") for each in TRANSITIONS
            )
            again = comes_of(wish, as_project(item), changed, 10**13)
            assert type(again) is type(first), again


async def test_a_paused_project_says_so_and_goes_on_when_it_is_resumed() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        await made.enqueue(project["id"])
        for _ in range(2):
            answer = await ask(client, project, "pause", {"reason": "Later."})
            assert (answer.status_code, answer.json()["status"]) == (200, "paused")
        listed = (await client.get("/v1/projects?status=paused")).json()["projects"]
        assert [each["id"] for each in listed] == [project["id"]]
        for _ in range(2):
            answer = await ask(client, project, "resume")
            assert (answer.status_code, answer.json()["status"]) == (200, "queued")
        assert await kinds(made, project) == ["RunQueued", "RunPaused", "RunResumed"]
        run = await made.run(project["run_id"])
        assert run["returning"] is True
        await made.claim(await made.update(make_token(run, token="t", shard=0)))


async def test_of_a_run_that_executes_the_owner_is_asked_and_the_wish_can_be_withdrawn() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        await made.claim(await made.enqueue(project["id"]))
        answer = await ask(client, project, "pause")
        assert (answer.status_code, answer.json()["run"]["pause_requested"]) == (202, True)
        answer = await ask(client, project, "resume")
        assert (answer.status_code, answer.json()["run"]["pause_requested"]) == (200, False)
        assert (await kinds(made, project))[-2:] == ["RunPauseRequested", "RunResumed"]


async def test_a_question_is_shown_and_answered_once() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, QUESTION)
        view = (await client.get(f"/v1/projects/{project['id']}")).json()
        assert view["status"] == "waiting"
        (wait,) = view["run"]["waits"]
        assert (wait["stage"], wait["kind"], wait["question"], wait["until"]) == ("analysis", "approval", "Go?", None)
        for _ in range(2):
            answer = await ask(client, project, "approve", {"stage": "analysis", "by": "Ada"})
            assert (answer.status_code, answer.json()["status"]) == (200, "queued")
        assert_problem(await ask(client, project, "reject", {"stage": "analysis"}), 409, "answered-before")
        assert (await kinds(made, project))[-2:] == ["ApprovalAnswered", "RunResumed"]
        assert_problem(await ask(client, project, "approve", {"stage": "design"}), 409, "not-asked")


async def test_a_stage_that_asks_several_questions_needs_the_name_of_the_wait() -> None:
    async with world(WORKFLOW) as (made, client):
        two = {"analysis": {**QUESTION["analysis"], "approval:2": QUESTION["analysis"]["approval:1"]}}
        project = await waiting(made, client, two)
        assert_problem(await ask(client, project, "approve", {"stage": "analysis"}), 409, "not-asked")
        answer = await ask(client, project, "reject", {"stage": "analysis", "wait": "approval:2", "comment": "no"})
        assert answer.status_code == 200


async def test_a_run_that_waits_has_begun_once() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, QUESTION)
        view = (await client.get(f"/v1/projects/{project['id']}")).json()["run"]
        assert (view["state"], view["attempt"], [each["question"] for each in view["waits"]]) == ("waiting", 1, ["Go?"])


async def test_who_answers_a_stage_whose_items_ask_is_told_their_names() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, {f"analysis.{item}": QUESTION["analysis"] for item in (1, 3)})
        refused = await ask(client, project, "approve", {"stage": "analysis"})
        assert_problem(refused, 409, "not-asked")
        assert refused.json()["detail"].endswith(
            "It is its items that ask: name one as the stage, of analysis.1, analysis.3."
        )
        assert (await ask(client, project, "approve", {"stage": "analysis.3"})).status_code == 200


async def test_the_first_value_of_a_signal_stands_and_wakes_who_waits_for_it() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, SIGNAL)
        other = await ask(client, project, "signals/unheard-of", {"a": 1})
        assert (other.status_code, other.json()["status"]) == (200, "waiting")
        for body in ({"paid": True, "by": "Ada"}, {"by": "Ada", "paid": True}):
            answer = await ask(client, project, "signals/go", body)
            assert (answer.status_code, answer.json()["status"]) == (200, "queued")
        assert_problem(await ask(client, project, "signals/go", {"paid": False}), 409, "answered-before")
        assert (await made.run(project["run_id"]))["answers"]["signal:go"] == '{"by":"Ada","paid":true}'


async def test_a_run_takes_only_so_many_signals() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        await made.enqueue(project["id"])
        for number in range(20):
            assert (await ask(client, project, f"signals/s{number}", number)).status_code == 200
        before = made.items_written
        refused = await ask(client, project, "signals/one-more", 1)
        assert_problem(refused, 409, "run-full")
        assert "has finished" not in refused.json()["detail"], "no signal ever goes away"
        assert made.items_written == before


async def test_a_run_that_is_full_says_what_makes_room_where_anything_does() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, QUESTION)
        assert (await ask(client, project, "approve", {"stage": "analysis"})).status_code == 200
        for number in range(19):
            assert (await ask(client, project, f"signals/s{number}", number)).status_code == 200
        refused = await ask(client, project, "signals/one-more", 1)
        assert_problem(refused, 409, "run-full")
        assert refused.json()["detail"] == EXAMPLES["problems"]["run-full"]["detail"]


async def test_the_questions_of_many_items_are_answered_while_others_finish() -> None:
    async with world(WORKFLOW) as (made, client):
        items = [f"analysis.{number}" for number in range(25)]
        project = await waiting(made, client, dict.fromkeys(items, QUESTION["analysis"]))
        for item in items[:20]:
            assert (await ask(client, project, "approve", {"stage": item})).status_code == 200
        assert_problem(await ask(client, project, "approve", {"stage": items[20]}), 409, "run-full")
        run = await made.run(project["run_id"])
        run["results"] = dict.fromkeys(items[:18], "{}")
        (asked,) = await made.real_tables.get([project_key(project["id"])])
        assert asked is not None
        step = comes_of(Answer(approved=True, stage=items[20]), as_project(asked), run, run["at"])
        assert isinstance(step, Step)
        assert isinstance(step.write, Update)
        assert set(step.write.set["answers"]) == {f"{item}/approval:1" for item in items[18:21]}


async def test_a_failed_run_is_retried_once_and_can_be_followed_on() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        claimed = await made.claim(await made.enqueue(project["id"]))
        await made.fail(claimed, error="E", message="m")
        events = (await client.get(f"/v1/projects/{project['id']}/events")).json()
        assert events["ended"] is True
        for _ in range(2):
            answer = await ask(client, project, "retry", {"requirement": "Build me something else, please."})
            assert (answer.status_code, answer.json()["status"]) == (200, "queued")
            assert answer.json()["requirement"] == "Build me something else, please."
        assert_problem(await ask(client, project, "retry"), 409, "not-over")
        more = (await client.get(f"/v1/projects/{project['id']}/events?after={events['after']}")).json()
        assert [each["metadata"]["type"] for each in more["events"]] == ["RunRetried"]
        assert more["ended"] is False
        assert {stage["status"] for stage in answer.json()["stages_snapshot"]["stages"]} == {"pending"}


async def test_a_retry_can_begin_from_a_finished_stage_only() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        claimed = await made.claim(await made.enqueue(project["id"]))
        await made.succeed(claimed, {"analysis": "{}"})
        assert_problem(await ask(client, project, "retry"), 409, "already-over")
        refused = await ask(client, project, "retry", {"from_stage": "design"})
        assert_problem(refused, 400, "invalid-request")
        assert refused.json()["errors"][0]["pointer"] == "#/from_stage"
        assert (await ask(client, project, "retry", {"from_stage": "analysis"})).status_code == 200


async def test_a_retry_cannot_begin_from_an_item_of_a_list() -> None:
    """What is finished of an unfinished stage is kept, and nothing of it can be named."""
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        claimed = await made.claim(await made.enqueue(project["id"]))
        claimed = await made.commit(
            claimed, fact("StageStarted", claimed["at"], stage="analysis", attempt=2), results={"analysis.0": "{}"}
        )
        await made.fail(claimed, stage="analysis", error="ValueError", message="no")
        refused = await ask(client, project, "retry", {"from_stage": "analysis.0"})
        assert_problem(refused, 400, "invalid-request")


async def test_what_a_stage_had_asked_before_the_run_failed_it_asks_again() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, QUESTION)
        await ask(client, project, "signals/kept", 1)
        await ask(client, project, "reject", {"stage": "analysis"})
        run = await made.update(make_token(await made.run(project["run_id"]), token="t", shard=0))
        await made.fail(await made.claim(run), stage="analysis", error="Rejected", message="no")
        assert (await ask(client, project, "retry")).status_code == 200
        assert (await made.run(project["run_id"]))["answers"].keys() == {"signal:kept"}


@pytest.mark.parametrize("lost", ["lose_requests", "lose_responses"])
async def test_a_verb_whose_answer_is_lost_is_done_once(lost: str) -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, QUESTION)
        getattr(made.tables, lost)["transact"] = 2
        assert (await ask(client, project, "approve", {"stage": "analysis"})).status_code == 200
        assert (await kinds(made, project)).count("ApprovalAnswered") == 1


async def test_many_at_once_make_one() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, SIGNAL)
        answers = await asyncio.gather(*(ask(client, project, "signals/go", 1) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        assert (await kinds(made, project)).count("RunResumed") == 1


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("pause", {"reason": "two\nlines"}, "#/reason"),
        ("resume", {"why": 1}, "#/why"),
        ("retry", {"from_stage": 1}, "#/from_stage"),
        ("retry", {"requirement": "short"}, "#/requirement"),
        ("retry", {"input": []}, "#/input"),
        ("approve", {}, "#/stage"),
        ("approve", {"stage": "analysis", "comment": "x" * 501}, "#/comment"),
        ("signals/Go", 1, "#"),
        ("signals/go", "x" * 3_000, "#"),
    ],
)
async def test_a_body_that_says_something_else_changes_nothing(verb: str, body: Any, pointer: str) -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, QUESTION)
        before = made.items_written
        answer = await ask(client, project, verb, body)
        assert_problem(answer, 400, "invalid-request")
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert made.items_written == before


@pytest.mark.parametrize("verb", ["pause", "resume", "retry", "signals/go"])
async def test_a_project_of_somebody_else_does_not_exist(verb: str) -> None:
    async with world(WORKFLOW) as (_, client):
        project = await submitted(client)
        address = f"/v1/projects/{project['id']}/{verb}"
        assert_problem(await client.post(address, headers={"Penstock-Tenant": "stranger"}), 404, "not-found")


async def test_a_signal_for_a_run_that_is_not_enqueued_yet_can_be_sent_again_soon() -> None:
    async with world(WORKFLOW) as (_, client):
        project = await submitted(client)
        answer = await ask(client, project, "signals/go", 1)
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["Retry-After"]


@pytest.mark.parametrize("state", [QUEUED, RUNNING])
async def test_no_number_of_pauses_leaves_a_run_that_cannot_be_ended(state: str) -> None:
    """Whoever pauses and resumes again and again is refused while there is room for all that others have to write."""
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        run = await made.enqueue(project["id"])
        if state == RUNNING:
            await made.claim(run)
        for _ in range(FACTS_MAX):
            refused = await ask(client, project, "pause", {"reason": "停" * 500})
            if refused.status_code == 409:
                break
            assert (await ask(client, project, "resume")).status_code < 300
        assert_problem(refused, 409, "run-full")
        run = await made.run(project["run_id"])
        assert run["seq"] <= FACTS_MAX - FACTS_KEPT
        assert item_size(run) < ITEM_BYTES_MAX * 3 // 4
        assert (await ask(client, project, "cancel", {"reason": "停" * 500})).status_code < 300


async def test_a_run_with_many_short_pauses_keeps_numbers_for_its_end() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await submitted(client)
        run = await made.claim(await made.enqueue(project["id"]))
        many = [fact("RunResumed", run["at"], reason="resumed")] * (FACTS_MAX - FACTS_KEPT + 1 - run["seq"])
        await made.update(
            commit_facts(run["pk"], fence=run["fence"], seq=run["seq"], facts=many, results={}, at=run["at"])
        )
        assert_problem(await ask(client, project, "pause"), 409, "run-full")
        assert (await ask(client, project, "signals/go", True)).status_code == 200, "what it waits for may still come"


async def test_answers_leave_room_for_the_end_of_a_run() -> None:
    async with world(WORKFLOW) as (made, client):
        project = await waiting(made, client, SIGNAL)
        run = await made.run(project["run_id"])
        long = fact("RunRequeued", run["at"], reason="x" * ANSWERED_BYTES_MAX)
        await made.update(Update(run_key(run["pk"]), {"seq": run["seq"] + 1, f"facts/{run['seq'] + 1}": long}))
        assert_problem(await ask(client, project, "signals/go", True), 409, "run-full")
        assert (await ask(client, project, "cancel")).json()["status"] == "cancelled"
