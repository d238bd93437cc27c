"""The tutorial's code is taken from the page and run."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest
from tests.cli.test_workflow_check import checked
from tests.runner.rig import Rig
from tests.runner.test_execution import of_type

from penstock_backbone.memory import MemoryEngine
from penstock_backbone.records.projects import project_key
from penstock_backbone.records.runs import FAILED, SUCCEEDED
from penstock_backbone.system import SystemClock
from penstock_backbone.vocabulary import Update
from penstock_runner.adapters.workers.pool import WorkerPool, WorkerSettings
from penstock_runner.registry import load

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (code,) = blocks("python")
    (tmp_path / "digest.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path


def test_the_workflow_takes_less_than_forty_lines() -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) < 40


def test_the_check_prints_what_the_page_shows(folder: Path) -> None:
    said = checked(folder, "digest")
    shown = blocks("console")[0].removeprefix("$ penstock workflow check digest\n")
    assert [line.rstrip() for line in said.stdout.splitlines()] == [line.rstrip() for line in shown.splitlines()]


async def one_run(rig: Rig, documents: str) -> str:
    run_id = await rig.ask_for("digest")
    project = (await rig.run(run_id))["project_id"]
    await rig.engine.tables.write([Update(project_key(project), {"input": documents})])
    await rig.dispatch(run_id, 1)
    return run_id


def test_the_workflow_does_what_the_page_says(folder: Path) -> None:
    loaded = load((), ["digest"])
    assert loaded.problems == []
    workflow = loaded.registry.newest()[0].workflow

    async def story() -> None:
        rig = Rig()
        rig.clock = clock = SystemClock()  # type: ignore[assignment]  # the real one
        rig.engine = MemoryEngine(clock, rig.ids)
        rig.workers = pool = WorkerPool(WorkerSettings(4, 2 << 30, loaded.registry.blocking_modules()))
        try:
            async with asyncio.timeout(60):
                good = await one_run(rig, '{"documents":["Dear all\\nthank you","Hello"]}')
                empty = await one_run(rig, '{"documents":["Hello"," "]}')
                process = rig.start(workflow)
                await rig.until_ended(good, state=SUCCEEDED)
                await rig.until_ended(empty, state=FAILED)
                process.kill()
        finally:
            await pool.close()
        (ended,) = of_type(await rig.story(good), "RunSucceeded")
        assert [file["name"] for file in ended["artifacts"]] == ["digest.md"]
        written = next(data for key, data in rig.engine.blobs._files.items() if key.startswith(good))
        assert written.decode() == "* Dear all (4 words)\n* Hello (1 words)"
        (failed,) = of_type(await rig.story(empty), "RunFailed")
        assert failed["message"] == "item 1: an empty document cannot be summarised"

    asyncio.run(story())
