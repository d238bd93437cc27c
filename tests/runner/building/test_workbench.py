"""A package's tests run in a child that is limited, sees nothing of the runner, and is always gone afterwards."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from tests.runner.building.requirements_said import SAID
from tests.runner.building.runs import built

from penstock_backbone.system import SystemClock
from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits
from penstock_runner.workflows.building.documents import SourceFile
from penstock_runner.workflows.building.workbench import NotImported, Outcome, Ran, TookTooLong

pytestmark = pytest.mark.anyio
WAIT_SECONDS = 15.0
LOOK_SECONDS = 0.02


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the workbench has left in the folder for temporary files."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return lambda: [path.name for path in place.iterdir()]


def package(test: str, reported: str = "") -> list[SourceFile]:
    project = f'[tool.pytest.ini_options]\npythonpath = ["."]\ntestpaths = ["tests"]\naddopts = "{reported}"\n'
    return [SourceFile(path="pyproject.toml", text=project), SourceFile(path="tests/test_it.py", text=test)]


def workbench(seconds: float = 30, memory_bytes: int = 512 * 1024 * 1024) -> ChildWorkbench:
    return ChildWorkbench(SystemClock(), Limits(seconds, memory_bytes))


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def told(tmp_path: Path) -> Path:
    """The file `told` that the tests have written into their own folder, which is gone when they are."""
    clock = SystemClock()
    deadline = clock.monotonic() + WAIT_SECONDS
    while clock.monotonic() < deadline:
        for path in found(tmp_path, "temporary/*/told"):
            if path.read_text("utf-8").endswith("\n"):
                return path
        await clock.sleep(LOOK_SECONDS)
    raise AssertionError("the tests told nothing")


def is_alive(pid: int) -> bool:
    """A process that is dead but not yet collected by its parent is not alive."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def dies(pid: int) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + WAIT_SECONDS
    while is_alive(pid):
        assert clock.monotonic() < deadline, f"process {pid} is still alive"
        await clock.sleep(LOOK_SECONDS)


@pytest.mark.parametrize("case", ["documents", "japanese", "longest", "triple quotes"])
async def test_the_packages_own_tests_pass(case: str, folders: Callable[[], list[str]]) -> None:
    name, requirement = SAID[case]
    files = await asyncio.to_thread(lambda: built(requirement, name).files())
    outcome = await workbench().run_tests(files)
    assert isinstance(outcome, Ran)
    assert outcome.exit_code == 0, outcome.output
    assert " passed in " in outcome.output
    assert outcome.duration_ms > 0
    assert folders() == []


async def test_failing_tests_give_their_exit_code_and_the_end_of_the_output(folders: Callable[[], list[str]]) -> None:
    outcome = await workbench().run_tests(package("def test_sum():\n    assert 1 + 1 == 3\n"))
    assert isinstance(outcome, Ran)
    assert outcome.exit_code == 1
    assert "assert (1 + 1) == 3" in outcome.output
    assert folders() == []


async def test_long_output_is_cut_to_its_end() -> None:
    text = "def test_it():\n    for n in range(20_000): print('line', n)\n    assert 0\n"
    outcome = await workbench().run_tests(package(text))
    assert isinstance(outcome, Ran)
    assert len(outcome.output) <= 4000
    assert "line 19999" in outcome.output


SLEEPER = """
import os, pathlib, subprocess, sys, time
def test_sleep():
    pids = [os.getpid()]
    try:
        pids.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]).pid)
    except PermissionError:
        pass  # In a sandbox it has no children.
    pathlib.Path("told").write_text(" ".join(map(str, pids)) + "\\n")
    time.sleep(300)
"""


def unconfined(seconds: float = 30) -> ChildWorkbench:
    return ChildWorkbench(SystemClock(), Limits(seconds), lambda: "this kernel is old")


@pytest.mark.parametrize("make", [workbench, unconfined])
async def test_tests_that_take_too_long_are_ended_with_all_they_started(
    make: Callable[[float], ChildWorkbench], tmp_path: Path, folders: Callable[[], list[str]]
) -> None:
    task = asyncio.ensure_future(make(2.5).run_tests(package(SLEEPER)))
    pids = (await told(tmp_path)).read_text("utf-8").split()
    outcome = await task
    assert isinstance(outcome, TookTooLong)
    assert outcome.seconds == 2.5
    for pid in pids:
        await dies(int(pid))
    assert folders() == []


async def ended_by_cancelling(bench: ChildWorkbench, tmp_path: Path) -> None:
    task = asyncio.ensure_future(bench.run_tests(package(SLEEPER)))
    pids = (await told(tmp_path)).read_text("utf-8").split()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in pids:
        await dies(int(pid))


@pytest.mark.parametrize("make", [workbench, unconfined])
async def test_cancelling_ends_the_child_and_removes_its_folder(
    make: Callable[[], ChildWorkbench], tmp_path: Path, folders: Callable[[], list[str]]
) -> None:
    await ended_by_cancelling(make(), tmp_path)
    assert folders() == []


async def test_cancelling_at_any_moment_leaves_nothing(folders: Callable[[], list[str]]) -> None:
    for turns in (0, 1, 2, 3, 5, 8):
        task = asyncio.ensure_future(workbench().run_tests(package("import time\ntime.sleep(300)\n")))
        for _ in range(turns):
            await SystemClock().sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert folders() == []


def test_it_works_the_same_on_uvloop(tmp_path: Path, folders: Callable[[], list[str]]) -> None:
    async def both() -> Outcome:
        await ended_by_cancelling(workbench(), tmp_path)
        return await workbench().run_tests(package("def test_it(): pass\n"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(both())
    assert isinstance(outcome, Ran)
    assert outcome.exit_code == 0
    assert folders() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from json import no_such_thing\n", "cannot import name 'no_such_thing'"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("1 / 0\n", "ZeroDivisionError"),
    ],
)
async def test_a_module_that_no_test_imports_must_be_importable_all_the_same(text: str, said: str) -> None:
    files = [*package("def test_it(): pass\n"), SourceFile(path="made/__init__.py", text="")]
    outcome = await workbench().run_tests([*files, SourceFile(path="made/forgotten.py", text=text)])
    assert isinstance(outcome, NotImported)
    assert said in outcome.output
    assert outcome.output.endswith("The module made.forgotten cannot be imported.\n")


async def test_importing_the_modules_leaves_the_tests_their_own_path() -> None:
    files = [*package("import sys\ndef test_it(): assert '' not in sys.path and 'made.used' in sys.modules\n")]
    files += [SourceFile(path=f"made/{name}.py", text="") for name in ("__init__", "used")]
    outcome = await workbench().run_tests(files)
    assert isinstance(outcome, Ran)
    assert outcome.exit_code == 0, outcome.output


async def test_memory_is_limited() -> None:
    text = "def test_it():\n    assert len(bytearray(1024 * 1024 * 1024)) > 0\n"
    outcome = await workbench(memory_bytes=300 * 1024 * 1024).run_tests(package(text))
    assert isinstance(outcome, Ran)
    assert outcome.exit_code == 1
    assert "MemoryError" in outcome.output


ENVIRONMENT = """
import json, os, pathlib, resource, signal, sys, time
def test_it():
    told = pathlib.Path("told")
    told.write_text(json.dumps({
        "environment": dict(os.environ), "path": sys.path, "core": resource.getrlimit(resource.RLIMIT_CORE),
        "alarm": signal.alarm(0), "group": os.getpgrp() == os.getpid(), "stdin": os.read(0, 1).decode(),
    }) + "\\n")
    while told.exists():
        time.sleep(0.01)
"""


async def test_the_child_sees_nothing_of_the_runner(
    tmp_path: Path, folders: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    task = asyncio.ensure_future(workbench().run_tests(package(ENVIRONMENT)))
    file = await told(tmp_path)
    seen = json.loads(file.read_text("utf-8"))
    file.unlink()
    outcome = await task
    assert isinstance(outcome, Ran), outcome
    assert outcome.exit_code == 0, outcome.output
    assert folders() == []
    assert set(seen["environment"]) <= {
        "PATH", "LANG", "HOME", "TMPDIR", "LC_CTYPE", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_CURRENT_TEST", "PYTEST_VERSION",
    }  # fmt: skip
    assert not [entry for entry in seen["path"] if Path(entry) == Path.cwd()]
    assert seen["core"] == [0, 0]
    assert seen["group"]
    assert seen["stdin"] == ""
    # Should the runner be killed, the child ends itself soon after its time.
    assert 0 < seen["alarm"] <= 35


WAITS_FOR_ITS_END = """
import pathlib, time
def test_it():
    told = pathlib.Path("told")
    told.write_text("running\\n")
    while told.exists():
        time.sleep(0.01)
"""


async def test_only_two_children_run_at_once(tmp_path: Path, folders: Callable[[], list[str]]) -> None:
    bench = workbench()
    tasks = [asyncio.ensure_future(bench.run_tests(package(WAITS_FOR_ITS_END))) for _ in range(3)]
    most = 0
    while not all(task.done() for task in tasks):
        running = found(tmp_path, "temporary/*")
        most = max(most, len(running))
        if len(running) == 2 or any(task.done() for task in tasks):
            for path in found(tmp_path, "temporary/*/told"):
                path.unlink()
        await SystemClock().sleep(LOOK_SECONDS)
    assert [outcome.exit_code for outcome in await asyncio.gather(*tasks) if isinstance(outcome, Ran)] == [0, 0, 0]
    assert most == 2
    assert folders() == []


async def test_a_path_that_escapes_is_never_written(tmp_path: Path, folders: Callable[[], list[str]]) -> None:
    outside = tmp_path / "escaped.py"
    with pytest.raises(AssertionError):
        await workbench().run_tests([SourceFile(path="../../escaped.py", text="")])
    assert not outside.exists()
    assert folders() == []
