"""`python -m penstock_orchestrator.main`: relay, dispatcher, admission and sweep in one process, until told to stop.

The settings are those of penstock_backbone.engines; spans go to OTEL_EXPORTER_OTLP_ENDPOINT when it is set.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Mapping

import uvloop

from penstock_backbone.errors import BackboneError
from penstock_orchestrator.bootstrap import connect

COLLECT_AFTER_OBJECTS = 50_000
"""Python's 700 would search the whole heap for cycles several times a second; a turn leaves none."""

_log = logging.getLogger("penstock_orchestrator")


async def serve(environment: Mapping[str, str]) -> None:
    """SIGTERM or Ctrl-C ends it. What it leaves undone is in the tables and queues, for the next one to take up."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _log.info("The orchestrator opens its engine.")
    starting = asyncio.create_task(connect(environment))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
        return
    orchestrator = starting.result()
    _log.info("The orchestrator is at work.")
    working = asyncio.create_task(orchestrator.host.run())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        await working
    working.cancel()
    await asyncio.wait([working])
    await orchestrator.host.leave()
    await orchestrator.close()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)
    try:
        uvloop.run(serve(os.environ))
    except BackboneError as error:
        sys.stderr.write(f"The orchestrator cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
