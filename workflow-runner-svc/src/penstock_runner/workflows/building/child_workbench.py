"""Runs a package's tests in a child process of this machine, with limits, shut in where the kernel can do that."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from penstock_backbone.ports import Clock
from penstock_runner.temporary import remove
from penstock_runner.workflows.building import limited_child
from penstock_runner.workflows.building.documents import OUTPUT_CHARS_MAX, SourceFile
from penstock_runner.workflows.building.scratch import holds_more, new_folder
from penstock_runner.workflows.building.workbench import NotImported, Outcome, Ran, Refused, TookTooLong

TESTS_SECONDS_MAX = 60.0
MEMORY_BYTES_MAX = 512 * 1024 * 1024
CHILDREN_MAX = 2
"""At once, in one runner: each keeps a core busy, and the others' stages want one, too."""
WRITTEN_BYTES_MAX = 256 * 1024 * 1024
LOOK_SECONDS = 0.1
ENTRIES_MAX, LOOKS_A_COUNT = 10_000, 5
"""Files and folders, whose removal takes milliseconds each on some disks; they are counted every few looks."""
_OUTPUT_BYTES_MAX = 4 * OUTPUT_CHARS_MAX
_READ_BYTES = 16 * 1024
_LOG = logging.getLogger(__name__)
_PYTEST = (
    "-q", "--color=no", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir", ".",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    seconds: float = TESTS_SECONDS_MAX
    memory_bytes: int = MEMORY_BYTES_MAX
    must_confine: bool = False
    """Where the child cannot be shut in, run nothing; otherwise run it with a warning in the log."""


class ChildWorkbench:
    """A Workbench. The child has its own session, no inherited environment, and is killed with all it started."""

    def __init__(
        self, clock: Clock, limits: Limits, why_unconfined: Callable[[], str | None] = limited_child.why_unconfined
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._why_unconfined = why_unconfined
        self._places = asyncio.Semaphore(CHILDREN_MAX)

    def refusal(self) -> Refused | None:
        reason = self._why_unconfined() if self._limits.must_confine else None
        return None if reason is None else Refused(reason)

    async def run_tests(self, files: Sequence[SourceFile]) -> Outcome:
        if (refused := self.refusal()) is not None:
            return refused
        reason = self._why_unconfined()
        if reason is not None:
            _LOG.warning(
                "The tests of generated code run WITHOUT a sandbox, they can read this user's files: %s", reason
            )
        async with self._places:
            folder = new_folder()
            try:
                _lay_out(folder, files)
                return await self._run(folder, _modules(files), confined=reason is None)
            finally:
                await asyncio.to_thread(remove, folder)

    async def _run(self, folder: Path, modules: str, *, confined: bool) -> Outcome:
        output = bytearray()
        started = self._clock.monotonic()
        try:
            async with (
                asyncio.timeout(self._limits.seconds),
                _child(folder, self._limits, modules, confined=confined) as child,
            ):
                assert child.stdout is not None
                watching = asyncio.create_task(self._watch(child.pid, folder))
                try:
                    while block := await child.stdout.read(_READ_BYTES):
                        output += block
                        del output[:-_OUTPUT_BYTES_MAX]
                    exit_code = await child.wait()
                    if watching.done() and (why := await watching):
                        output += f"\nIt was ended: {why}.\n".encode()
                finally:
                    watching.cancel()
        except TimeoutError:
            return TookTooLong(self._limits.seconds, _shown(output, folder))
        if exit_code == limited_child.NOT_IMPORTED:
            return NotImported(_shown(output, folder))
        return Ran(exit_code, _shown(output, folder), round((self._clock.monotonic() - started) * 1000))

    async def _watch(self, pid: int, folder: Path) -> str:
        """Ends the child when it has made or written too much, wherever to: files may be many, or have no name. Why it
        did so; "" when the child has ended by itself."""
        looks = 0
        while (written := _written(pid)) is not None:
            why = f"it had written more than {WRITTEN_BYTES_MAX >> 20} MB" if written > WRITTEN_BYTES_MAX else ""
            if looks % LOOKS_A_COUNT == 0 and await asyncio.to_thread(holds_more, folder, ENTRIES_MAX):
                why = f"it had made more than {ENTRIES_MAX:,} files and folders"
            if why:
                _kill(pid)
                return why
            looks += 1
            await self._clock.sleep(LOOK_SECONDS)
        return ""


@contextlib.asynccontextmanager
async def _child(
    folder: Path, limits: Limits, modules: str, *, confined: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A started child that does not outlive the block, whether it ends in time, too late, or cancelled."""
    with as_file(files(__package__).joinpath("limited_child.py")) as program:
        child = await asyncio.create_subprocess_exec(
            # Isolated (no user site, no PYTHON variables), no bytecode files, UTF-8 whatever the locale.
            sys.executable, "-I", "-B", "-X", "utf8", str(program),
            str(limits.seconds), str(limits.memory_bytes), "confined" if confined else "unconfined", modules, *_PYTEST,
            cwd=folder,
            env=_environment(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        ended = False
        try:
            yield child
            ended = True
        finally:
            if not ended:
                _kill(child.pid)
                await child.wait()


def _kill(pid: int) -> None:
    """The child leads its own session, so its id is its group's id and nobody else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _written(pid: int) -> int | None:
    """Bytes, by calls or through mapped memory; None where the kernel does not say, or no longer."""
    try:
        counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text("ascii").splitlines())
    except OSError:
        return None
    return max(int(counts["wchar"]), int(counts["write_bytes"]))


def _modules(files: Sequence[SourceFile]) -> str:
    """The names of the package's modules, with commas between them; its tests are pytest's to import."""
    paths = (file.path for file in files if file.path.endswith(".py") and not file.path.startswith("tests/"))
    return ",".join(path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths)


def _environment(folder: Path) -> dict[str, str]:
    home = str(folder)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": home,
        # The runner's environment may hold pytest plugins; the package's tests need none, and loading them takes seconds.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def _lay_out(folder: Path, files: Sequence[SourceFile]) -> None:
    root = folder.resolve()
    for file in files:
        target = (root / file.path).resolve()
        # inspection.py has refused such paths; a file is written on this machine only after a second look.
        assert target.is_relative_to(root), file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.text.encode())


def _shown(output: bytearray, folder: Path) -> str:
    """The end of the output, without the name of a folder that is gone when it is read."""
    return output.decode(errors="replace").replace(str(folder), ".")[-OUTPUT_CHARS_MAX:]
