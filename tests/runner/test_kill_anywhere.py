"""A runner may die between any two of its port calls: the run resumes after its last finished stage (faults 51, 62, 78)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.runner.faults import Fault, Faults
from tests.runner.rig import Rig, completions, virtual
from tests.runner.stages import Word, stage, workflow

from penstock_backbone.records.results import decode_result
from penstock_backbone.records.runs import SUCCEEDED, FactItem, result_of
from penstock_runner.authoring import StageContext, Workflow


def building(ran: list[str]) -> Workflow:
    """Everything that needs a write of its own: files, a large output, a failed attempt, stages side by side."""

    async def gather(context: StageContext) -> Word:
        ran.append("gather")
        await context.put_artifact("notes.txt", b"as gathered")
        return Word(text="x" * 5000)

    async def write(context: StageContext) -> Word:
        ran.append("write")
        if context.attempt == 1:
            raise ValueError("the model was not in the mood")
        await context.put_artifact("notes.txt", b"as written")
        return Word(text=context.output_of("gather", Word).text[:3])

    async def draw(context: StageContext) -> Word:
        ran.append("draw")
        assert await context.get_artifact("notes.txt") in {b"as gathered", b"as written"}
        return Word(text="a picture")

    async def bind(context: StageContext) -> Word:
        ran.append("bind")
        return Word(text=context.output_of("write", Word).text + context.output_of("draw", Word).text)

    return workflow(
        stage("gather", gather),
        stage("write", write),
        stage("draw", draw, needs=("gather",)),
        stage("bind", bind, needs=("write", "draw")),
    )


@pytest.mark.parametrize("death", ["die before", "die after"])
def test_a_run_survives_the_death_of_its_runner_at_every_port_call(death: Fault) -> None:
    undisturbed = Played()
    play(0, death, undisturbed)
    died_at = []
    for number in range(1, len(undisturbed.calls) + 1):
        played = Played()
        play(number, death, played)
        if played.died:
            died_at.append(played.calls[number - 1])
    assert died_at.count("write runs") >= 7
    assert {"get", "delete", "put", "write sessions"} <= set(died_at)


@pytest.mark.parametrize("loss", ["lose request", "lose response"])
def test_a_lost_request_or_response_at_any_port_call_changes_nothing(loss: Fault) -> None:
    undisturbed = Played()
    play(0, loss, undisturbed)
    for number in range(1, len(undisturbed.calls) + 1):
        play(number, loss, Played())


@pytest.mark.parametrize("loss", ["lose request", "lose response"])
def test_a_runner_that_loses_every_second_call_finishes_all_the_same(loss: Fault) -> None:
    play(2, loss, Played(), repeatedly=True)


@dataclass
class Played:
    calls: list[str] = field(default_factory=list)
    died: bool = False


@virtual
async def play(rig: Rig, number: int, fault: Fault, played: Played, *, repeatedly: bool = False) -> None:
    """The fault happens at the runner's port call `number` (or at each multiple). If it dies, another takes over."""
    ran: list[str] = []
    book = building(ran)
    run_id = await rig.submit(book)
    faults = Faults(
        rig.engine, lambda call, name: fault if call == number or (repeatedly and call % number == 0) else "none"
    )
    process = rig.start(book, faults=faults, session="ses_first")
    await until_over(rig, run_id, faults)
    played.calls, played.died = faults.calls, faults.died.is_set()
    if faults.died.is_set():
        process.kill()
        await rig.requeue(run_id, "ses_first")
        rig.start(book)
    await rig.until_ended(run_id, state=SUCCEEDED)
    story = await rig.story(run_id)
    assert_finished_stages_stay_finished(story)
    assert sorted(completions(story)) == ["bind", "draw", "gather", "write"]
    assert story[-1]["t"] == "RunSucceeded"
    assert [artifact["name"] for artifact in story[-1]["d"]["artifacts"]] == ["notes.txt"]
    bound = result_of(await rig.run(run_id), "bind")
    assert isinstance(bound, str)
    assert bytes(decode_result(bound).output) == b'{"text":"xxxa picture"}'
    assert ran.count("bind") <= 2


def assert_finished_stages_stay_finished(story: list[FactItem]) -> None:
    finished = set()
    for entry in story:
        if entry["t"] == "StageCompleted":
            finished.add(entry["d"]["stage"])
        elif entry["t"] == "StageStarted":
            assert entry["d"]["stage"] not in finished


async def until_over(rig: Rig, run_id: str, faults: Faults) -> None:
    await rig.until(lambda run: faults.died.is_set() or run["state"] == SUCCEEDED, run_id)
    if not faults.died.is_set():
        # The last calls settle the message and beat the session.
        await rig.clock.sleep(1)
