"""agent_update changes a package as a request asks for, proves it again, and says what it has changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.runner.agent_update.updates import BASE, files_of, updated
from tests.runner.building.packages import lay_out, manifest, ruff_says
from tests.runner.building.requirements_said import SAID
from tests.runner.building.runs import Context, built, shop

from penstock_backbone.system import SystemClock
from penstock_runner.authoring import FinalError
from penstock_runner.domain.given import input_problem
from penstock_runner.workflows import built_in
from penstock_runner.workflows.agent_update.changes import COMPARED_LINES_MAX, changes_between, difference
from penstock_runner.workflows.agent_update.documents import UpdateOrder
from penstock_runner.workflows.agent_update.source_package import next_version
from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits
from penstock_runner.workflows.building.documents import Deployment, SourceFile
from penstock_runner.workflows.building.drafter.offline import OfflineDrafter
from penstock_runner.workflows.building.inspection import Inspection, inspect
from penstock_runner.workflows.building.packaging import Package
from penstock_runner.workflows.tool_build.workflow import build_tool_build

FIVE = ["update_orchestrator", "requirements_update", "tool_update", "prompt_update", "code_update"]
ENGLISH = "Build an agent that greets customers and answers questions from documents"
CHANGE = "Add a tool that judges the sentiment of feedback, and remove the greeting tool."
NAME = "greets_customers_answers_agent"
Artifacts = Mapping[str, bytes]


@pytest.fixture(scope="module")
def base() -> Artifacts:
    return built(ENGLISH).artifacts


def update(base: Artifacts, change: str, given: Mapping[str, Any] | None = None) -> Context:
    return asyncio.run(updated(base, change, given))


def proved(base: Artifacts, change: str) -> Context:
    """With the package's tests really run."""
    return asyncio.run(updated(base, change, on=shop(workbench=ChildWorkbench(SystemClock(), Limits()))))


def inline(base: Artifacts, **changed: str | None) -> dict[str, Any]:
    """The package as `files`; of `changed`, `manifest_json` is the path manifest.json, and None leaves a file out."""
    files: dict[str, str | None] = {
        name.removeprefix("package/"): data.decode() for name, data in base.items() if name.startswith("package/")
    }
    files |= {path.replace("_json", ".json"): text for path, text in changed.items()}
    return {"files": {path: text for path, text in files.items() if text is not None}}


def test_the_five_stages_run_one_after_the_other_and_the_input_is_typed() -> None:
    workflow = next(one for one in built_in(SystemClock(), OfflineDrafter()) if one.name == "agent_update")
    assert [stage.name for stage in workflow.stages] == FIVE
    assert all(stage.needs is None and stage.title for stage in workflow.stages)
    assert workflow.input is UpdateOrder


def test_a_tool_comes_another_goes_and_the_packages_tests_pass(base: Artifacts) -> None:
    run = proved(base, CHANGE)
    deployment = Deployment.model_validate_json(run.outputs["code_update"])
    assert (deployment.tests.failed, deployment.tests.passed > 15) == (0, True)
    assert manifest(run).version == "0.2.0"
    assert manifest(run).tools == ("document_search", "document_reader", "sentiment")
    files = files_of(run)
    assert f"{NAME}/tools/sentiment.py" in files
    assert "tests/test_sentiment.py" in files
    assert not [path for path in files if "greeting" in path]
    for path in ("README.md", f"{NAME}/prompts/system.md"):
        assert "`sentiment`" in files[path]
        assert "`greeting`" not in files[path]
    parts = [part["name"] for part in json.loads(files[f"{NAME}/architecture.json"])["components"]]
    assert ("sentiment" in parts, "greeting" in parts) == (True, False)
    spec = json.loads(files[f"{NAME}/spec.json"])
    assert spec["requirement"] == f"{ENGLISH}\n\n{CHANGE}"
    assert spec["requirements"][-1] == {"id": "R2", "text": CHANGE}


def test_a_chinese_request_changes_a_chinese_agent_and_what_was_changed_can_be_changed_again() -> None:
    first = built("创建一个能够搜索和分析 PubMed 医学文献的智能助手")
    second = proved(first.artifacts, "请增加数据脱敏工具，隐藏身份证和手机号")
    third = proved(second.artifacts, "删除数据脱敏工具，增加一个问候用户的工具")
    assert "pii_masking" in manifest(second).tools
    assert manifest(third).tools == (*manifest(first).tools, "greeting")
    assert (manifest(third).version, manifest(third).language) == ("0.3.0", "zh")
    said = second.artifacts["changes.md"].decode()
    assert "## 修改内容" in said
    lines = len(files_of(second)["tests/test_pii_masking.py"].splitlines())
    assert f"| `tests/test_pii_masking.py` | 新增 | {lines} | 0 |" in said
    assert "联网实时数据源" in said, "what is still not covered"


@pytest.mark.parametrize(
    ("change", "tools"),
    [
        ("删除greeting工具", ("document_search", "document_reader")),
        ("Drop the document_reader feature; add price quotes and reminders of dates.",
         ("document_search", "greeting", "price_quote", "dates")),
        ("Remove personal data from answers.", ("document_search", "document_reader", "greeting", "pii_masking")),
        ("Keep the candidates up to date.", ("document_search", "document_reader", "greeting")),
        ("Remove the greeting and the document_search tool.", ("document_reader",)),
        ("Add a to-do list and price quotes and say hello.",
         ("document_search", "document_reader", "greeting", "todo", "price_quote")),
        ("Quita la herramienta greeting y añade un resumen: summary.", ("document_search", "document_reader", "summary")),
    ],
)  # fmt: skip
def test_which_tools_come_and_go(base: Artifacts, change: str, tools: tuple[str, ...]) -> None:
    assert manifest(update(base, change)).tools == tools


def test_what_has_changed_is_told_file_by_file_and_as_a_difference(base: Artifacts) -> None:
    run = update(base, CHANGE)
    said = run.artifacts["changes.md"].decode()
    assert said.startswith("# Greets customers and answers questions from documents 0.1.0 → 0.2.0\n")
    assert "| `tests/test_greeting.py` | removed | 0 | 33 |" in said
    assert f"| `{NAME}/agent.py` |" not in said
    difference = run.artifacts["changes.diff"].decode()
    assert f"--- a/{NAME}/tools/greeting.py\n+++ b/{NAME}/tools/greeting.py\n" in difference
    assert "+    sentiment,\n" in difference
    assert {"documents/tool_update.json", "package.zip", f"{NAME}-0.2.0-py3-none-any.whl"} <= set(run.artifacts)
    assert run.artifacts == update(base, CHANGE).artifacts


def test_a_request_that_names_no_tool_leaves_the_tools_alone(base: Artifacts) -> None:
    run = update(base, "Please be more polite.")
    assert json.loads(run.outputs["update_orchestrator"])["touches"] == ["prompts", "code"]
    assert json.loads(run.outputs["tool_update"]) == {"files": [], "removed": []}
    assert "Please be more polite." in files_of(run)[f"{NAME}/prompts/system.md"]


def test_the_files_may_come_with_the_request_and_what_its_owner_wrote_stays(base: Artifacts) -> None:
    mine = "def test_mine() -> None:\n    assert True\n"
    given = inline(
        base, **{"tests/test_mine.py": mine, f"{NAME}/agent.py": "# mine\n" + text_of(base, f"{NAME}/agent.py")}
    )
    run = update({}, CHANGE, given)
    assert files_of(run)["tests/test_mine.py"] == mine
    assert files_of(run)[f"{NAME}/agent.py"].startswith("# mine\n")
    assert manifest(run).tools[-1] == "sentiment"


@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the difference")
@pytest.mark.parametrize("lines", [1, COMPARED_LINES_MAX + 1])
def test_the_difference_makes_the_new_files_of_the_old_ones(base: Artifacts, tmp_path: Path, lines: int) -> None:
    grown = "A = 1\r\nB = '\u2028\x0b'\n" + "A = 1\n" * lines
    old = [*package_of(base), SourceFile(path="data/long.py", text=grown), SourceFile(path="end.txt", text="no end")]
    new = [file for file in old if "greeting" not in file.path]
    new[-2:] = [
        SourceFile(path="data/long.py", text=grown.replace("A = 1", "A = 2")),
        SourceFile(path="end.txt", text="an end\n"),
    ]
    for file in old:
        target = tmp_path / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.text.encode())
    told = difference(changes_between(old, new))
    applied = subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=told, capture_output=True, check=False)
    assert applied.returncode == 0, applied.stderr
    for file in new:
        assert (tmp_path / file.path).read_bytes() == file.text.encode(), file.path


def package_of(base: Artifacts) -> list[SourceFile]:
    return [
        SourceFile(path=name.removeprefix("package/"), text=data.decode())
        for name, data in base.items()
        if name.startswith("package/")
    ]


def text_of(base: Artifacts, path: str) -> str:
    return base[f"package/{path}"].decode()


def spoiled(base: Artifacts, path: str, change: Callable[[str], str]) -> dict[str, Any]:
    return inline(base, **{path: change(text_of(base, path))})


@pytest.mark.parametrize(
    ("given", "change", "sentence"),
    [
        (lambda _: {"project": "prj_absent"}, CHANGE, "prj_absent has left no file package/manifest.json"),
        (lambda base: inline(base, manifest_json=None), CHANGE, "has no manifest.json as agent_build writes it"),
        (lambda base: inline(base, manifest_json="{}"), CHANGE, "has no manifest.json as agent_build writes it"),
        (lambda base: inline(base, **{"../escape.py": ""}), CHANGE, "not a safe path"),
        (lambda base: inline(base, **{f"{NAME}/spec.json": "{"}), CHANGE, "spec.json' cannot be parsed"),
        (lambda base: inline(base, **{f"{NAME}/spec.json": "[]"}), CHANGE, "set PENSTOCK_MODEL to change this one"),
        (
            lambda base: spoiled(base, "manifest.json", lambda text: text.replace("drafted offline", "drafted by gpt")),
            CHANGE,
            "set PENSTOCK_MODEL to change this one",
        ),
        (
            lambda base: spoiled(base, "README.md", lambda text: text + "\nMine.\n"),
            CHANGE,
            "README.md was changed by hand, and without a model it can only be written anew",
        ),
        (lambda base: inline(base, **{"tests/test_sentiment.py": "x = 1\n"}), CHANGE, "was changed by hand"),
        (
            inline,
            "Remove the document search tool, remove the document reader tool and remove the greeting tool.",
            "would leave the agent without a tool",
        ),
    ],
)
def test_a_package_that_cannot_be_changed_is_refused_in_plain_words(
    base: Artifacts, given: Callable[[Artifacts], dict[str, Any]], change: str, sentence: str
) -> None:
    with pytest.raises(FinalError, match=sentence):
        update(base, change, given(base))


def test_a_tool_is_no_agent() -> None:
    tool = built("A tool for dates", build=build_tool_build)
    with pytest.raises(FinalError, match="it is a tool, and agent_update changes agents"):
        update(tool.artifacts, CHANGE)


def test_a_package_that_is_too_large_is_not_even_read(base: Artifacts) -> None:
    told = json.loads(base["package/manifest.json"])
    told["files"][0]["size"] = 3 * 1024 * 1024
    with pytest.raises(FinalError, match="it is larger than 60 files or 2097152 bytes"):
        update({"package/manifest.json": json.dumps(told).encode()}, CHANGE)


@pytest.mark.parametrize("given", [{}, {"project": "prj_1", "files": {"a": "b"}}, {"projekt": "prj_1"}, {"files": {}}])
def test_an_input_that_names_no_package_or_two_fails_before_the_first_stage(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UpdateOrder.model_validate(given)
    workflow = next(one for one in built_in(SystemClock(), OfflineDrafter()) if one.name == "agent_update")
    project: Any = {"input": json.dumps(given)}
    assert "The input does not fit the workflow agent_update" in (input_problem(workflow, project) or "")


@pytest.mark.parametrize(("old", "new"), [("0.1.0", "0.2.0"), ("1.9.3", "1.10.0"), ("2026a", "0.2.0")])
def test_the_version_goes_up_by_a_minor_one(old: str, new: str) -> None:
    assert next_version(old) == new


def test_whatever_was_built_can_be_changed_and_stays_sound(tmp_path: Path) -> None:
    runs = []
    for name, requirement in list(SAID.values())[::4]:
        before = built(requirement, name)
        run = update(before.artifacts, "增加日志告警工具, and add a todo list.")
        assert {"log_analysis", "todo"} <= set(manifest(run).tools)
        assert inspect(Package(manifest(run), tuple(run.files()))) == Inspection(problems=(), notes=())
        runs.append(run)
    lay_out(runs, tmp_path)
    assert ruff_says(tmp_path) == ""
    assert BASE not in str(runs[0].artifacts)
