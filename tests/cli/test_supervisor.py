"""The supervisor on real processes: they come back, they end, and none outlives it."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock_backbone.system import SystemClock, SystemIds
from penstock_cli import data_folder
from penstock_cli import supervisor as supervisor_module
from penstock_cli.refusal import Refusal
from penstock_cli.restart import QUICK_DEATHS_MAX
from penstock_cli.supervisor import Child, Program, Supervisor

pytestmark = pytest.mark.anyio
WAIT_SECONDS_MAX = 15.0
CLOCK = SystemClock()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def program(folder: Path, name: str, module: str = "tests.cli.service_that_stays", **options: bool) -> Program:
    environment = {"PENSTOCK_TEST_FOLDER": str(folder), "PENSTOCK_TEST_NAME": name}
    return Program(name, module, folder / f"{name}.log", environment, **options)


def supervisor(programs: list[Program], reports: list[str], deaths: list[str]) -> Supervisor:
    async def note(session: str) -> None:
        deaths.append(session)

    return Supervisor(
        programs, clock=CLOCK, ids=SystemIds(), report=reports.append, on_death=note, hurry=asyncio.Event()
    )


def lives(folder: Path, name: str) -> list[list[str]]:
    path = folder / f"{name}.lives"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def alive(pid: int | str) -> bool:
    """Zombies count as dead: a container may have nobody who buries them."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not condition():
            await CLOCK.sleep(0.02)


async def gone(pid: str) -> None:
    await until(lambda: not alive(pid))


async def test_a_killed_runner_is_back_at_once_under_a_new_session_and_its_old_one_is_told(tmp_path: Path) -> None:
    reports: list[str] = []
    deaths: list[str] = []
    keeper = supervisor([program(tmp_path, "runner-1", session=True)], reports, deaths)
    async with keeper.running():
        await until(lambda: lives(tmp_path, "runner-1"))
        pid, grandchild, session = lives(tmp_path, "runner-1")[0]
        os.kill(int(pid), signal.SIGKILL)
        await until(lambda: len(lives(tmp_path, "runner-1")) == 2)
        assert keeper.sessions() == [lives(tmp_path, "runner-1")[1][2]]
        await gone(grandchild)
        await until(lambda: deaths)
    assert deaths == [session]
    assert session not in keeper.sessions()
    assert reports == ["runner-1 was killed by SIGKILL: starting it again"]


async def test_at_the_end_every_process_and_what_it_started_are_gone_quickly(tmp_path: Path) -> None:
    names = ["store", "api", "orchestrator"]
    keeper = supervisor([program(tmp_path, name, last_to_stop=name == "store") for name in names], [], [])
    async with keeper.running():
        await until(lambda: all(lives(tmp_path, name) for name in names))
        began = CLOCK.monotonic()
    assert CLOCK.monotonic() - began < 3
    for name in names:
        pid, grandchild, session = lives(tmp_path, name)[0]
        assert not alive(pid)
        await gone(grandchild)
        assert session == "-"


async def test_a_process_that_dies_while_it_is_told_to_end_keeps_its_exit_code(tmp_path: Path) -> None:
    """Somebody pressed Ctrl-C twice: it may have ended without having been heard of yet."""
    for _ in range(30):
        process = await asyncio.create_subprocess_exec("sleep", "60")
        child = Child(program(tmp_path, "api"), process, session="", log_start=0, ready=-1)
        os.kill(process.pid, signal.SIGKILL)
        for _ in range(2000):
            supervisor_module._terminate(child)
        assert await process.wait() in (-signal.SIGKILL, -signal.SIGTERM)


async def test_a_program_that_never_gets_going_ends_everything_with_its_own_words(tmp_path: Path) -> None:
    programs = [program(tmp_path, "api"), program(tmp_path, "runner-1", "tests.cli.service_that_fails")]
    reports: list[str] = []
    keeper = supervisor(programs, reports, [])
    with pytest.raises(Refusal, match=r"runner-1 ended with exit code 1 5 times in a row") as refusal:
        async with asyncio.timeout(WAIT_SECONDS_MAX), keeper.running():
            await asyncio.Event().wait()
    assert refusal.value.detail == "The moon is in the wrong phase: wait for a better one."
    assert len(reports) == 4
    assert not any(alive(pid) for pid, _, _ in lives(tmp_path, "api"))


async def test_the_log_of_a_process_that_lives_for_weeks_is_kept_short_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_folder, "LOG_BYTES_MAX", 1000)
    monkeypatch.setattr(supervisor_module, "LOG_LOOK_SECONDS", 0.05)
    log, kept = tmp_path / "api.log", tmp_path / "api.log.1"
    async with supervisor([program(tmp_path, "api")], [], []).running():
        await until(lambda: lives(tmp_path, "api"))
        with log.open("ab", buffering=0) as as_the_process_writes:
            for number in range(3):
                as_the_process_writes.write(f"{number}".encode() * 1001)
                await until(functools.partial(lambda number: kept.exists() and str(number) in kept.read_text(), number))
            as_the_process_writes.write(b"goes on")
            assert log.read_bytes() == b"goes on"
    assert kept.read_bytes() == b"2" * 1001


async def test_a_runner_that_is_killed_again_and_again_comes_back_each_time(tmp_path: Path) -> None:
    """Its code is not at fault: a run takes it down, and is given up in the end."""
    reports: list[str] = []

    def lived() -> list[list[str]]:
        return lives(tmp_path, "runner-1")

    async with supervisor([program(tmp_path, "runner-1", session=True)], reports, []).running():
        for count in range(1, QUICK_DEATHS_MAX + 2):
            await until(functools.partial(lambda count: len(lived()) == count, count))
            os.kill(int(lived()[-1][0]), signal.SIGKILL)
        await until(lambda: len(lived()) == QUICK_DEATHS_MAX + 2)
    assert len(reports) == QUICK_DEATHS_MAX + 1


async def test_a_runner_that_was_ready_comes_back_whatever_exit_code_its_stages_end_it_with(tmp_path: Path) -> None:
    reports: list[str] = []

    def lived() -> list[list[str]]:
        return lives(tmp_path, "runner-1")

    runner = program(tmp_path, "runner-1", "tests.cli.service_that_exits", session=True)
    async with supervisor([runner], reports, []).running():
        await until(lambda: len(lived()) == QUICK_DEATHS_MAX + 1)
    assert set(reports) == {"runner-1 ended with exit code 1: starting it again"}


async def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tests.cli.test_supervisor import program, supervisor\n"
        "async def main():\n"
        "    async with supervisor([program(Path(sys.argv[1]), 'api')], [], []).running():\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path))
    try:
        await until(lambda: lives(tmp_path, "api"))
        pid, grandchild, _ = lives(tmp_path, "api")[0]
    finally:
        parent.kill()
        await parent.wait()
    await gone(pid)
    os.kill(int(grandchild), signal.SIGKILL)  # A real service arranges the end of its own children.
