"""Which engine this process works on, from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from penstock_backbone.errors import Fatal
from penstock_backbone.ports import Blobs, Bus, Clock, Queues, Streams, Tables, Watch

SOCKET_PATH_BYTES_MAX = 100
"""The kernel's limit for a Unix socket's path is 108."""


class Engine(Protocol):
    @property
    def tables(self) -> Tables: ...
    @property
    def streams(self) -> Streams: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def queues(self) -> Queues: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def watch(self) -> Watch: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`data` and `socket` are the embedded engine's; `stack` and `endpoint` the aws engine's."""

    engine: Literal["embedded", "aws"]
    data: Path
    socket: Path
    stack: str
    endpoint: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> EngineSettings:
        engine = environment.get("PENSTOCK_ENGINE", "embedded")
        if engine not in ("embedded", "aws"):
            raise Fatal(f"PENSTOCK_ENGINE is {engine!r}: set it to embedded or aws")
        data = Path(environment.get("PENSTOCK_DATA", ".penstock")).absolute()
        return cls(
            engine="aws" if engine == "aws" else "embedded",
            data=data,
            socket=Path(environment.get("PENSTOCK_SOCKET") or data / "store.sock"),
            stack=environment.get("PENSTOCK_STACK", "penstock"),
            endpoint=environment.get("PENSTOCK_AWS_ENDPOINT"),
        )


async def open_engine(settings: EngineSettings, clock: Clock) -> Engine:
    """Engines are imported when they are chosen: boto3 alone takes most of a second."""
    if settings.engine == "aws":
        from penstock_backbone.aws.engine import AwsSettings, connect  # noqa: PLC0415  # only where it is needed

        return await connect(AwsSettings.of(settings.stack, settings.endpoint))
    from penstock_backbone.embedded.engine import EmbeddedEngine  # noqa: PLC0415  # only where it is needed

    if len(str(settings.socket).encode()) > SOCKET_PATH_BYTES_MAX:
        raise Fatal(
            f"the socket's path {settings.socket} is too long: choose a shorter data folder or set PENSTOCK_SOCKET"
        )
    return EmbeddedEngine(settings.socket, settings.data / "artifacts", clock)
