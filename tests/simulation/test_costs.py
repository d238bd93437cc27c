"""What a run costs in writes where nothing goes wrong (I15)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from tests.simulation.exhaustive import FAILING
from tests.simulation.world import World

from penstock_backbone.inventory import TOKENS
from penstock_backbone.records.tokens import HEAD_SK
from penstock_backbone.vocabulary import Item, Key

CALM = replace(FAILING, runs=12, fleet=5, submit_seconds=3.0, fault_seconds=4.0)
"""Users still change their minds, and stages still fail."""
PLAIN = frozenset({"RunQueued", "RunAdmitted", "RunStarted", "StageStarted", "StageCompleted", "RunSucceeded"})
"""What is told of a run that none of that befalls."""
OF_LISTS = frozenset({"album", "press"})
"""Workflows in which each item of a list is a write, too."""
WRITES_BESIDE_STAGES = 7
"""Its project and the key of that; its run, enqueued and claimed; its token, enqueued, granted and ended."""


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_run_costs_a_write_for_each_stage_and_seven_beside_two_decisions_at_most(seed: int) -> None:
    world = World(replace(CALM, seed=seed))
    written: Counter[Key] = Counter()
    store = world.engine.storage.store

    def counting(key: Key, change: object, old: Item | None) -> None:
        written[key] += 1
        store(key, change, old)  # type: ignore[arg-type]  # it is what the engine gives

    world.engine.storage.store = counting  # type: ignore[method-assign]  # every commit passes here
    assert world.run().violation is None
    plain = 0
    for run, item in world.checks.stories.runs.items():
        if item["workflow"] in OF_LISTS or not PLAIN.issuperset(fact["t"] for fact in item["facts"].values()):
            continue
        plain += 1
        project = item["project_id"]
        of_it = [key for key in written if run in key.pk + key.sk or project in key.pk + key.sk]
        writes = sum(written[key] for key in of_it) + 1
        assert writes <= WRITES_BESIDE_STAGES + len(item["results"]), {key: written[key] for key in of_it}
    assert plain > 0
    tokens = sum(count for key, count in written.items() if key.table == TOKENS and key.sk != HEAD_SK)
    decisions = sum(count for key, count in written.items() if key.sk == HEAD_SK) - 1
    assert decisions <= tokens - len(world.checks.stories.runs), "each gives, ends or takes something"
