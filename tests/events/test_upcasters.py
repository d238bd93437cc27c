"""The way from an old version to the newest: one artificial history, since every fact is still at version 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from penstock_events.facts import FACTS
from penstock_events.upcasters import UPCASTERS, Upcaster, upcast


def seconds_to_milliseconds(data: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in data.items() if name != "duration_seconds"}
    return rest | {"duration_ms": data["duration_seconds"] * 1000}


def name_the_stage(data: dict[str, Any]) -> dict[str, Any]:
    return {"stage": "unnamed"} | data


STEPS: Mapping[tuple[str, int], Upcaster] = {
    ("StageFailed", 1): seconds_to_milliseconds,
    ("StageFailed", 2): name_the_stage,
}


def test_the_oldest_version_takes_every_step() -> None:
    assert upcast("StageFailed", 1, {"duration_seconds": 3}, STEPS) == {"duration_ms": 3000, "stage": "unnamed"}


def test_a_middle_version_takes_only_the_steps_after_it() -> None:
    assert upcast("StageFailed", 2, {"duration_ms": 7}, STEPS) == {"duration_ms": 7, "stage": "unnamed"}


def test_the_newest_version_is_left_as_it_is() -> None:
    data = {"duration_ms": 7, "stage": "draft"}
    assert upcast("StageFailed", 3, data, STEPS) is data


def test_the_history_of_one_fact_does_not_touch_another() -> None:
    data = {"stage": "draft", "attempt": 1}
    assert upcast("StageStarted", 1, data, STEPS) is data


def test_a_step_does_not_change_what_it_was_given() -> None:
    data = {"duration_seconds": 3}
    upcast("StageFailed", 1, data, STEPS)
    assert data == {"duration_seconds": 3}


def test_a_missing_step_is_noticed() -> None:
    with pytest.raises(KeyError):
        upcast("StageFailed", 1, {}, {("StageFailed", 2): name_the_stage})


@pytest.mark.parametrize("kind", FACTS)
def test_every_version_step_of_every_fact_exists(kind: str) -> None:
    assert {version for name, version in UPCASTERS if name == kind} == set(range(1, FACTS[kind].version))
