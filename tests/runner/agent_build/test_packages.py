"""Whatever is asked for, in whatever language, the package is whole, safe, and says how it was made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.runner.building.packages import lay_out, manifest, ruff_says
from tests.runner.building.requirements_said import SAID
from tests.runner.building.runs import Context, built

from penstock_runner.authoring import Workflow
from penstock_runner.workflows.agent_build.workflow import build_agent_build
from penstock_runner.workflows.building.drafter.naming import PACKAGE_PATTERN
from penstock_runner.workflows.building.drafting import Workshop
from penstock_runner.workflows.building.inspection import Inspection, inspect
from penstock_runner.workflows.building.packaging import Package
from penstock_runner.workflows.tool_build.workflow import build_tool_build

PROVENANCE = "drafted offline from templates, no model was used"


@pytest.fixture(scope="module")
def runs() -> dict[str, Context]:
    return {case: built(requirement, name) for case, (name, requirement) in SAID.items()}


@pytest.fixture(params=list(SAID))
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def texts(run: Context) -> dict[str, str]:
    return {file.path: file.text for file in run.files()}


def test_the_inspection_finds_nothing_wrong(runs: dict[str, Context], case: str) -> None:
    assert inspect(Package(manifest(runs[case]), tuple(runs[case].files()))) == Inspection(problems=(), notes=())


def test_the_package_name_is_a_safe_identifier(runs: dict[str, Context], case: str) -> None:
    name = manifest(runs[case]).name
    assert re.fullmatch(PACKAGE_PATTERN, name)
    assert name.isidentifier()
    assert name not in sys.stdlib_module_names
    assert name.rsplit("_", 1)[0] not in {"", "_"}
    assert set(texts(runs[case])) >= {f"{name}/agent.py", f"{name}/spec.json", f"{name}/prompts/system.md", "README.md"}


def test_the_requirement_is_kept_word_for_word(runs: dict[str, Context], case: str) -> None:
    spec = json.loads(texts(runs[case])[f"{manifest(runs[case]).name}/spec.json"])
    assert spec["requirement"] == SAID[case][1]


def test_it_says_that_no_model_was_used(runs: dict[str, Context], case: str) -> None:
    assert PROVENANCE in texts(runs[case])["README.md"].lower()
    assert manifest(runs[case]).provenance == PROVENANCE


def test_it_has_two_to_four_tools_each_with_tests(runs: dict[str, Context], case: str) -> None:
    tools = manifest(runs[case]).tools
    assert 2 <= len(tools) <= 4
    assert {f"tests/test_{tool}.py" for tool in tools} <= set(texts(runs[case]))


@pytest.mark.parametrize("case", ["aws quote", "french", "emoji", "longest", "controls"])
def test_the_same_request_makes_the_same_bytes(runs: dict[str, Context], case: str) -> None:
    name, requirement = SAID[case]
    assert built(requirement, name).artifacts == runs[case].artifacts


def test_artifact_names_are_safe_keys(runs: dict[str, Context], case: str) -> None:
    assert [
        name for name in runs[case].artifacts if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", name)
    ] == []
    assert not any(".." in name for name in runs[case].artifacts)


def test_what_people_read_holds_no_control_characters(runs: dict[str, Context], case: str) -> None:
    for path, text in texts(runs[case]).items():
        if not path.endswith(".json"):
            assert not set(text) & set("\x00\x07\x08\x1b\x85\r\u202e\u2066\u2028\ufeff"), path


def test_the_project_file_names_the_package(runs: dict[str, Context], case: str) -> None:
    project = tomllib.loads(texts(runs[case])["pyproject.toml"])["project"]
    assert project["name"].replace("-", "_") == manifest(runs[case]).name
    assert "\n" not in project["description"]


def test_different_requirements_make_visibly_different_packages(runs: dict[str, Context]) -> None:
    wanted = (
        "pubmed",
        "download",
        "greeting",
        "story",
        "aws quote",
        "stocks",
        "masking",
        "feedback",
        "topology",
        "japanese",
    )
    assert len({manifest(runs[case]).name for case in wanted}) == len(wanted)
    assert len({manifest(runs[case]).tools for case in wanted}) == len(wanted)
    assert len({texts(runs[case])["README.md"] for case in wanted}) == len(wanted)
    assert len({texts(runs[case])["tests/test_agent.py"] for case in wanted}) == len(wanted)


@pytest.mark.parametrize(
    ("case", "tools"),
    [
        ("pubmed", {"document_search"}),
        ("documents", {"document_reader", "summary", "key_points"}),
        ("download", {"download"}),
        ("greeting", {"greeting"}),
        ("story", {"draft_writer", "keywords"}),
        ("aws quote", {"price_quote"}),
        ("stocks", {"table_statistics", "key_points"}),
        ("masking", {"pii_masking"}),
        ("topology", {"log_analysis"}),
        ("feedback", {"sentiment"}),
        ("french", {"price_quote", "summary"}),
        ("spanish", {"document_search"}),
        ("japanese", {"summary", "todo", "key_points"}),
        ("signs", {"summary", "keywords"}),
    ],
)  # fmt: skip
def test_the_tools_are_those_the_words_ask_for(runs: dict[str, Context], case: str, tools: set[str]) -> None:
    assert tools <= set(manifest(runs[case]).tools)


@pytest.mark.parametrize(
    ("case", "language", "phrase"),
    [
        ("pubmed", "zh", "原始需求"),
        ("aws quote", "zh", "能做什么"),
        ("meeting", "en", "What was asked for"),
        ("translate", "de", "Was verlangt war"),
        ("french", "fr", "Ce qui a été demandé"),
        ("spanish", "es", "Lo que se pidió"),
        ("japanese", "ja", "依頼の内容"),
        ("korean", "ko", "What was asked for"),
        ("russian", "ru", "What was asked for"),
        ("mixed", "en", "What was asked for"),
    ],
)
def test_readme_and_prompt_are_in_the_language_of_the_requirement(
    runs: dict[str, Context], case: str, language: str, phrase: str
) -> None:
    files = texts(runs[case])
    assert manifest(runs[case]).language == language
    assert phrase in files["README.md"]
    assert phrase in files[f"{manifest(runs[case]).name}/prompts/system.md"]


def test_the_requirements_own_words_are_in_its_tests(runs: dict[str, Context]) -> None:
    assert "能够支持多区域：包括“中国区”和【全球区】" in texts(runs["aws quote"])["tests/test_agent.py"]
    assert 'Turn \\"meeting notes\\"' not in texts(runs["meeting"])["tests/test_agent.py"]
    assert 'Turn "meeting notes" into minutes' in texts(runs["meeting"])["tests/test_agent.py"]


def test_what_the_draft_cannot_do_is_said_openly(runs: dict[str, Context]) -> None:
    assert "PDF 文件：请先转换" in texts(runs["documents"])["README.md"]
    assert "数据库：请导出" in texts(runs["topology"])["README.md"]
    assert "sending messages" in texts(runs["mixed"])["README.md"]


WEATHER = "I want a bot that tells me the weather forecast of a city and suggests what to wear."


@pytest.mark.parametrize("build", [build_agent_build, build_tool_build], ids=["agent", "tool"])
def test_a_requirement_that_no_tool_fits_is_not_promised(build: Callable[[Workshop], Workflow]) -> None:
    readme = texts(built(WEATHER, build=build))["README.md"]
    assert "What this draft does not do\n\n- what was asked for: no tool of the offline drafter fits it" in readme
    assert "Try it with the words" not in readme
    assert "what was asked for: no tool" not in texts(built("Summarise my documents.", build=build))["README.md"]


def test_markdown_in_a_name_or_requirement_stays_text(runs: dict[str, Context]) -> None:
    readme = texts(runs["markdown"])["README.md"]
    assert "`````text\n```\n# head\n````\n" in readme
    outside = re.sub(r"`````text\n.*?\n`````", "", readme, flags=re.DOTALL)
    assert "<script>" not in outside
    assert "\\<script\\>" in outside


ASK = """
import importlib, pathlib, sys
for folder in sorted(pathlib.Path('.').iterdir()):
    name = folder.joinpath('name').read_text()
    sys.path.insert(0, str(folder.resolve()))
    for module in [module for module in sys.modules if module.partition('.')[0] == name]:
        del sys.modules[module]
    agent = importlib.import_module(name).load()
    desk = importlib.import_module(name + '.tools.desk').Desk()
    assert agent.handle(agent.spec['requirement'], desk).text.strip(), name
    assert all(agent.handle('', desk, tool['name']).text for tool in agent.spec['tools']), name
    sys.path.pop(0)
    print(folder.name)
"""


@pytest.fixture(scope="module")
def folder(runs: dict[str, Context], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every package in a folder of its own."""
    root = tmp_path_factory.mktemp("packages")
    lay_out(runs.values(), root)
    return root


def test_all_packages_import_and_answer_in_a_child_process(folder: Path) -> None:
    """One interpreter for all of them keeps this quick; test_workbench.py gives some one of their own."""
    child = subprocess.run(
        [sys.executable, "-I", "-B", "-X", "utf8", "-c", ASK],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert child.stderr == ""
    assert len(child.stdout.split()) == len(SAID)


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is a tool of the developers, not of the runner")
def test_ruff_has_nothing_to_say_about_the_packages(folder: Path) -> None:
    assert ruff_says(folder) == ""
