"""Which processes make up Penstock on one machine, and what each is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock_backbone.engines import EngineSettings
from penstock_cli.data_folder import DataFolder
from penstock_cli.supervisor import STOP_SECONDS, STORE_STOP_SECONDS, Program

RUNNERS_MAX = 64
DRAIN_SECONDS = 1.0
"""For stages to end when everything is stopped. On one machine somebody waits for it."""
UNWIND_SECONDS = 4.5
"""For stages that have not ended to let go, one that hangs in C included, and for their runs to be handed back."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked `penstock up` for. `limit` None: leave the fleet's limit as it is."""

    host: str
    port: int
    runners: int
    limit: int | None = None
    workflows: str = ""
    draft_pace_seconds: float | None = None
    drain_seconds: float = DRAIN_SECONDS

    @property
    def address(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def programs(wish: Wish, engine: EngineSettings, folder: DataFolder) -> list[Program]:
    """The store first, since all others wait for it."""
    shared = {
        "PENSTOCK_ENGINE": engine.engine,
        "PENSTOCK_DATA": str(folder.path),
        "PENSTOCK_SOCKET": str(engine.socket),
        "PENSTOCK_STACK": engine.stack,
    }
    if engine.endpoint:
        shared["PENSTOCK_AWS_ENDPOINT"] = engine.endpoint

    def program(name: str, module: str, **told: str) -> Program:
        stop_seconds = STORE_STOP_SECONDS if name == "store" else STOP_SECONDS
        if name.startswith("runner"):
            stop_seconds = wish.drain_seconds + UNWIND_SECONDS
        return Program(
            name, module, folder.log(name), {**shared, **told},
            session=name.startswith("runner"), last_to_stop=name == "store", stop_seconds=stop_seconds,
        )  # fmt: skip

    store = [] if engine.engine == "aws" else [program("store", "penstock_backbone.embedded.main")]
    return [
        *store,
        program("api", "penstock_api.main", PENSTOCK_HOST=wish.host, PENSTOCK_PORT=str(wish.port)),
        program("orchestrator", "penstock_orchestrator.main"),
        *(
            program(f"runner-{number}", "penstock_runner.main", **_runner(wish))
            for number in range(1, wish.runners + 1)
        ),
    ]


def _runner(wish: Wish) -> Mapping[str, str]:
    told = {"PENSTOCK_DRAIN_SECONDS": str(wish.drain_seconds)}
    if wish.workflows:
        told["PENSTOCK_WORKFLOWS"] = wish.workflows
    if wish.draft_pace_seconds is not None:
        told["PENSTOCK_DRAFT_PACE_SECONDS"] = str(wish.draft_pace_seconds)
    return told
