"""The embedded engine's store over the contract inventory, as a process that the suite may kill."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.contract.contract_inventory import CONTRACT

from penstock_backbone.embedded.database import Database
from penstock_backbone.embedded.server import StoreServer
from penstock_backbone.embedded.store import Store
from penstock_backbone.system import SystemClock


async def serve(data: Path, socket: Path) -> None:
    clock = SystemClock()
    server = StoreServer(Store(Database(data, CONTRACT), CONTRACT, clock), socket, clock)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start()
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
