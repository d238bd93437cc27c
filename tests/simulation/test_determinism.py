"""The same seed is the same world, whatever else the machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random  # noqa: TID251  # the simulation's chance is seeded
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel
from tests.simulation import work
from tests.simulation.machine import Process
from tests.simulation.plan import Plan, plan_of, shortened
from tests.simulation.world import World, simulate

from penstock_backbone.vocabulary import Item

Key = TypeVar("Key")
Value = TypeVar("Value")
ROOT = Path(__file__).parents[2]
SEEDS = (3, 12)
ASKED = ("tenant", "requirement", "workflow", "priority")
"""What users say of a project; its ids and its time come from the world."""


def test_a_seed_played_twice_is_the_same_to_the_last_step() -> None:
    for seed in SEEDS:
        first, second = simulate(plan_of(seed)), simulate(plan_of(seed))
        assert first.fingerprint == second.fingerprint
        assert (first.steps, first.sightings.counts) == (second.steps, second.sightings.counts)


def test_a_seed_is_the_same_in_another_process_with_other_hashes() -> None:
    fingerprints = {_played(hash_seed) for hash_seed in ("1", "77")}
    assert fingerprints == {simulate(plan_of(SEEDS[0])).fingerprint}


def test_different_seeds_are_different_worlds() -> None:
    assert simulate(plan_of(1)).fingerprint != simulate(plan_of(2)).fingerprint


def test_taking_faults_away_leaves_the_wishes_and_their_work_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for, and how each attempt ends that is made in both worlds: the worlds themselves differ."""
    plan = plan_of(SEEDS[1])
    worlds = [_world(monkeypatch, shortened(plan, faults)) for faults in (plan.faults, plan.faults[::2], ())]
    whole = worlds[0]
    assert len({world.fingerprint for world in worlds}) == len(worlds)
    for fewer in worlds[1:]:
        for same, least in ((_of_both(whole.projects, fewer.projects), 5), (_of_both(whole.ends, fewer.ends), 15)):
            assert [key for key, (one, other) in same.items() if one != other] == []
            assert len(same) >= least


@dataclass(slots=True)
class _Played:
    """`projects`: what stands in those that were accepted, by wish. `ends`: how each attempt ended, by stage, item and
    number."""

    fingerprint: str
    projects: dict[str, Item]
    ends: dict[tuple[str, ...], str]


def _world(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> _Played:
    ends: dict[tuple[str, ...], str] = {}
    attempts: dict[Random, tuple[str, ...]] = {}
    chance_of, outcome_of = work._chance, work._outcome

    def chance(process: Process, context: Any, what: str) -> Random:
        made = chance_of(process, context, what)
        _, stage, *item = context.idempotency_key.split(":")
        attempts[made] = (context.project.name, stage, *item, str(context.attempt))
        return made

    def outcome(stage: str, chance: Random, lot: float, text: str) -> BaseModel:
        try:
            made = outcome_of(stage, chance, lot, text)
        except Exception as error:
            ended(repr(error), chance)
            raise
        ended(made.model_dump_json(), chance)
        return made

    def ended(how: str, chance: Random) -> None:
        assert ends.setdefault(attempts[chance], how) == how, f"{attempts[chance]} ended in two ways"

    with monkeypatch.context() as patch:
        patch.setattr(work, "_chance", chance)
        patch.setattr(work, "_outcome", outcome)
        world = World(plan)
        result = world.run()
    assert result.violation is None
    projects = {item["name"]: {name: item[name] for name in ASKED} for item in world.checks.projects.values()}
    return _Played(result.fingerprint, projects, ends)


def _of_both(one: Mapping[Key, Value], other: Mapping[Key, Value]) -> dict[Key, tuple[Value, Value]]:
    return {key: (value, other[key]) for key, value in one.items() if key in other}


def _played(hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(SEEDS[0])]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return said.stdout.split()[-1]
