"""`penstock workflow check` says before a deployment what a runner would say after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("events/src", "api-gateway-svc/src", "orchestrator-svc/src", "workflow-runner-svc/src")

REPORT = """
from penstock_runner.authoring import Stage, Workflow
from pydantic import BaseModel

class Page(BaseModel):
    parts: list[str] = []

async def work(context):
    return Page()

async def work_on(context, part):
    return Page()

WORKFLOWS = (
    Workflow("report", "3", (
        Stage("read", work, Page),
        Stage("sum_up", work_on, Page, each="read.parts", needs=("read",), timeout_seconds=90),
        Stage("translate", work, Page, needs=("read",), attempts_max=5),
        Stage("print", work, Page, needs=("sum_up", "translate")),
    ), timeout_seconds=7200),
)
"""


def checked(folder: Path, *modules: str, columns: int | None = 100) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(ROOT / source) for source in SOURCES)
    surroundings = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    if columns is not None:
        surroundings["COLUMNS"] = str(columns)
    return subprocess.run(
        [sys.executable, "-m", "penstock_cli.main", "workflow", "check", *modules],
        cwd=folder, env={**surroundings, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_a_good_workflow_is_shown_as_its_steps_in_order(tmp_path: Path) -> None:
    (tmp_path / "report.py").write_text(REPORT)
    said = checked(tmp_path, "report")
    assert (said.returncode, said.stderr) == (0, "")
    assert [line.rstrip() for line in said.stdout.splitlines()] == [
        "report version 3, 4 stages, 2 h at most",
        "  step  stage                after              gives  attempts  time limit",
        "   1    read                 –                  Page   3         1 h",
        "   2 ┌  sum_up × read.parts  read               Page   3         90 s",
        "     └  translate            read               Page   5         1 h",
        "   3    print                sum_up, translate  Page   3         1 h",
        "",
        "✓ 1 workflow can be served",
    ]


def test_faults_are_told_with_file_and_line_beside_what_can_be_served_and_the_exit_code_is_not_0(
    tmp_path: Path,
) -> None:
    (tmp_path / "report.py").write_text(REPORT)
    (tmp_path / "faulty.py").write_text(REPORT.replace('needs=("sum_up", "translate")', 'needs=("sum",)'))
    said = checked(tmp_path, "faulty", "report", "absent")
    assert said.returncode == 1
    assert (
        f"✗ faulty: workflow report, stage print: it needs 'sum', and no stage has that name ({tmp_path}/faulty.py, line 19)"
        in said.stdout
    )
    assert "✗ absent: could not be loaded (no such module)" in said.stdout
    assert "report version 3" in said.stdout


def test_without_a_name_it_shows_what_ships_with_penstock(tmp_path: Path) -> None:
    said = checked(tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    for heading in (
        "agent_build version 1, 9 stages",
        "agent_update version 1, 5 stages",
        "tool_build version 1, 6 stages",
    ):
        assert heading in said.stdout
    assert "✗" not in said.stdout


def test_no_name_is_cut_short_in_a_pipe_and_all_of_it_is_shown_in_a_narrow_terminal(tmp_path: Path) -> None:
    assert "agent_developer_manager  agent_code_developer     AssemblyReport" in checked(tmp_path, columns=None).stdout
    assert "…" not in checked(tmp_path, columns=80).stdout
