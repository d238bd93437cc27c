"""How each engine is started for the suites, looked at by a second process, and started again after a crash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from traceback import walk_tb
from typing import Any, Protocol, TypeAlias

from tests.contract.contract_inventory import CONTRACT, THINGS
from tests.contract.ministack import Emulator, running_ministack

from penstock_backbone.aws.calls import Service
from penstock_backbone.aws.engine import AwsEngine, AwsSettings, assemble, connect
from penstock_backbone.aws.provision import create_resources, provision
from penstock_backbone.embedded import EmbeddedEngine
from penstock_backbone.engines import Engine
from penstock_backbone.memory import MemoryEngine
from penstock_backbone.system import SystemChance, SystemClock, SystemIds
from penstock_backbone.vocabulary import Key

CallHere: TypeAlias = Callable[..., dict[str, Any]]

ENDPOINT_MODE = "AWS_ACCOUNT_ID_ENDPOINT_MODE"
ROOT = Path(__file__).resolve().parents[2]


class MotoBroke(Exception):
    """Moto's own code failed, where a server would answer with status 500."""


class Rig(Protocol):
    """One engine under test. `engine` is this process's connection to it."""

    engine: Engine

    async def another(self) -> Engine:
        """The same data as another process sees it; whoever asked closes it."""
        ...

    async def crash(self) -> None:
        """The process of the caller dies, and the engine's own if it has one; `engine` is a new one's afterwards."""
        ...

    async def close(self) -> None: ...


class MemoryRig:
    """Nothing survives the process: `crash` is only what the consumers of a new process would find."""

    def __init__(self) -> None:
        self._memory = MemoryEngine(SystemClock(), SystemIds(), CONTRACT)
        self.engine: Engine = self._memory

    @classmethod
    async def open(cls) -> MemoryRig:
        return cls()

    async def another(self) -> Engine:
        return self._memory

    async def crash(self) -> None:
        self._memory.reopen()

    async def close(self) -> None:
        await self.engine.close()


class EmbeddedRig:
    """A real store process on a real file, killed with SIGKILL."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-contract-"))
        self._store = self._start()
        self.engine: Engine = self._connect()

    @classmethod
    async def open(cls) -> EmbeddedRig:
        rig = cls()
        await rig._answers()
        return rig

    async def another(self) -> Engine:
        return self._connect()

    async def crash(self) -> None:
        await self.engine.close()
        self._store.kill()
        self._store.wait()
        self._store = self._start()
        self.engine = self._connect()
        await self._answers()

    async def close(self) -> None:
        await self.engine.close()
        self._store.terminate()
        ended = self._store.wait()
        shutil.rmtree(self._folder)
        assert ended == 0, f"the store ended with {ended}"

    def _connect(self) -> Engine:
        return EmbeddedEngine(self._folder / "s", self._folder / "blobs", SystemClock(), CONTRACT)

    async def _answers(self) -> None:
        """The client waits for a store that is still starting."""
        await self.engine.tables.get([Key(THINGS, "any", "thing")])

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.contract.store_process", self._folder / "data.db", self._folder / "s"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        )


class MinistackRig:
    """The aws engine over the real wire protocol, against an emulator process. Only the engine's process crashes."""

    engine: Engine

    def __init__(self, emulator: AbstractContextManager[Emulator]) -> None:
        self._emulator = emulator
        self._settings = AwsSettings("contract", "us-east-1", emulator.__enter__().endpoint)

    @classmethod
    async def open(cls) -> MinistackRig:
        rig = cls(running_ministack())
        await provision(rig._settings, CONTRACT)
        rig.engine = await rig.another()
        return rig

    async def another(self) -> Engine:
        return await connect(self._settings, CONTRACT)

    async def crash(self) -> None:
        await self.engine.close()
        self.engine = await self.another()

    async def close(self) -> None:
        await self.engine.close()
        self._emulator.__exit__(None, None, None)


class MotoRig:
    """The aws engine over moto inside this process: another reading of the same requests, one at a time."""

    engine: Engine

    def __init__(self) -> None:
        from moto import mock_aws  # noqa: PLC0415  # takes a second, and one process of the suite needs it

        self._mock = mock_aws()
        self._mock.start()
        # Asked about an ARN, boto3 turns to an address of its account, where moto knows no streams.
        self._mode = os.environ.get(ENDPOINT_MODE)
        os.environ[ENDPOINT_MODE] = "disabled"
        self._lock = threading.Lock()
        self._settings = AwsSettings("contract", "us-east-1")

    @classmethod
    async def open(cls) -> MotoRig:
        rig = cls()
        rig.engine = engine = await rig.another()
        await create_resources(engine.calls, rig._settings, CONTRACT, SystemClock())
        return rig

    async def another(self) -> AwsEngine:
        engine = assemble(
            self._settings,
            CONTRACT,
            clock=SystemClock(),
            ids=SystemIds(),
            chance=SystemChance(),
            in_statements=False,  # moto applies a PartiQL update whose condition is false
        )
        engine.calls.call_here = self._one_at_a_time(engine.calls.call_here)  # type: ignore[method-assign]  # only moto needs it
        return engine

    async def crash(self) -> None:
        await self.engine.close()
        self.engine = await self.another()

    async def close(self) -> None:
        await self.engine.close()
        self._mock.stop()
        os.environ.pop(ENDPOINT_MODE)
        if self._mode is not None:
            os.environ[ENDPOINT_MODE] = self._mode

    def _one_at_a_time(self, call: CallHere) -> CallHere:
        """Its tables lose writes to each other when several threads ask at once. Queues wait, so they are let be."""

        def alone(service: Service, operation: str, **arguments: Any) -> dict[str, Any]:
            with nullcontext() if service is Service.QUEUES else self._lock:
                try:
                    return call(service, operation, **arguments)
                except TypeError as error:
                    if not _is_of_moto(error):
                        raise
                    raise MotoBroke(f"{operation}: {error}") from error

        return alone


def _is_of_moto(error: Exception) -> bool:
    """Whether it was raised by a line of moto's."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"]).startswith("moto.")


RIGS: dict[str, Callable[[], Awaitable[Rig]]] = {
    "memory": MemoryRig.open,
    "embedded": EmbeddedRig.open,
    "ministack": MinistackRig.open,
    "moto": MotoRig.open,
}
