"""The drafter's parts: names, languages, literals, the library of tools, and the archives."""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import keyword
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runner.building.runs import Context, built

from penstock_runner.workflows.building.documents import Deployment
from penstock_runner.workflows.building.drafter import library
from penstock_runner.workflows.building.drafter.catalog import CARDS, LANGUAGES
from penstock_runner.workflows.building.drafter.library.agent import route, words_used
from penstock_runner.workflows.building.drafter.library.tools import TOOLS
from penstock_runner.workflows.building.drafter.library.tools.desk import Desk, ToolError
from penstock_runner.workflows.building.drafter.markdown import in_markdown, quoted
from penstock_runner.workflows.building.drafter.naming import PACKAGE_PATTERN, package_name
from penstock_runner.workflows.building.drafter.reading import language_of, points_of, readable, title_of
from penstock_runner.workflows.building.drafter.sources import literal, registry

LIBRARY = Path(library.__file__).parent
few = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    ("name", "requirement", "package"),
    [
        ("PubMed 文献助手", "", "pubmed_literature_assistant"),
        ("股票分析", "", "stock_analysis_agent"),
        ("短篇小说生成器", "", "short_story_generator_agent"),
        ("Café Menü", "", "cafe_menu_agent"),
        ("ＡＷＳ　报价", "", "aws_quote_agent"),
        ("", "请帮我做一个天气提醒", "weather_reminder_agent"),
        ("Weather Bot", "", "weather_bot"),
        ("class", "json", "json_agent"),
        ("../../etc/passwd", "todo list", "todo_list_agent"),
        ("", "Create an assistant that keeps my notes", "keeps_notes_assistant"),
        ("", "A tool that converts temperatures between Celsius and Kelvin", "converts_temperatures_agent"),
    ],
)
def test_packages_are_named_after_what_is_asked_for(name: str, requirement: str, package: str) -> None:
    assert package_name(name, requirement) == package


def test_a_name_without_known_words_gets_a_stable_number() -> None:
    assert package_name("مساعد", "أنشئ مساعدًا") == package_name("مساعد", "أنشئ مساعدًا")
    assert package_name("مساعد", "أنشئ مساعدًا") != package_name("مساعد", "أنشئ")
    assert re.fullmatch(r"agent_[0-9a-f]{8}", package_name("", "0123456789"))


@few
@given(st.text(max_size=60), st.text(max_size=200))
def test_any_name_becomes_a_safe_identifier(name: str, requirement: str) -> None:
    package = package_name(name, requirement)
    assert re.fullmatch(PACKAGE_PATTERN, package)
    assert package.isidentifier()
    assert not keyword.iskeyword(package)
    assert package not in sys.stdlib_module_names


@few
@given(st.text(max_size=80))
def test_any_text_survives_as_a_python_literal(text: str) -> None:
    shown = literal(text)
    assert ast.literal_eval(shown) == text
    assert "\n" not in shown


@few
@given(st.text(alphabet=st.sampled_from("`~\n# <>text"), max_size=40))
def test_no_text_ends_its_code_block(text: str) -> None:
    lines = quoted(text).split("\n")
    fence = lines[0].removesuffix("text")
    assert lines[-1] == fence
    assert not any(line.strip().startswith(fence) for line in lines[1:-1])


@few
@given(st.text(max_size=300))
def test_titles_and_points_are_short_single_printable_lines(text: str) -> None:
    for line in (title_of(text, text), *points_of(text)):
        assert 1 <= len(line) <= 200
        assert len(line.splitlines()) == 1
        assert readable(line) == line


@few
@given(st.sampled_from(sorted(TOOLS)), st.text(max_size=300))
def test_a_tool_answers_or_says_what_it_needs_whatever_it_is_given(tool: str, request_text: str) -> None:
    try:
        answer = TOOLS[tool].answer(request_text, Desk())
    except ToolError as error:
        answer = str(error)
    assert answer.strip()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("帮我构建一个可以自动读取 PDF、Word、Markdown 的 Agent", "zh"),
        ("Build an agent named 小红 that reads files", "en"),
        ("会議の議事録を要約してください", "ja"),
        ("", "en"),
        ("12345 !!", "en"),
        ("Eine Übersicht für die Kunden und den Vertrieb", "de"),
        ("Une synthèse pour les clients et le service", "fr"),
        ("Un resumen para los clientes y el equipo", "es"),
    ],
)
def test_the_language_is_recognised(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("requirement", "title"),
    [
        ("Build an agent that reads invoices.", "Reads invoices"),
        ("I want a small bot which tells me the weather, and what to wear", "Tells me the weather, and what to wear"),
        ("An agent to sort letters", "Sort letters"),
        ("Build an agent named Ada that reads files", "Build an agent named Ada that reads files"),
        ("开发一个数据脱敏工具。", "开发一个数据脱敏工具"),
    ],
)
def test_a_title_is_what_is_asked_for_without_the_asking(requirement: str, title: str) -> None:
    assert title_of("", requirement) == title
    assert title_of(requirement, requirement) == title
    assert title_of(requirement[:8] + "…", requirement) == title, "as the API names a project"
    assert title_of("Ada", requirement) == "Ada"


def test_signs_lose_their_meaning_in_markdown() -> None:
    assert in_markdown("# a <b>\n`c` [d](e) & *f*") == "\\# a \\<b\\> \\`c\\` \\[d\\](e) &amp; \\*f\\*"


def test_every_tool_has_a_card_in_every_language_and_its_own_tests() -> None:
    assert list(CARDS) == list(TOOLS)
    for name, card in CARDS.items():
        assert set(card.titles) == set(LANGUAGES)
        assert set(card.companions) <= set(TOOLS) - {name}
        assert (LIBRARY / "tests" / f"test_{name}.py").is_file()
        assert len(TOOLS[name].EXAMPLES) == 2


def test_the_librarys_own_registry_is_made_like_those_of_the_packages() -> None:
    assert registry(TOOLS) == (LIBRARY / "tools" / "__init__.py").read_text("utf-8")


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_tools_examples_reach_it(tool: str) -> None:
    words = {name: TOOLS[name].WORDS for name in TOOLS}
    for example in TOOLS[tool].EXAMPLES:
        assert tool in words_used_by(example)
        assert route(example, {tool: words[tool]}) == tool


def words_used_by(text: str) -> set[str]:
    return {name for name in TOOLS if words_used(text, TOOLS[name].WORDS)}


def test_words_in_letters_count_only_where_a_word_begins() -> None:
    assert words_used("a profile", ("file",)) == set()
    assert words_used("Files!", ("file",)) == {"file"}
    assert words_used("这份文件", ("文件",)) == {"文件"}


def test_the_librarys_own_tests_pass() -> None:
    child = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "--import-mode=importlib", str(LIBRARY / "tests")],
        env={"PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stdout[-2000:]


@pytest.fixture(scope="module")
def run() -> Context:
    return built("Summarise documents for the legal team", 'Legal "digest"')


def test_the_wheel_records_every_file_with_its_checksum(run: Context) -> None:
    built_wheel = Deployment.model_validate_json(run.outputs["agent_deployer"]).wheel
    data = run.artifacts[built_wheel.path]
    assert hashlib.sha256(data).hexdigest() == built_wheel.sha256
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        record_path = next(name for name in wheel.namelist() if name.endswith("/RECORD"))
        rows = [row.split(",") for row in wheel.read(record_path).decode().splitlines()]
        assert sorted(row[0] for row in rows) == sorted(wheel.namelist())
        for path, digest, size in rows:
            if path != record_path:
                content = wheel.read(path)
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={expected}", str(len(content)))


def test_the_installed_wheel_runs_from_the_command_line(run: Context, tmp_path: Path) -> None:
    path = Deployment.model_validate_json(run.outputs["agent_deployer"]).wheel.path
    with zipfile.ZipFile(io.BytesIO(run.artifacts[path])) as wheel:
        wheel.extractall(tmp_path)
    name = path.split("-", maxsplit=1)[0]
    program = f"import sys; sys.path.insert(0, '.'); from {name}.__main__ import main; sys.exit(main())"
    child = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-c", program, "Summarise: one. two. three. four. five."],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.startswith("Summary:")
