"""Documents drafted by a service: a whole build over the wire, repair, patience, prices, and which model it is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from tests.runner.building.runs import Clock, Context, Workbench, built, carry_out, project
from tests.runner.models.service import Answer, completion, refusal, serving

from penstock_backbone.errors import Fatal
from penstock_backbone.records.limits import RESOURCE_NAME_PATTERN
from penstock_backbone.system import SystemClock
from penstock_runner.adapters.models.choosing import choose
from penstock_runner.authoring import FinalError, Stage
from penstock_runner.domain.plan import GiveUp, after_failure
from penstock_runner.domain.redaction import Redaction
from penstock_runner.domain.usage import UsageTotal
from penstock_runner.workflows.agent_build.parts import PARTS
from penstock_runner.workflows.agent_build.workflow import build_agent_build
from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits
from penstock_runner.workflows.building.documents import Document, ProjectPlan
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.drafting import Workshop, assignment
from penstock_runner.workflows.building.model import Assignment, ModelBusy
from penstock_runner.workflows.building.service.drafter import REPAIRS_MAX, TRIES_MAX, UnusableDraft
from penstock_runner.workflows.building.service.prices import Prices

pytestmark = pytest.mark.anyio

REQUIREMENT = "Build an agent that finds the keywords of a text, and greets people in German and English."
MODEL = {"PENSTOCK_MODEL": "gpt-4o-mini-test"}
FACTS = {"requirement_sha256": "0" * 64, "requirement_chars": 94, "provenance": "drafted by a test"}
PLAN = {"package": "word_finder", "title": "Finds words", "language": "en"}


class NoChance:
    def random(self) -> float:
        return 0.0


def of_stage(
    stage: str, earlier: dict[type[Document], Document], facts: Mapping[str, Any], used: UsageTotal | None = None
) -> Assignment[Any]:
    part = next(part for part in PARTS if part.stage == stage)
    return assignment(part, project(REQUIREMENT), earlier, used or UsageTotal(), facts=facts)


def plan_assignment(used: UsageTotal | None = None) -> Assignment[Any]:
    return of_stage("orchestrator", {}, FACTS, used)


async def drafted(
    script: Callable[[str, dict[str, Any]], Answer], clock: Clock | None = None, given: Any = None
) -> Any:
    async with serving(script) as service:
        environment = {**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1"}
        drafter = choose(environment, clock or Clock(), NoChance()).drafter
        try:
            return await drafter.draft(given or plan_assignment()), service.asked
        except Exception as error:
            error.add_note(str(len(service.asked)))
            raise


def in_turn(*answers: Answer) -> Callable[[str, dict[str, Any]], Answer]:
    left = list(answers)
    return lambda *_: left.pop(0)


async def test_a_whole_package_is_built_from_what_a_service_answers_and_its_own_tests_pass() -> None:
    """The answers are the offline drafter's documents, each asked for by the name of its schema."""
    offline = await asyncio.to_thread(built, REQUIREMENT)
    names = {part.output.__name__: part.stage for part in PARTS}

    def script(_: str, body: dict[str, Any]) -> Answer:
        return completion(offline.outputs[names[body["response_format"]["json_schema"]["name"]]], tokens=(1000, 200))

    async with serving(script) as service:
        chosen = choose({**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1"}, Clock(), NoChance())
        workbench = ChildWorkbench(SystemClock(), Limits())
        workflow = build_agent_build(Workshop(chosen.drafter, workbench, Clock(), 0, chosen.resources))
        run = await carry_out(workflow, project(REQUIREMENT))
    assert len(service.asked) == len(PARTS)
    assert json.loads(run.outputs["agent_deployer"])["tests"]["failed"] == 0
    plan = ProjectPlan.model_validate_json(run.outputs["orchestrator"])
    assert plan.provenance == "drafted by gpt-4o-mini-test"
    assert (
        plan.requirement_sha256 == ProjectPlan.model_validate_json(offline.outputs["orchestrator"]).requirement_sha256
    )
    assert run.usage.total == {"input_tokens": 7000, "output_tokens": 1400, "cost_microusd": 7 * 270}
    assert workflow.stages[0].resources == ("model:gpt-4o-mini-test",)
    assert all(REQUIREMENT in asked["messages"][1]["content"] for asked in service.asked)


async def test_facts_about_the_requirement_are_not_asked_for_and_cannot_be_invented() -> None:
    lie = PLAN | {"requirement_sha256": "0" * 64, "requirement_chars": 1, "provenance": "written by hand"}
    plan, asked = await drafted(in_turn(completion(json.dumps(lie))))
    assert (plan.requirement_chars, plan.provenance) == (94, "drafted by a test")
    schema = asked[0]["response_format"]["json_schema"]["schema"]
    assert set(schema["properties"]) == set(schema["required"]) == set(PLAN)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("I would call it word_finder.", "not one JSON object"),
        ('{"package": "word_finder"', "not one JSON object"),
        (json.dumps(PLAN | {"package": "Word Finder"}), "package: String should match pattern"),
        (json.dumps({"package": "word_finder"}), "title: Field required"),
        *[
            (json.dumps(PLAN | {"package": name}), f"{name} is a name that Python")
            for name in ("json", "class", "tests")
        ],
    ],
)
async def test_what_is_wrong_with_an_answer_is_told_to_the_model_which_mends_it(broken: str, told: str) -> None:
    used = UsageTotal()
    plan, asked = await drafted(
        in_turn(completion(broken), completion(f"Here:\n```json\n{json.dumps(PLAN)}\n```")), None, plan_assignment(used)
    )
    assert plan.package == "word_finder"
    *_, answer, complaint = asked[1]["messages"]
    assert answer == {"role": "assistant", "content": broken}
    assert told in complaint["content"]
    assert used.total == {"input_tokens": 200, "output_tokens": 40, "cost_microusd": 54}, "both answers are paid for"


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("../escape.py", "", "must be in one of word_finder/tools/, tests/test_"),
        ("/etc/passwd", "", "must be in one of"),
        ("word_finder/tools/a.py", "def broken(:", "cannot be parsed"),
        ("word_finder/tools/a.py", "def answer(request):\n    return reqest\n", "line 2: undefined name 'reqest'"),
    ],
)
async def test_files_in_wrong_places_that_do_not_parse_or_that_the_linter_faults_are_mended(
    path: str, text: str, told: str
) -> None:
    plan = ProjectPlan(**PLAN, requirement_sha256="0" * 64, requirement_chars=1, provenance="x")
    tools = of_stage("tools_developer", {ProjectPlan: plan}, {})
    good = {"files": [{"path": "word_finder/tools/__init__.py", "text": "TOOLS = {}\n"}]}
    bad = {"files": [{"path": path, "text": text}]}
    draft, asked = await drafted(in_turn(completion(json.dumps(bad)), completion(json.dumps(good))), None, tools)
    assert [file.path for file in draft.files] == ["word_finder/tools/__init__.py"]
    assert told in asked[1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [('{"a":' * 100_000 + "1" + "}" * 100_000, "not one JSON object"), (r'{"package": "\ud83d"}', "package: ")],
)
async def test_json_that_no_document_can_hold_is_mended_too(answer: str, told: str) -> None:
    plan, asked = await drafted(in_turn(completion(answer), completion(json.dumps(PLAN))))
    assert plan.package == "word_finder"
    assert told in asked[1]["messages"][-1]["content"]


async def test_a_model_may_think_aloud_in_braces_first() -> None:
    plan, asked = await drafted(in_turn(completion(f"<think>A {{package}}?</think>\n{json.dumps(PLAN)}")))
    assert (plan.package, len(asked)) == ("word_finder", 1)


@pytest.mark.parametrize(
    ("reply", "turn"), [(completion(" \n"), "(nothing)"), (completion("{" * 500, finish="length"), "(the beginning")]
)
async def test_an_empty_or_a_cut_off_answer_is_not_sent_back(reply: Answer, turn: str) -> None:
    _, asked = await drafted(in_turn(reply, completion(json.dumps(PLAN))))
    assert asked[1]["messages"][2]["content"].startswith(turn)


async def test_a_model_that_declines_is_not_asked_to_mend_that_and_its_words_are_told() -> None:
    refused = {"choices": [{"delta": {"refusal": "I cannot help."}, "finish_reason": "stop"}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    chunks = [f"data: {json.dumps(event)}\n\n".encode() for event in (refused, usage)]
    used = UsageTotal()
    with pytest.raises(UnusableDraft, match=r"would not draft the ProjectPlan: I cannot help\.") as failed:
        await drafted(lambda *_: Answer(chunks), None, plan_assignment(used))
    assert failed.value.__notes__ == ["1"]
    assert used.total is not None
    assert used.total["input_tokens"] == 7, "it is paid for"


async def test_a_conversation_that_grew_too_long_begins_anew_while_a_question_that_is_too_long_ends_the_run() -> None:
    too_long = refusal(413, "too long")
    with pytest.raises(UnusableDraft, match="too long"):
        await drafted(in_turn(completion("no"), too_long))
    with pytest.raises(FinalError, match="too long"):
        await drafted(in_turn(too_long))


async def carried_out(stage: Stage, context: Context) -> Document:
    return await cast(Callable[[Context], Awaitable[Document]], stage.run)(context)


async def repeated(script: Callable[[str, dict[str, Any]], Answer]) -> tuple[list[Exception], float]:
    """As the runner repeats a stage: every failure, and the seconds of back-off."""
    failures: list[Exception] = []
    waited = 0.0
    async with serving(script) as service:
        chosen = choose({**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1"}, Clock(), NoChance())
        stage = build_agent_build(Workshop(chosen.drafter, Workbench(), Clock())).stages[0]
        for attempt in range(1, 100):
            try:
                await carried_out(stage, Context(project(REQUIREMENT), attempt=attempt))
            except Exception as error:  # noqa: BLE001  # whatever it is: the test looks at it
                failures.append(error)
            follows = after_failure(stage, attempt=attempt, final=isinstance(failures[-1], FinalError), chance=0.0)
            if isinstance(follows, GiveUp):
                break
            waited += follows.delay_seconds
    return failures, waited


async def test_a_stage_waits_for_minutes_for_a_busy_service_and_pays_for_useless_answers_three_times_at_most() -> None:
    failures, waited = await repeated(lambda *_: refusal(503))
    assert {type(error) for error in failures} == {ModelBusy}
    assert waited > 540
    useless, _ = await repeated(lambda *_: completion("no"))
    assert [type(error) for error in useless] == [UnusableDraft, UnusableDraft, FinalError]
    assert str(useless[0]) == str(useless[-1])


@pytest.mark.parametrize(
    ("stage", "path"), [("tools_developer", "tests/test_keywords.py"), ("agent_code_developer", "tests/test_agent.py")]
)
async def test_tests_that_fail_go_back_to_the_model_while_they_can_be_mended(stage: str, path: str) -> None:
    offline = await asyncio.to_thread(built, REQUIREMENT)
    part = next(part for part in PARTS if part.stage == stage)
    good = json.loads(offline.outputs[stage])
    bad = json.loads(offline.outputs[stage])
    broken = next(file for file in bad["files"] if file["path"] == path)
    broken["text"] += "\n\ndef test_of_mine() -> None:\n    assert 1 == 2, 'the model was wrong'\n"
    answers = [completion(json.dumps(bad)), completion(json.dumps(good))]

    async with serving(lambda *_: answers.pop(0)) as service:
        chosen = choose({**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1"}, Clock(), NoChance())
        shop = Workshop(chosen.drafter, ChildWorkbench(SystemClock(), Limits()), Clock())
        found = next(one for one in build_agent_build(shop).stages if one.name == stage)
        drafted = await carried_out(found, Context(project(REQUIREMENT), outputs=dict(offline.outputs), stage=stage))
    assert isinstance(drafted, part.output)
    assert drafted.model_dump(mode="json")["files"] == good["files"]
    assert "the model was wrong" in service.asked[1]["messages"][-1]["content"]


@pytest.mark.parametrize("key", ["secret\n", " secret "])
async def test_a_key_from_a_file_loses_its_line_end(key: str) -> None:
    async with serving(lambda *_: completion(json.dumps(PLAN))) as service:
        environment = {**MODEL, "PENSTOCK_MODEL_URL": f"{service.url}/v1", "PENSTOCK_MODEL_KEY": key}
        await choose(environment, Clock(), NoChance()).drafter.draft(plan_assignment())
    assert service.headers[0]["authorization"] == "Bearer secret"


@pytest.mark.parametrize("key", ["one\ntwo-parts", "\u201csecret-key\u201d"])
def test_a_key_that_no_header_can_hold_is_refused_at_the_start_without_being_shown(key: str) -> None:
    environment = {**MODEL, "PENSTOCK_MODEL_URL": "http://localhost/v1", "PENSTOCK_MODEL_KEY": key}
    with pytest.raises(Fatal, match="PENSTOCK_MODEL_KEY") as refused:
        choose(environment, Clock(), NoChance())
    assert "two-parts" not in str(refused.value)
    assert "secret-key" not in str(refused.value)


def test_the_key_is_taken_out_of_whatever_is_logged_or_told() -> None:
    redact = Redaction.of_environment({"PENSTOCK_MODEL_KEY": "0123-4567-89ab"})
    assert redact("the gateway said: no such user 0123-4567-89ab") == "the gateway said: no such user [redacted]"


async def test_an_answer_that_stays_wrong_is_given_up_after_a_few_rounds() -> None:
    with pytest.raises(UnusableDraft, match="ProjectPlan") as failed:
        await drafted(lambda *_: completion("no"))
    assert failed.value.__notes__ == [str(1 + REPAIRS_MAX)]


async def test_a_name_that_stays_undefined_fails_the_stage_with_the_file_and_the_line() -> None:
    plan = ProjectPlan(**PLAN, requirement_sha256="0" * 64, requirement_chars=1, provenance="x")
    bad = {"files": [{"path": "word_finder/tools/a.py", "text": "def answer(request):\n    return reqest\n"}]}
    with pytest.raises(UnusableDraft) as failed:
        await drafted(
            lambda *_: completion(json.dumps(bad)), None, of_stage("tools_developer", {ProjectPlan: plan}, {})
        )
    assert str(failed.value) == (
        "gpt-4o-mini-test did not give a usable ToolSet: 'word_finder/tools/a.py', line 2: undefined name 'reqest'."
    )


async def test_a_busy_service_is_asked_again_when_it_says_or_after_a_growing_back_off() -> None:
    clock = Clock()
    busy = (refusal(429, **{"Retry-After": "9"}), refusal(503), completion("{", finish=None, cut=True))
    draft, asked = await drafted(in_turn(*busy, completion(json.dumps(PLAN))), clock)
    assert draft.package == "word_finder"
    assert len(asked) == 4
    assert clock.slept == [9.0, 2.0, 4.0]


async def test_a_service_that_stays_busy_fails_the_attempt_which_the_runner_repeats() -> None:
    with pytest.raises(ModelBusy, match="answers 503") as failed:
        await drafted(lambda *_: refusal(503))
    assert failed.value.__notes__ == [str(TRIES_MAX)]


async def test_a_service_that_wants_more_patience_than_a_stage_has_fails_the_attempt_at_once() -> None:
    clock = Clock()
    with pytest.raises(ModelBusy):
        await drafted(lambda *_: refusal(429, **{"Retry-After": "3600"}), clock)
    assert clock.slept == []


async def test_a_service_that_refuses_the_key_fails_the_run() -> None:
    with pytest.raises(FinalError, match="PENSTOCK_MODEL_KEY"):
        await drafted(lambda *_: refusal(401))


def test_a_model_that_the_table_does_not_know_has_no_cost_and_an_own_table_comes_on_top(tmp_path: Path) -> None:
    shipped = Prices.read(None)
    assert shipped.microusd("unheard-of", 1, 1) is None
    assert shipped.microusd("gpt-4o-mini-2024", 1_000_000, 1_000_000) == 750_000
    own = tmp_path / "prices.toml"
    own.write_text('[models]\n"unheard" = { input = 1, output = 2 }\n')
    assert Prices.read(str(own)).microusd("unheard-of", 10, 10) == 30
    assert Prices.read(str(own)).microusd("gpt-4o", 10, 10) == 125


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "eu.anthropic.claude-sonnet-4-20250514-v1:0",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0",
    ],
)
def test_a_model_costs_the_same_by_whichever_of_its_names_it_is_asked(model: str) -> None:
    assert Prices.read(None).microusd(model, 1_000_000, 1_000_000) == 18_000_000


def test_input_that_the_service_has_read_before_has_a_price_of_its_own(tmp_path: Path) -> None:
    assert Prices.read(None).microusd("gpt-4o", 1000, 0, cached_tokens=600) == 400 * 2.5 + 600 * 1.25
    own = tmp_path / "prices.toml"
    own.write_text('[models]\n"m" = { input = 2, output = 2 }\n')
    assert Prices.read(str(own)).microusd("m", 1000, 0, cached_tokens=600) == 2000


@pytest.mark.parametrize(
    "text", ["[models", '[models]\n"a" = { input = -1, output = 2 }\n', '[models]\n"a" = 3\n', None]
)
def test_a_price_table_that_is_wrong_is_named(tmp_path: Path, text: str | None) -> None:
    own = tmp_path / "prices.toml"
    if text is not None:
        own.write_text(text)
    with pytest.raises(Fatal, match="price table"):
        Prices.read(str(own))


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PENSTOCK_MODEL": "gpt-x"}, "PENSTOCK_MODEL_URL is not set"),
        ({"PENSTOCK_MODEL": "gpt-x", "PENSTOCK_MODEL_URL": "localhost"}, "PENSTOCK_MODEL_URL is 'localhost'"),
        ({"PENSTOCK_MODEL_URL": "http://localhost/v1"}, "PENSTOCK_MODEL does not say which model"),
        ({"PENSTOCK_MODEL": "gpt-x", "PENSTOCK_MODEL_URL": "http://localhost:99999/v1"}, "PENSTOCK_MODEL_URL is"),
        ({"PENSTOCK_MODEL": "gpt-x", "PENSTOCK_MODEL_URL": "http://[::1/v1"}, "PENSTOCK_MODEL_URL is"),
        ({"PENSTOCK_MODEL": "bedrock:"}, "names no model"),
    ],
)
def test_half_a_choice_is_told_in_one_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(Fatal, match=sentence):
        choose(environment, Clock(), NoChance())


@pytest.mark.parametrize("model", ["llama3:8b", "org/model", "bedrock:eu.anthropic.claude-x-v1:0", "模型"])
def test_every_model_is_a_resource_that_can_be_limited(model: str) -> None:
    url = "" if model.startswith("bedrock:") else "http://localhost:1/v1"
    chosen = choose(
        {"PENSTOCK_MODEL": model, "PENSTOCK_MODEL_URL": url, "AWS_REGION": "eu-central-1"}, Clock(), NoChance()
    )
    assert re.fullmatch(RESOURCE_NAME_PATTERN, chosen.resources[0])


def test_without_a_model_the_offline_drafter_drafts_and_uses_nothing() -> None:
    chosen = choose({}, Clock(), NoChance())
    assert isinstance(chosen.drafter, OfflineDrafter)
    assert chosen.resources == ()
    workflow = build_agent_build(Workshop(chosen.drafter, Workbench(), Clock(), 0, chosen.resources))
    assert {stage.resources for stage in workflow.stages} == {()}
