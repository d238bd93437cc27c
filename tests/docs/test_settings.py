"""docs/settings.md names every setting that the code reads, no other, and the defaults that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from penstock_cli import programs
from penstock_infra.configuration import RUNNER_TASKS_MAX_DEFAULT
from penstock_infra.runner_service import RUNS_PER_TASK
from penstock_runner.bootstrap import WORKER_MEMORY_MB_DEFAULT
from penstock_runner.handlers.runner import CAPACITY_DEFAULT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text()
HERE, ON_AWS = PAGE.split("## A stack on AWS")


def sources(folder: str) -> Iterator[str]:
    for path in ROOT.glob(f"{folder}/**/*.py"):
        yield path.read_text()


def default_of(name: str, page: str) -> str:
    (found,) = re.findall(rf"^\| `{name}` \| `([^`]*)` \|", page, re.MULTILINE)
    return str(found)


def test_every_variable_that_a_program_reads_is_named_and_no_other() -> None:
    read = {name for text in sources("*/src") for name in re.findall(r"\bPENSTOCK_[A-Z_]*[A-Z]\b", text)}
    assert set(re.findall(r"\bPENSTOCK_[A-Z_]*[A-Z]\b", HERE)) == read


def test_every_key_that_the_stack_reads_is_named_and_no_other() -> None:
    (configuration,) = (text for text in sources("infra/pulumi") if "def load()" in text)
    read = set(re.findall(r'config\.get\w*\("(\w+)"\)', configuration))
    rows = re.findall(r"^\| (`[^|]+) \|", ON_AWS, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == read
    assert len(read) > 10


def test_the_defaults_are_those_of_the_code() -> None:
    assert default_of("PENSTOCK_RUNNER_CAPACITY", HERE) == str(CAPACITY_DEFAULT)
    assert default_of("PENSTOCK_WORKER_MEMORY_MB", HERE) == str(WORKER_MEMORY_MB_DEFAULT)
    assert float(default_of("PENSTOCK_DRAIN_SECONDS", HERE)) == programs.DRAIN_SECONDS
    assert default_of("runnerTasksMax", ON_AWS) == str(RUNNER_TASKS_MAX_DEFAULT)
    assert f"each takes {RUNS_PER_TASK} runs" in ON_AWS
