"""The runner as a process: it serves what it was told to, stops when told to, and refuses with one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.runner.rig import Rig
from tests.runner.test_execution import of_type
from tests.runner.test_workers import is_running, read

from penstock_backbone.embedded import EmbeddedEngine
from penstock_backbone.errors import Fatal
from penstock_backbone.records.runs import FAILED, RUNNING, SUCCEEDED
from penstock_backbone.system import SystemClock, SystemIds
from penstock_runner import bootstrap
from penstock_runner.adapters.workers.pool import WorkerPool
from penstock_runner.bootstrap import Settings
from penstock_runner.handlers.runner import UNWIND_SECONDS
from penstock_runner.registry import load

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("events/src", "workflow-runner-svc/src")
PATIENCE_SECONDS = 30


def environment(data: Path, **more: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "OTEL_"))}
    path = os.pathsep.join([str(ROOT), *(str(ROOT / source) for source in SOURCES)])
    return {**kept, "PYTHONPATH": path, "PENSTOCK_DATA": str(data), "PENSTOCK_SOCKET": str(data / "s"), **more}


@contextlib.contextmanager
def process(
    module: str, environment: Mapping[str, str], *arguments: str, pass_fds: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("PENSTOCK_RUNNER_CAPACITY", "many", "PENSTOCK_RUNNER_CAPACITY is 'many': set it to a number from 1 to 1000"),
        ("PENSTOCK_RUNNER_CAPACITY", "0", "PENSTOCK_RUNNER_CAPACITY is '0': set it to a number from 1 to 1000"),
        ("PENSTOCK_WORKER_MEMORY_MB", "1", "PENSTOCK_WORKER_MEMORY_MB is '1': set it to a number from 128 to 1048576"),
        ("PENSTOCK_DRAIN_SECONDS", "106", "PENSTOCK_DRAIN_SECONDS is '106': set it to a number from 0 to 105"),
        ("PENSTOCK_DRAFT_PACE_SECONDS", "nan", "PENSTOCK_DRAFT_PACE_SECONDS is 'nan': set it to a number from 0 to 60"),
        (
            "PENSTOCK_SANDBOX",
            "off",
            "PENSTOCK_SANDBOX is 'off': set it to require (generated code never runs outside a sandbox) or warn",
        ),
        ("PENSTOCK_ENGINE", "postgres", "PENSTOCK_ENGINE is 'postgres': set it to embedded or aws"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_sentence(
    tmp_path: Path, setting: str, value: str, sentence: str
) -> None:
    with pytest.raises(Fatal) as refused:
        Settings.from_environment(environment(tmp_path, **{setting: value}))
    assert str(refused.value) == sentence


def test_a_process_that_cannot_be_set_up_says_only_why(tmp_path: Path) -> None:
    told = environment(tmp_path, PENSTOCK_RUNNER_CAPACITY="many")
    refused = subprocess.run(
        [sys.executable, "-m", "penstock_runner.main"], env=told, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        check=False,
    )  # fmt: skip
    sentence = "PENSTOCK_RUNNER_CAPACITY is 'many': set it to a number from 1 to 1000"
    assert (refused.returncode, refused.stderr) == (1, f"penstock-runner: {sentence}\n")


def test_a_runner_serves_named_workflows_beside_broken_ones_and_ends_with_0_at_sigterm(tmp_path: Path) -> None:
    told = environment(tmp_path, PENSTOCK_WORKFLOWS="tests.runner.served_workflows,tests.runner.not_there")
    with process("penstock_backbone.embedded.main", told), process("penstock_runner.main", told) as runner:
        asyncio.run(one_run_succeeds(tmp_path))
        runner.send_signal(signal.SIGTERM)
        _, said = runner.communicate(timeout=PATIENCE_SECONDS)
    assert runner.returncode == 0
    assert "tests.runner.not_there: could not be loaded (no such module)" in said
    assert "Serving agent_build 1, agent_update 1, tool_build 1, sample 1 with 64 slots." in said
    assert "Traceback" not in said


def test_a_runner_tells_its_supervisor_once_it_is_ready(tmp_path: Path) -> None:
    """And not before others know its workflows, for which it needs the store."""
    pipe, its_end = os.pipe()
    os.set_blocking(pipe, False)
    told = environment(tmp_path, PENSTOCK_READY=str(its_end))

    def said() -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(pipe, 1)
        return b""

    with process("penstock_runner.main", told, pass_fds=(its_end,)) as runner:
        assert runner.stderr is not None
        assert "Serving" in runner.stderr.readline()
        assert said() == b""
        with process("penstock_backbone.embedded.main", told):
            assert wait_for(said) == b"."
    os.close(its_end)
    os.close(pipe)


def test_a_task_of_a_stage_that_exits_does_not_end_the_runner(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_rig(tmp_path) as rig:
            for name, error in (("exits", "SystemExit"), ("interrupted", "KeyboardInterrupt")):
                run_id = await rig.submit(name)
                await rig.until_ended(run_id, state=FAILED)
                assert of_type(await rig.story(run_id), "RunFailed")[0]["error"] == error
            await rig.until_ended(await rig.submit("fine"), state=SUCCEEDED)

    told = environment(tmp_path, PENSTOCK_WORKFLOWS="tests.runner.exiting_workflows")
    with process("penstock_backbone.embedded.main", told), process("penstock_runner.main", told) as runner:
        asyncio.run(story())
        assert runner.poll() is None


def test_a_stage_that_hangs_in_a_thread_or_ignores_its_end_does_not_keep_its_runner_from_ending(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_rig(tmp_path) as rig:
            run_id = await rig.submit("stays")
            await rig.until(lambda run: run["state"] == RUNNING, run_id)

    told = environment(tmp_path, PENSTOCK_WORKFLOWS="tests.runner.exiting_workflows", PENSTOCK_DRAIN_SECONDS="0.2")
    with process("penstock_backbone.embedded.main", told), process("penstock_runner.main", told) as runner:
        asyncio.run(story())
        began = time.monotonic()  # noqa: TID251  # a real clock for a real process
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - began < 0.2 + UNWIND_SECONDS + 3  # noqa: TID251  # a real clock for a real process


def test_a_runner_starts_no_worker_before_it_serves_and_keeps_one_warm_soon_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is killed often would be busy with starting them; one that stays has a worker for its first stage."""
    monkeypatch.setattr(bootstrap, "WARM_AFTER_SECONDS", 0.5)
    told = Settings.from_environment(environment(tmp_path))
    serves = load((), ["tests.runner.blocking_stages"]).registry

    async def story() -> None:
        began = time.monotonic()  # noqa: TID251  # a real clock for a real process
        async with asyncio.timeout(PATIENCE_SECONDS), bootstrap.open_runner(told, serves) as runner:
            workers = runner._world.workers
            assert isinstance(workers, WorkerPool)
            assert workers._starting is None
            while not workers._idle:
                await SystemClock().sleep(0.02)
            assert time.monotonic() - began > 0.5  # noqa: TID251  # a real clock for a real process

    asyncio.run(story())


def test_a_worker_says_nothing_of_its_own_in_the_log_of_its_runner(tmp_path: Path) -> None:
    told = environment(tmp_path, PENSTOCK_WORKFLOWS="tests.runner.blocking_stages")
    with process("penstock_backbone.embedded.main", told), process("penstock_runner.main", told) as runner:
        asyncio.run(one_run_ends(tmp_path, "blocking"))
        runner.send_signal(signal.SIGTERM)
        _, said = runner.communicate(timeout=PATIENCE_SECONDS)
    assert "looking at A project" in said
    assert "Warning" not in said


def test_a_killed_runner_takes_its_workers_with_it_even_one_that_hangs_in_c(tmp_path: Path) -> None:
    told = environment(tmp_path, PENSTOCK_WORKFLOWS="tests.runner.blocking_stages")
    with process("penstock_backbone.embedded.main", told), process("penstock_runner.main", told) as runner:
        asyncio.run(one_run_begins(tmp_path, "hangs_long", str(tmp_path / "pid")))
        worker = int(wait_for(lambda: read(tmp_path / "pid")))
        runner.kill()
        assert wait_for(lambda: not is_running(worker))


def test_what_the_stages_of_a_killed_runner_have_left_is_removed_when_the_next_one_starts(tmp_path: Path) -> None:
    told = environment(tmp_path, PENSTOCK_WORKFLOWS="tests.runner.blocking_stages")
    with tempfile.TemporaryDirectory() as folder, process("penstock_backbone.embedded.main", told):
        place = Path(folder)
        told = {**told, "TMPDIR": folder}
        with process("penstock_runner.main", told) as runner:
            asyncio.run(one_run_begins(tmp_path, "leaves", str(tmp_path / "pid")))
            worker = int(wait_for(lambda: read(tmp_path / "pid")))
            runner.kill()
            assert wait_for(lambda: not is_running(worker))
        (left,) = place.iterdir()
        assert [*left.glob("worker-*/*/large")]
        with process("penstock_runner.main", told) as runner:
            assert wait_for(lambda: not left.exists())
            (own,) = place.iterdir()
            assert own != left
            runner.send_signal(signal.SIGTERM)
            assert runner.wait(PATIENCE_SECONDS) == 0
        assert list(place.iterdir()) == []


def wait_for(seen: Callable[[], Any]) -> Any:
    for _ in range(PATIENCE_SECONDS * 50):
        if answer := seen():
            return answer
        time.sleep(0.02)  # noqa: TID251  # real processes take real time
    raise AssertionError("it did not happen")


@contextlib.asynccontextmanager
async def a_rig(data: Path) -> AsyncIterator[Rig]:
    """On the store of real processes."""
    clock = SystemClock()
    rig = Rig()
    engine = EmbeddedEngine(data / "s", data / "artifacts", clock)
    rig.clock, rig.ids, rig.engine = clock, SystemIds(), engine  # type: ignore[assignment]  # the parts of a real process
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield rig
    finally:
        await engine.close()


async def one_run_ends(data: Path, workflow: str) -> None:
    async with a_rig(data) as rig:
        await rig.until_ended(await rig.submit(workflow), state=SUCCEEDED)


async def one_run_begins(data: Path, workflow: str, requirement: str) -> None:
    async with a_rig(data) as rig:
        await rig.submit(workflow, requirement=requirement)


def test_a_runner_without_a_store_waits_for_it_and_can_be_stopped(tmp_path: Path) -> None:
    with process("penstock_runner.main", environment(tmp_path)) as runner:
        assert runner.stderr is not None
        assert "Serving" in runner.stderr.readline()
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(PATIENCE_SECONDS) == 0


async def one_run_succeeds(data: Path) -> None:
    async with a_rig(data) as rig:
        run_id = await rig.submit("sample")
        await rig.until_ended(run_id, state=SUCCEEDED)
        await rig.session("ses_")
