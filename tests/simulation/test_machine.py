"""What a frozen process was about to send goes when it wakes, at the end of the faults as well; what a killed one was, never."""

from __future__ import annotations

import pytest
from tests.simulation.loop import SimulationLoop
from tests.simulation.machine import Process


@pytest.mark.parametrize(
    ("woken_at", "killed", "sent"),
    [(None, False, [10.0]), (3.0, False, [3.0]), (3.0, True, [])],
    ids=["when its time is over", "when the faults stop", "never, once it is killed"],
)
def test_a_frozen_process_sends_when_it_wakes(woken_at: float | None, sent: list[float], *, killed: bool) -> None:
    loop = SimulationLoop(None, steps_max=100)
    process = Process(loop, "runner-1", seed=1, life=1, rate=1.0)
    moments: list[float] = []

    async def story() -> None:
        process.freeze(10.0)
        process.when_awake(lambda: moments.append(loop.now))
        if killed:
            process.kill()
        if woken_at is not None:
            loop.happen(woken_at, None, process.thaw)
        over = loop.create_future()
        loop.happen(30.0, None, over.set_result, None)
        await over

    loop.run(story())
    assert moments == sent


def test_a_process_that_is_awake_sends_at_once_and_a_killed_one_never() -> None:
    process = Process(SimulationLoop(None, steps_max=100), "runner-1", seed=1, life=1, rate=1.0)
    sent: list[str] = []
    process.when_awake(lambda: sent.append("awake"))
    process.kill()
    process.when_awake(lambda: sent.append("gone"))
    assert sent == ["awake"]
