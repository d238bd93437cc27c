"""Followed items are read together, at a pace that suits them, and only so many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.aws.fakes import HastyClock, ScriptedCalls, tables_over

from penstock_backbone.aws import watch
from penstock_backbone.aws.errors import Throttled
from penstock_backbone.aws.watch import AwsWatch
from penstock_backbone.system import SystemClock
from penstock_backbone.vocabulary import Key

pytestmark = pytest.mark.anyio

KEYS = [Key("runs", f"run_{n}", "RUN") for n in range(20)]


class Runs:
    """Answers reads with each run's `seq`."""

    def __init__(self) -> None:
        self.seq = dict.fromkeys((key.pk for key in KEYS), 1)
        self.fails = False

    def answer(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.fails:
            raise Throttled("throttled")
        if "Key" in arguments:
            return {"Item": self._item(arguments["Key"])}
        return {"Responses": {"dev-runs": [self._item(key) for key in arguments["RequestItems"]["dev-runs"]["Keys"]]}}

    def _item(self, key: dict[str, Any]) -> dict[str, Any]:
        return {**key, "seq": {"N": str(self.seq[key["pk"]["S"]])}}


async def test_twenty_followers_cost_one_read_a_round_and_only_the_changed_one_is_woken() -> None:
    runs = Runs()
    calls = ScriptedCalls(runs.answer)
    followed = AwsWatch(tables_over(calls), SystemClock())
    assert all([await followed.changed(key, 0) for key in KEYS])
    assert calls.operations == ["get_item"] * 20
    following = [asyncio.create_task(followed.changed(key, 0.6)) for key in KEYS]
    runs.seq["run_7"] = 2
    assert [key.pk for key, task in zip(KEYS, following, strict=True) if await task] == ["run_7"]
    assert 1 <= calls.operations.count("batch_get_item") <= 4
    await followed.close()


async def test_a_change_between_two_calls_is_not_missed() -> None:
    runs = Runs()
    followed = AwsWatch(tables_over(ScriptedCalls(runs.answer)), SystemClock())
    assert await followed.changed(KEYS[0], 0)
    runs.seq["run_0"] = 2
    assert await followed.changed(KEYS[0], 2)
    await followed.close()


async def test_a_throttle_delays_the_followers_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs()
    followed = AwsWatch(tables_over(ScriptedCalls(runs.answer)), SystemClock())
    await followed.changed(KEYS[0], 0)
    runs.fails = True
    assert not await followed.changed(KEYS[0], 0.5)
    assert "tried again" in caplog.text
    runs.fails, runs.seq["run_0"] = False, 2
    assert await followed.changed(KEYS[0], 2)
    await followed.close()


async def test_beyond_the_limit_a_timer_is_the_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "WATCHED_KEYS_MAX", 1)
    calls, clock = ScriptedCalls(Runs().answer), HastyClock()
    followed = AwsWatch(tables_over(calls), clock)
    await followed.changed(KEYS[0], 0)
    assert await followed.changed(KEYS[1], 30)
    assert clock.slept == [watch.PAUSE_SECONDS_MAX]
    await followed.forget(KEYS[0])
    assert await followed.changed(KEYS[1], 30)
    assert len(calls.asked) == 2
