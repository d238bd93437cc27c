"""Hostile generated code reaches no network, no other file, no other process, and ends at its limits."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
from tests.runner.building.test_workbench import package, workbench

from penstock_backbone.system import SystemClock
from penstock_runner.workflows.building import child_workbench, limited_child
from penstock_runner.workflows.building.child_workbench import ChildWorkbench, Limits
from penstock_runner.workflows.building.workbench import Outcome, Ran, Refused, TookTooLong

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(limited_child.why_unconfined() is not None, reason=str(limited_child.why_unconfined())),
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


ATTACKS = {
    "connects over TCP": "socket.create_connection(('127.0.0.1', PORT), timeout=2)",
    "sends over UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "opens a Unix socket": "socket.socket(socket.AF_UNIX)",
    "reads the users": "open('/etc/passwd').read()",
    "reads the runner's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "reads a neighbour's file": "open(OUTSIDE / 'secret').read()",
    "reads through a link": "os.symlink(OUTSIDE / 'secret', 'link'); open('link').read()",
    "lists the parent's folder": "os.listdir('..')",
    "writes outside": "open(OUTSIDE / 'new', 'w').write('x')",
    "empties a file outside": "os.truncate(OUTSIDE / 'secret', 0)",
    "removes a file outside": "os.unlink(OUTSIDE / 'victim')",
    "moves a file in": "os.rename(OUTSIDE / 'secret', 'mine')",
    "forks": "os._exit(0) if os.fork() == 0 else None",
    "starts a program": "subprocess.run([sys.executable, '-c', ''], check=True)",
    "becomes another program": "os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
    "signals its parent": "os.kill(os.getppid(), 0)",
    "has its parent signalled for a pipe": "fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())",
    "has its parent signalled for a socket": "fcntl.ioctl(socket.socketpair()[0], 0x8901, struct.pack('i', os.getppid()))",
    "chooses the signal": "fcntl.fcntl(os.pipe()[0], 10, 9)",
    "keeps files in memory": "os.memfd_create('x')",
    "takes the disk unwritten": "os.posix_fallocate(os.open('x', os.O_RDWR | os.O_CREAT), 0, 1 << 20)",
    "raises its limits": "resource.prlimit(0, resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS))",
    "lowers the runner's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))",
}


def attacks(outside: Path, port: int, *names: str) -> str:
    """One test for each, and the line PASSED or FAILED with its number at the end of the output."""
    tests = "".join(
        f"""
def test_{list(ATTACKS).index(name)}():
    with pytest.raises(OSError) as refused:
        {ATTACKS[name]}
    assert isinstance(refused.value, PermissionError), refused.value
"""
        for name in names
    )
    return f"""
import fcntl, os, pathlib, pytest, resource, socket, struct, subprocess, sys
OUTSIDE, PORT = pathlib.Path({str(outside)!r}), {port}
{tests}
"""


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


@pytest.fixture(scope="module")
async def attacked(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All attacks, one after the other, by one child."""
    outside = tmp_path_factory.mktemp("outside")
    for file in ("secret", "victim"):
        (outside / file).write_text("kept", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        hostile = package(attacks(outside, server.getsockname()[1], *ATTACKS), reported="-rA --tb=line")
        outcome = await workbench().run_tests(hostile)
    assert isinstance(outcome, Ran), outcome
    assert texts(outside) == {"secret": "kept", "victim": "kept"}, outcome.output
    return outcome


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_by_the_kernel(name: str, attacked: Ran) -> None:
    line = f"PASSED tests/test_it.py::test_{list(ATTACKS).index(name)}"
    assert line in attacked.output.splitlines(), attacked.output


def old_kernel(*, must_confine: bool = False) -> ChildWorkbench:
    return ChildWorkbench(SystemClock(), Limits(must_confine=must_confine), lambda: "this kernel is old")


async def outside_a_sandbox(text: str, *, must_confine: bool = False) -> Outcome:
    return await old_kernel(must_confine=must_confine).run_tests(package(text))


async def test_without_a_sandbox_the_same_attack_succeeds_and_the_log_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outcome = await outside_a_sandbox(attacks(tmp_path, 1, "reads the users"))
    assert isinstance(outcome, Ran)
    assert outcome.exit_code == 1
    assert "WITHOUT a sandbox" in caplog.text
    assert "this kernel is old" in caplog.text


async def test_where_a_sandbox_is_required_nothing_runs_without_one(tmp_path: Path) -> None:
    text = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\ndef test_it(): pass\n"
    assert await outside_a_sandbox(text, must_confine=True) == Refused("this kernel is old")
    assert old_kernel(must_confine=True).refusal() == Refused("this kernel is old")
    assert old_kernel().refusal() is None
    assert not (tmp_path / "ran").exists()


async def test_modes_of_files_outside_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "victim").touch(0o640)
    before = (tmp_path / "victim").stat()
    text = f"""
import os
def test_it():
    os.chmod({str(tmp_path / "victim")!r}, 0o777)
    os.utime({str(tmp_path / "victim")!r}, (0, 0))
"""
    await workbench().run_tests(package(text))
    after = (tmp_path / "victim").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


async def test_honest_tests_may_use_threads_pipes_temporary_files_and_copies() -> None:
    text = """
import asyncio, shutil, threading
def test_it(tmp_path):
    (tmp_path / "a").write_text("x")
    shutil.copy2(tmp_path / "a", tmp_path / "b")
    done = []
    thread = threading.Thread(target=lambda: done.append(1)); thread.start(); thread.join()
    assert asyncio.run(asyncio.to_thread(lambda: 7)) == 7
    assert (tmp_path / "b").read_text() == "x" and done
"""
    outcome = await workbench().run_tests(package(text))
    assert isinstance(outcome, Ran)
    assert outcome.exit_code == 0, outcome.output


async def test_code_that_ignores_sigterm_and_its_alarm_is_ended_at_its_time() -> None:
    text = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.alarm(0)
while True: pass
"""
    clock = SystemClock()
    started = clock.monotonic()
    outcome = await workbench(seconds=1.5).run_tests(package(text))
    assert outcome == TookTooLong(1.5, outcome.output if isinstance(outcome, TookTooLong) else "")
    assert clock.monotonic() - started < 10


async def test_threads_without_end_stop_at_the_limit_of_memory() -> None:
    text = """
import threading
def test_it():
    stop = threading.Event()
    try:
        while True: threading.Thread(target=stop.wait, daemon=True).start()
    finally:
        stop.set()
"""
    outcome = await workbench(memory_bytes=300 * 1024 * 1024).run_tests(package(text))
    assert isinstance(outcome, Ran)
    assert outcome.exit_code != 0


MANY_FILES = """
def test_it():
    for number in range(400):
        with open(f"file{number}", "wb") as file: file.write(b"x" * 16_000_000)
"""
NAMELESS_FILES = """
import os, tempfile
def test_it():
    kept = []
    for number in range(200):
        kept.append(tempfile.TemporaryFile())
        for _ in range(8): os.write(kept[-1].fileno(), b"x" * 2_000_000)
"""
MUCH_OUTPUT = """
import os
def test_it():
    while True: os.write(1, b"x" * 1_000_000)
"""


MANY_FOLDERS = """
import os, time
def test_it():
    for number in range(1_000_000):
        os.makedirs(f"{number % 100}/{number}")
        time.sleep(0.0005)
"""
"""Without its naps it makes some ten thousand before it is ended, which some disks remove in half a minute."""


@pytest.mark.parametrize("text", [MANY_FILES, NAMELESS_FILES, MUCH_OUTPUT], ids=["files", "nameless files", "output"])
async def test_what_is_written_in_all_has_a_limit(text: str) -> None:
    outcome = await workbench().run_tests(package(text, reported="-s"))
    assert isinstance(outcome, Ran)
    assert outcome.exit_code != 0
    assert outcome.output.endswith("It was ended: it had written more than 256 MB.\n")


async def test_how_many_files_and_folders_are_made_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_workbench, "ENTRIES_MAX", 500)
    outcome = await workbench().run_tests(package(MANY_FOLDERS))
    assert isinstance(outcome, Ran)
    assert outcome.exit_code != 0
    assert outcome.output.endswith("It was ended: it had made more than 500 files and folders.\n")


async def test_megabytes_of_output_are_read_and_cut() -> None:
    text = "import os\nfor _ in range(64): os.write(2, b'x' * 1_000_000)\ndef test_it(): assert 0, 'the end'\n"
    outcome = await workbench().run_tests(package(text))
    assert isinstance(outcome, Ran)
    assert len(outcome.output) <= 4000
    assert "the end" in outcome.output
