"""The store process: `python -m penstock_backbone.embedded.main`. One a data folder; SIGTERM ends it cleanly."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import IO

import uvloop

from penstock_backbone.embedded.database import Database
from penstock_backbone.embedded.server import StoreServer
from penstock_backbone.embedded.store import Store
from penstock_backbone.engines import EngineSettings
from penstock_backbone.errors import Fatal
from penstock_backbone.inventory import INVENTORY
from penstock_backbone.system import SystemClock

DATABASE_FILE = "penstock.db"
LOCK_FILE = "store.lock"


def lock_folder(folder: Path) -> IO[str]:
    """Holds the folder until the process ends; Fatal with the owner's pid when somebody else does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("a+")
    except OSError as error:
        raise Fatal(f"the data folder {folder} cannot be written ({error.strerror}): choose another one") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        raise Fatal(f"the data folder {folder} is in use by process {owner}: stop it or choose another one") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


async def serve(settings: EngineSettings) -> None:
    clock = SystemClock()
    database = Database(settings.data / DATABASE_FILE, INVENTORY)
    database.reserve_log()
    server = StoreServer(Store(database, INVENTORY, clock), settings.socket, clock)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    try:
        await stop.wait()
    finally:
        await server.stop()


def main() -> int:
    settings = EngineSettings.from_environment(os.environ)
    try:
        lock = lock_folder(settings.data)
        uvloop.run(serve(settings))
        lock.close()
    except (Fatal, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
