"""A stage reads the files of another project of its tenant that has succeeded, and of no other."""

from __future__ import annotations

import pytest
from tests.runner.rig import Rig, virtual
from tests.runner.stages import Word, stage, workflow
from tests.runner.test_execution import of_type

from penstock_backbone.records.projects import create_project
from penstock_backbone.records.runs import FAILED, SUCCEEDED
from penstock_runner.authoring import StageContext, Workflow


def leaving(text: bytes, *, large: bool = False) -> Workflow:
    async def early(context: StageContext) -> Word:
        await context.put_artifact("a.txt", b"of the first stage")
        return Word(text="x" * 5_000 if large else "")

    async def late(context: StageContext) -> Word:
        await context.put_artifact("a.txt", text)
        return Word()

    return workflow(stage("early", early), stage("late", late), name="leaving")


def reading(project_id: str, name: str = "a.txt") -> Workflow:
    async def read(context: StageContext) -> Word:
        return Word(text=(await context.get_artifact(name, of=project_id)).decode())

    return workflow(stage("read", read), name="reading")


async def project_of(rig: Rig, run_id: str) -> str:
    return (await rig.run(run_id))["project_id"]


async def finished(rig: Rig, *, large: bool = False) -> str:
    left = leaving(b"of the last stage", large=large)
    run_id = await rig.submit(left)
    rig.start(left)
    await rig.until_ended(run_id, state=SUCCEEDED)
    return await project_of(rig, run_id)


@virtual
async def test_the_last_stages_file_is_read(rig: Rig) -> None:
    for large in (False, True):
        reader = reading(await finished(rig, large=large))
        run_id = await rig.submit(reader)
        rig.start(reader)
        await rig.until_ended(run_id, state=SUCCEEDED)
        assert "of the last stage" in str((await rig.run(run_id))["results"]["read"])


async def refused(rig: Rig, reader: Workflow) -> str:
    run_id = await rig.submit(reader)
    rig.start(reader)
    await rig.until_ended(run_id, state=FAILED)
    (failed,) = of_type(await rig.story(run_id), "RunFailed")
    assert len(of_type(await rig.story(run_id), "StageFailed")) <= 1, "trying again cannot help"
    return str(failed["message"])


@virtual
async def test_a_file_that_is_not_there_fails_the_run_at_once(rig: Rig) -> None:
    project_id = await finished(rig)
    assert f"The project {project_id} has left no file b.txt." in await refused(rig, reading(project_id, "b.txt"))


@pytest.mark.parametrize("project_id", ["prj_absent", ""])
@virtual
async def test_a_project_that_is_not_there_fails_the_run_at_once(rig: Rig, project_id: str) -> None:
    assert f"There is no project {project_id}: give the id of one of your own." in await refused(
        rig, reading(project_id)
    )


@virtual
async def test_another_tenants_project_is_none(rig: Rig) -> None:
    put = create_project(
        "prj_theirs", tenant="somebody-else", name="A", requirement="B", workflow="leaving", priority=3, tags=[],
        run_id="run_theirs", at=1, traceparent=None,
    )  # fmt: skip
    await rig.engine.tables.write([put])
    assert "There is no project prj_theirs" in await refused(rig, reading("prj_theirs"))


@virtual
async def test_a_project_that_has_not_succeeded_yet_is_told_with_its_state(rig: Rig) -> None:
    waiting = await rig.ask_for("nobody-serves-it")
    project_id = await project_of(rig, waiting)
    assert "has not succeeded (it is queued), so its files cannot be used" in await refused(rig, reading(project_id))
