"""A failure names its one world and the command that plays it again, and many failures do not hide the first."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.simulation.__main__ import TRACES_SHOWN_MAX, Report, main
from tests.simulation.exhaustive import LOSSES, PLANS, crash_after
from tests.simulation.plan import plan_of
from tests.simulation.replay import command_of, name_of
from tests.simulation.world import Result, simulate

ROOT = Path(__file__).parents[2]
SMALL = replace(LOSSES, faults=(), fault_seconds=1.0)


def test_a_seed_and_a_death_are_named_and_have_their_command() -> None:
    death = crash_after(PLANS["resharding"], 17, partly=True)
    assert name_of(plan_of(7)) == "seed 7"
    assert command_of(plan_of(7), "--trace") == "make sim SEED=7 ARGS=--trace"
    assert name_of(death) == "a death after write 17 in part of the plan 'resharding'"
    assert command_of(death, "--trace") == "make sim CRASH_AFTER=17 ARGS='--plan resharding --partly --trace'"


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        (["SEED=7", "ARGS=--trace"], "--seed 7 --trace"),
        (["CRASH_AFTER=17", "ARGS=--plan resharding --partly"], "--crash-after 17 --plan resharding --partly"),
        (["EXHAUSTIVE=1"], "--exhaustive"),
        (["SEEDS=1000", "ARGS=--first 5"], "--seeds 1000 --first 5"),
    ],
)
def test_make_knows_every_mode(variables: list[str], arguments: str) -> None:
    said = subprocess.run(
        ["make", "--dry-run", "sim", *variables],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.splitlines()[-1].split("tests.simulation ")[1].strip() == arguments


def test_the_command_of_a_death_plays_that_world(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--crash-after", "9", "--plan", "losses", "--partly"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    fingerprint = simulate(crash_after(LOSSES, 9, partly=True)).fingerprint
    assert last.startswith("1 world, 0 violations, ")
    assert last.endswith(f"fingerprint {fingerprint}")
    assert fingerprint != simulate(crash_after(LOSSES, 9, partly=False)).fingerprint


def test_of_many_failures_only_the_first_show_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    report, result = Report(), simulate(SMALL)
    for seed in range(TRACES_SHOWN_MAX + 2):
        report.hear(_broken(result, seed))
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("what happened") == TRACES_SHOWN_MAX
    assert [line for line in lines if "breaks" in line] == [
        f"seed {seed} breaks I5: so" for seed in range(TRACES_SHOWN_MAX + 2)
    ]
    assert lines[-1] == f"replay: make sim SEED={TRACES_SHOWN_MAX + 1} ARGS=--trace"


def _broken(result: Result, seed: int) -> Result:
    return replace(result, plan=replace(result.plan, seed=seed), violation="I5: so", lines=["what happened"])
