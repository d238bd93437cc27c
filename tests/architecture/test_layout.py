"""What a newcomer may rely on: where things are, how long a file gets, and that nothing names one machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.architecture.sources import ROOT, SOURCE_FOLDERS, sources

FIXED_FOLDERS = (
    "events/src/penstock_events",
    "events/src/penstock_backbone",
    "events/samples",
    "events/schemas",
    "api-gateway-svc/src/penstock_api",
    "api-gateway-svc/src/penstock_cli",
    "orchestrator-svc/src/penstock_orchestrator",
    "workflow-runner-svc/src/penstock_runner",
    "infra/pulumi",
    "tests",
    "docs/decisions",
)
LINES_MAX = 400
VAGUE_NAMES = frozenset(
    {"util", "utils", "helper", "helpers", "common", "manager", "managers", "base", "misc", "shared", "stuff", "lib"}
)
NOT_OURS = frozenset({".git", ".venv", "build", "dist", "node_modules", "__pycache__", "vendor", ".penstock"})
"""Folders that hold what a tool made or what somebody else wrote."""

OF_ONE_MACHINE = re.compile(r"(?<![\w.$}*/-])/(?:work|home|root|Users|tmp|private|mnt)(?![\w-])")
FOLDER_BESIDE = re.compile(
    r"(?<![\w./\\%-])\.\./(?P<up>[a-z][\w-]*)(?![\w.-])|(?<![\w./-])(?P<in>[a-z][\w-]*)/[\w-]+\.md\b"
)
"""A folder beside the checkout, or notes in one: nothing here may depend on what a clone does not bring."""
MADE_BY_RUNS = frozenset({"package"})
"""The folder in which the artifacts of a build stand."""
LINTER_EXCEPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore)(?::\s*[A-Z0-9, ]+?|\[[a-z, -]+\])?(?P<reason>\s.*)?$")

REASON_CHARS_MIN = 8
POINTS_ELSEWHERE = re.compile(r"(as|see) (\w+ )?(above|below|before)\b")


def python_files() -> list[Path]:
    return [path for path in text_files() if path.suffix == ".py"]


@cache
def text_files() -> list[Path]:
    return sorted(_walk(ROOT))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in NOT_OURS or path.name.startswith((".venv", ".mypy", ".ruff", ".pytest", ".hypothesis")):
            continue
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.stat().st_size <= 1024 * 1024 and b"\0" not in path.read_bytes()[:8192]:
            yield path


def test_the_fixed_folders_exist() -> None:
    assert [folder for folder in FIXED_FOLDERS if not (ROOT / folder).is_dir()] == []


def test_every_module_says_in_one_sentence_why_it_exists() -> None:
    silent = [source.at(1) for source in sources() if source.tree.body and not ast.get_docstring(source.tree)]
    assert silent == []


def test_no_file_is_over_the_length_one_can_read_at_once() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in python_files()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LINES_MAX
    ]
    assert long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if VAGUE_NAMES & {*path.relative_to(ROOT).with_suffix("").parts}
    ]
    assert vague == []


def test_nothing_names_the_machine_or_the_folders_it_was_written_on() -> None:
    here = Path(__file__)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in text_files()
        if path != here
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if _names_elsewhere(line)
    ]
    assert found == []


@cache
def _folders() -> frozenset[str]:
    return MADE_BY_RUNS.union(*(path.relative_to(ROOT).parts[:-1] for path in text_files()))


def _names_elsewhere(line: str) -> bool:
    return bool(OF_ONE_MACHINE.search(line)) or any(
        not (ROOT / found["up"]).exists() if found["up"] else found["in"] not in _folders()
        for found in FOLDER_BESIDE.finditer(line)
    )


def _is_no_reason(text: str) -> bool:
    """Words that point elsewhere are one only for whoever reads from the top."""
    reason = text.rpartition("#")[2].strip(" -:")
    return len(reason) < REASON_CHARS_MIN or bool(POINTS_ELSEWHERE.match(reason))


def test_every_linter_exception_gives_its_reason_on_the_line() -> None:
    here = Path(__file__)
    silent = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in python_files()
        if path != here
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (found := LINTER_EXCEPTION.search(line)) and _is_no_reason(found["reason"] or "")
    ]
    assert silent == []


@pytest.mark.parametrize("text", ["", "  # short", "  # as above", "  # as said above", "  # see below"])
def test_the_rule_of_reasons_notices(text: str) -> None:
    assert _is_no_reason(text)


@pytest.mark.parametrize("package", SOURCE_FOLDERS)
def test_every_package_is_typed(package: str) -> None:
    assert (ROOT / SOURCE_FOLDERS[package] / package / "py.typed").is_file()


@pytest.mark.parametrize("line", ["open('/tmp/x')", "see /home/notes", "cd ../beside", "as beside/notes.md has it"])
def test_the_machine_rule_notices(line: str) -> None:
    assert _names_elsewhere(line)


@pytest.mark.parametrize(
    "line", ["GET /workflows", "$DATA/tmp", "https://example.org/home", "an exclusive/common lock", "cd ../docs"]
)
def test_the_machine_rule_permits(line: str) -> None:
    assert not _names_elsewhere(line)
