"""Files that stages leave behind: listed when the run succeeds, kept over a resume, never written over."""

from __future__ import annotations

import hashlib

import pytest
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import hang, of_type

from penstock_backbone.records.results import StoredArtifact, decode_result, encode_result
from penstock_backbone.records.runs import FAILED, SUCCEEDED, result_of
from penstock_runner.authoring import StageContext
from penstock_runner.handlers.shelf import ARTIFACTS_MAX, name_problem


@virtual
async def test_the_artifacts_of_all_stages_are_listed_when_the_run_succeeds(rig: Rig) -> None:
    async def first(context: StageContext) -> Word:
        artifact = await context.put_artifact("package/README.md", b"# Hello")
        assert (artifact.name, artifact.size) == ("package/README.md", 7)
        return Word()

    async def second(context: StageContext) -> Word:
        assert await context.get_artifact("package/README.md") == b"# Hello"
        await context.put_artifact("package/agent.py", b"pass")
        assert await context.get_artifact("package/agent.py") == b"pass"
        return Word()

    plain = workflow(stage("first", first), stage("second", second))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    (ended,) = of_type(await rig.story(run_id), "RunSucceeded")
    assert ended["artifacts"] == [
        {"name": "package/README.md", "size": 7, "sha256": hashlib.sha256(b"# Hello").hexdigest()},
        {"name": "package/agent.py", "size": 4, "sha256": hashlib.sha256(b"pass").hexdigest()},
    ]
    stored = result_of(await rig.run(run_id), "first")
    assert isinstance(stored, str)
    (artifact,) = decode_result(stored).artifacts
    assert artifact.key == f"{run_id}/1/artifacts/package/README.md"
    assert await rig.engine.blobs.get(artifact.ref) == b"# Hello"


@virtual
async def test_a_resumed_run_lists_the_artifacts_of_stages_that_finished_before(rig: Rig) -> None:
    async def first(context: StageContext) -> Word:
        await context.put_artifact("early.txt", b"early")
        return Word()

    async def second(context: StageContext) -> Word:
        if len(rig.processes) == 1:
            await hang(context)
        assert await context.get_artifact("early.txt") == b"early"
        await context.put_artifact("late.txt", b"late")
        return Word()

    plain = workflow(stage("first", first), stage("second", second))
    run_id = await rig.submit(plain)
    process = rig.start(plain)
    await rig.until(lambda run: "first" in run["results"], run_id)
    process.kill()
    await rig.requeue(run_id, process.session)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    (ended,) = of_type(await rig.story(run_id), "RunSucceeded")
    assert [artifact["name"] for artifact in ended["artifacts"]] == ["early.txt", "late.txt"]


@virtual
async def test_an_attempt_that_failed_cannot_spoil_what_a_finished_stage_has_put(rig: Rig) -> None:
    seen: list[bytes] = []

    async def first(context: StageContext) -> Word:
        await context.put_artifact("a.txt", b"by the first")
        return Word()

    async def second(context: StageContext) -> Word:
        seen.append(await context.get_artifact("a.txt"))
        await context.put_artifact("a.txt", b"by attempt %d" % context.attempt)
        if context.attempt == 1:
            raise ValueError("after the file was written")
        return Word()

    plain = workflow(stage("first", first), stage("second", second))
    run_id = await rig.submit(plain)
    rig.start(plain)
    await rig.until_ended(run_id, state=SUCCEEDED)
    assert seen == [b"by the first", b"by the first"]
    (ended,) = of_type(await rig.story(run_id), "RunSucceeded")
    assert [artifact["sha256"] for artifact in ended["artifacts"]] == [hashlib.sha256(b"by attempt 2").hexdigest()]


@virtual
async def test_a_file_that_nobody_put_and_a_name_that_cannot_be_used_fail_with_a_sentence(rig: Rig) -> None:
    async def missing(context: StageContext) -> Word:
        await context.get_artifact("nothing.txt")
        return Word()

    async def outside(context: StageContext) -> Word:
        await context.put_artifact("../../etc/passwd", b"")
        return Word()

    one, two = workflow(stage("try", missing), name="missing"), workflow(stage("try", outside), name="outside")
    run_ids = [await rig.submit(one), await rig.submit(two)]
    rig.start(one, two)
    await rig.until_ended(*run_ids, state=FAILED)
    messages = [of_type(await rig.story(run_id), "RunFailed")[0]["message"] for run_id in run_ids]
    assert messages[0] == "There is no artifact nothing.txt: no finished stage has put it, nor this one."
    assert "'../../etc/passwd' cannot be used" in messages[1]


@virtual
async def test_a_run_puts_a_limited_number_of_artifacts_and_its_end_still_fits(rig: Rig) -> None:
    def puts(count: int) -> object:
        async def put(context: StageContext) -> Word:
            for number in range(count):
                await context.put_artifact(f"{'long/' * 38}{number:04d}", b"x")
            return Word()

        return put

    fits = workflow(stage("put", puts(ARTIFACTS_MAX)), name="fits")  # type: ignore[arg-type]  # a closure of a test
    over = workflow(stage("put", puts(ARTIFACTS_MAX + 1)), name="over")  # type: ignore[arg-type]  # a closure of a test
    fitting, overflowing = await rig.submit(fits), await rig.submit(over)
    rig.start(fits, over)
    await rig.until_ended(fitting, state=SUCCEEDED)
    await rig.until_ended(overflowing, state=FAILED)
    (ended,) = of_type(await rig.story(overflowing), "RunFailed")
    assert ended["message"] == f"The run puts more than {ARTIFACTS_MAX} artifacts: put an archive instead."


@pytest.mark.parametrize("name", ["README.md", "package/tools/a-b_c.py", "0"])
def test_plain_relative_paths_are_good_names(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "a//b", "a/../b", ".", "a/.hidden", "a b", "文件", "a\nb", "a" * 201]
)
def test_names_that_could_leave_their_folder_are_refused(name: str) -> None:
    assert name_problem(name) is not None


def test_the_envelope_of_a_result_reads_back_as_it_was_written() -> None:
    artifact = StoredArtifact("a", "run/1/artifacts/a", "0" * 64, 3)
    stored = decode_result(encode_result(b'{"x": [1, 2]}', [artifact]))
    assert (bytes(stored.output), stored.artifacts) == (b'{"x": [1, 2]}', (artifact,))
    assert decode_result(encode_result(b"{}")).artifacts == ()
