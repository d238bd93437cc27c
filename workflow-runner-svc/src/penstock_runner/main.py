"""`python -m penstock_runner.main`: one runner process, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import uvloop

from penstock_backbone.environment import READY
from penstock_backbone.errors import BackboneError
from penstock_backbone.system import SystemClock
from penstock_runner.bootstrap import Settings, find_workflows, open_runner
from penstock_runner.domain.redaction import Redaction
from penstock_runner.handlers.stage_log import RedactingFilter
from penstock_runner.loop_guard import LoopGuard
from penstock_runner.registry import Registry, module_names
from penstock_runner.stage_output import capture
from penstock_runner.temporary import own_folder, remove_abandoned

BEAT_SECONDS = 0.2
STUCK_EXIT_CODE = 70
COLLECT_AFTER_OBJECTS = 20_000
"""Python's 700 would search the whole heap for cycles several times a second; a stage leaves none."""

_log = logging.getLogger("penstock_runner")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="penstock-runner", description="Executes workflow runs.")
    parser.add_argument(
        "--workflows",
        default=os.environ.get("PENSTOCK_WORKFLOWS", ""),
        metavar="MODULE[,MODULE…]",
        help="Python modules with WORKFLOWS, a tuple of Workflow (also PENSTOCK_WORKFLOWS)",
    )
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter(Redaction.of_environment(os.environ)))
    try:
        settings = Settings.from_environment(os.environ)
        loaded = find_workflows(settings, module_names(parsed.workflows))
        for problem in loaded.problems:
            _log.error("%s", problem)
        capture()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)
        run_to_its_end(serve(settings, loaded.registry))
    except BackboneError as error:
        print(f"penstock-runner: {error}", file=sys.stderr)  # noqa: T201  # the one line for whoever started it
        return 1
    return 0


def run_to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """What a stage's own tasks raise to end the process ends them alone. The loop is not closed: it would wait for stages
    that do not end, and for their threads."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(work)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if not task.done():
                _log.warning("A task of a stage has raised %r: it fails alone.", error)
    task.result()


async def serve(settings: Settings, registry: Registry) -> None:
    """SIGTERM or Ctrl-C ends it in good order, a second one at once."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def end() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    with own_folder() as place:
        loop.run_in_executor(None, remove_abandoned, place)
        async with open_runner(settings, registry) as runner, guarded_loop():
            names = [f"{plan.workflow.name} {plan.workflow.version}" for plan in registry.newest()]
            _log.info("Serving %s with %d slots.", ", ".join(names), settings.capacity)
            await runner.run(stop, hurry, say_ready)


def say_ready() -> None:
    """To the supervisor, if there is one. What ends the process from now on was not the start."""
    if (pipe := os.environ.pop(READY, None)) is not None:
        with contextlib.suppress(OSError):
            os.write(int(pipe), b".")
        os.close(int(pipe))


@contextlib.asynccontextmanager
async def guarded_loop() -> AsyncIterator[None]:
    """A loop that a stage has blocked for good ends the process: the supervisor starts another."""
    guard = LoopGuard(lambda: os._exit(STUCK_EXIT_CODE))
    beating = asyncio.create_task(_beat(guard))
    guard.start()
    try:
        yield
    finally:
        guard.stop()
        beating.cancel()


async def _beat(guard: LoopGuard) -> None:
    clock = SystemClock()
    while True:
        guard.beat()
        await clock.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    # Threads that stages have left behind must not keep the process.
    os._exit(code)
