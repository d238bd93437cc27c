"""The nine stages hand their documents on, deliver what they made, and fail in words."""

from __future__ import annotations

import asyncio
import io
import json
import tomllib
import zipfile

import pytest
from tests.runner.building.runs import Clock, Context, Workbench, built, carry_out, carry_out_in, project, shop

from penstock_backbone.system import SystemClock
from penstock_events.facts import Artifact
from penstock_runner.authoring import FinalError, Workflow
from penstock_runner.workflows import built_in
from penstock_runner.workflows.agent_build.documents import AgentCode
from penstock_runner.workflows.agent_build.workflow import build_agent_build
from penstock_runner.workflows.building.documents import AssemblyReport, Deployment, Document, ProjectPlan, SourceFile
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.model import Assignment, DocumentModel
from penstock_runner.workflows.building.packaging import project_file
from penstock_runner.workflows.building.proving import counts
from penstock_runner.workflows.building.workbench import NotImported, Outcome, Ran, TookTooLong

REQUIREMENT = "创建一个能够搜索和分析 PubMed 医学文献的智能助手"
NINE = [
    "orchestrator", "requirements_analysis", "system_architecture", "agent_design", "tools_developer", "prompt_engineer",
    "agent_code_developer", "agent_developer_manager", "agent_deployer",
]  # fmt: skip


def test_the_nine_stages_run_one_after_the_other() -> None:
    workflow = built_in(SystemClock(), OfflineDrafter())[0]
    assert (workflow.name, workflow.version) == ("agent_build", "1")
    assert [stage.name for stage in workflow.stages] == NINE
    assert all(stage.needs is None and stage.title for stage in workflow.stages)


def test_every_file_document_and_archive_is_an_artifact() -> None:
    run = built(REQUIREMENT, "PubMed")
    deployment = Deployment.model_validate_json(run.outputs["agent_deployer"])
    assert {f"documents/{stage}.json" for stage in NINE} <= set(run.artifacts)
    assert len(run.artifacts) == deployment.artifacts
    with zipfile.ZipFile(io.BytesIO(run.artifacts["package.zip"])) as archive:
        inside = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    assert inside == {file.path: file.text.encode() for file in run.files()}
    for stage in NINE:
        assert json.loads(run.artifacts[f"documents/{stage}.json"]) == json.loads(run.outputs[stage])


def test_what_is_delivered_is_what_was_tested() -> None:
    workbench = Workbench()
    run = built(REQUIREMENT, workbench=workbench)
    assert {file.path: file.text for file in workbench.files} == {file.path: file.text for file in run.files()}


def test_the_counts_of_the_tests_are_reported() -> None:
    run = built(REQUIREMENT, workbench=Workbench(Ran(0, "....\n12 passed in 0.10s\n", 345)))
    tests = Deployment.model_validate_json(run.outputs["agent_deployer"]).tests
    assert (tests.passed, tests.failed, tests.duration_ms) == (12, 0, 345)


def test_each_stage_leaves_its_document_before_the_run_ends_and_if_it_fails() -> None:
    context = Context(project(REQUIREMENT))
    with pytest.raises(FinalError):
        asyncio.run(carry_out_in(context, build_agent_build(shop(workbench=Workbench(Ran(1, "1 failed in 0.1s", 10))))))
    assert set(context.artifacts) == {f"documents/{stage}.json" for stage in NINE[:-1]}


@pytest.mark.parametrize(
    ("output", "passed_failed"),
    [
        ("1 failed, 4 passed in 0.05s", (4, 1)),
        ("2 failed, 1 passed, 3 errors in 1s\n", (1, 5)),
        ("1 error in 0.1s", (0, 1)),
        ("99 passed\nno tests ran in 0.01s", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_counts_come_from_the_last_line_only(output: str, passed_failed: tuple[int, int]) -> None:
    assert counts(output) == passed_failed


def test_failing_tests_fail_the_run_at_once_and_show_why() -> None:
    workbench = Workbench(Ran(1, "x" * 5000 + "\nE assert 1 == 2\n1 failed in 0.1s", 10))
    with pytest.raises(FinalError, match="exit code 1") as caught:
        built(REQUIREMENT, workbench=workbench)
    assert str(caught.value).endswith("E assert 1 == 2\n1 failed in 0.1s")
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (NotImported("Traceback\nThe module a.b cannot be imported."), "cannot be imported. It says:\nTraceback"),
        (Ran(0, "", 10), "No test of the package passed, though nothing failed"),
    ],
)
def test_a_package_that_proves_nothing_fails_the_run_at_once(outcome: Outcome, sentence: str) -> None:
    with pytest.raises(FinalError, match=sentence):
        built(REQUIREMENT, workbench=Workbench(outcome))


def test_what_the_linter_found_untidy_is_told_and_stops_nothing() -> None:
    run = run_with(Meddler(SourceFile(path="tests/untidy.py", text="import json\n")))
    report = AssemblyReport.model_validate_json(run.outputs["agent_developer_manager"])
    assert report.notes == ("'tests/untidy.py', line 1: 'json' imported but unused.",)
    assert "the linter finds no fault" in report.checks


def test_whatever_folders_and_kinds_of_files_a_package_has_are_installed() -> None:
    plain = tomllib.loads(built(REQUIREMENT).artifacts["package/pyproject.toml"].decode())["tool"]["setuptools"]
    name = plain["packages"][0]
    assert plain == {"packages": [name, f"{name}.tools"], "package-data": {name: ["*.json", "prompts/*.md"]}}
    files = [
        SourceFile(path=f"{name}/{path}", text="") for path in ("core/deep/run.py", "core/words.csv", "tools/a.txt")
    ]
    grown = ProjectPlan.model_validate(json.loads(built(REQUIREMENT).outputs["orchestrator"]))
    strange = ("", "/", f"{name}/", f"{name}/.", f"{name}//", "/etc/x", "README.md")
    text = project_file(grown, "0.1.0", [*strange, *(file.path for file in files)]).text
    assert tomllib.loads(text)["tool"]["setuptools"] == {
        "packages": [f"{name}.core.deep"],
        "package-data": {name: ["core/*.csv", "tools/*.txt"]},
    }


def test_tests_that_take_too_long_may_be_tried_again() -> None:
    with pytest.raises(TimeoutError, match="did not end within 60 s"):
        built(REQUIREMENT, workbench=Workbench(TookTooLong(60, "...")))


class Meddler(OfflineDrafter):
    """A drafting model that spoils one document, as language models do, and reports what it used."""

    def __init__(self, file: SourceFile | None = None, input_tokens: int | None = None) -> None:
        self._file = file
        self._input_tokens = input_tokens

    async def draft(self, assignment: Assignment[DocumentModel]) -> DocumentModel:
        document = await super().draft(assignment)
        drafted: Document = document
        assignment.usage.add(input_tokens=self._input_tokens)
        if self._file is not None and isinstance(drafted, AgentCode):
            drafted = AgentCode(files=(*drafted.files, self._file))
        assert isinstance(drafted, assignment.part.output)
        return drafted


def run_with(model: Meddler) -> Context:
    return asyncio.run(carry_out(build_agent_build(shop(model)), project(REQUIREMENT)))


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("../escape.py", "", "not a safe path"),
        ("/etc/cron.d/x.py", "", "not a safe path"),
        ("a\\b.py", "", "not a safe path"),
        ("tests/con.py", "", "not a safe path"),
        (".hidden.py", "", "not a safe path"),
        ("tools/run.sh", "", "not a safe path"),
        ("readme.MD", "", "not a safe path"),
        ("README.md", "", "there twice"),
        ("Tests/test_agent.py", "", "there twice"),
        ("tests/broken.py", "def f(:", "cannot be parsed"),
        ("tests/zero.py", "a = 1\0", "cannot be parsed"),
        ("tests/deep.py", "(" * 5000, "cannot be parsed"),
        ("data.json", "{", "cannot be parsed"),
        ("tests/magic.py", "import strands_magic_sdk", "strands_magic_sdk"),
        ("tests/typo.py", "print(undefined_thing)", "line 1: undefined name 'undefined_thing'"),
        ("tests/late.py", "def f():\n    try:\n        from .absent import x\n    finally: pass", "tests.absent"),
        ("big.txt", "x" * 262_145, "at most 262144"),
    ],
)
def test_a_spoiled_package_is_never_built(path: str, text: str, complaint: str) -> None:
    with pytest.raises(ValueError if complaint.startswith("at most") else FinalError, match=complaint):
        run_with(Meddler(SourceFile(path=path, text=text)))


def test_an_artifact_that_is_refused_for_good_fails_the_run_for_good() -> None:
    class Full(Context):
        async def put_artifact(self, name: str, data: bytes) -> Artifact:
            raise FinalError(f"no place for {name}")

    workflow = build_agent_build(shop())
    with pytest.raises(FinalError, match="no place for"):
        asyncio.run(carry_out(workflow, project(REQUIREMENT), Full))


def test_too_many_files_are_refused() -> None:
    files = tuple(SourceFile(path=f"notes{number}.txt", text="") for number in range(60))

    class Hoarder(Meddler):
        async def draft(self, assignment: Assignment[DocumentModel]) -> DocumentModel:
            document = await super().draft(assignment)
            drafted: Document = document
            if isinstance(drafted, AgentCode):
                drafted = AgentCode(files=(*drafted.files, *files)[:60])
            assert isinstance(drafted, assignment.part.output)
            return drafted

    with pytest.raises(FinalError, match="60 are allowed"):
        run_with(Hoarder())


def test_usage_is_reported_only_where_a_model_measured_it() -> None:
    assert built(REQUIREMENT).usage.total is None
    assert run_with(Meddler(input_tokens=5)).usage.total == {"input_tokens": 5 * 7}


@pytest.mark.parametrize(("pace", "slept"), [(0.4, [0.4] * 8), (0.0, [])])
def test_the_pace_is_kept_by_the_clock_it_is_given(pace: float, slept: list[float]) -> None:
    clock = Clock()
    workflow: Workflow = build_agent_build(shop(clock=clock, pace=pace))
    asyncio.run(carry_out(workflow, project(REQUIREMENT)))
    assert clock.slept == slept


def test_half_characters_do_not_stop_a_run() -> None:
    run = built("summarise files \ud800 with half a character \udfff", "x\ud800y")
    assert "summarise files ? with half a character ?" in run.artifacts["package/README.md"].decode()


def test_documents_stay_small_enough_to_travel() -> None:
    run = built("读取文件，分析日志并统计错误，生成报价、摘要和计划。\n" * 380, "长")
    assert max(len(text.encode()) for text in run.outputs.values()) < 128 * 1024
    assert sum(map(len, run.artifacts.values())) < 1024 * 1024
