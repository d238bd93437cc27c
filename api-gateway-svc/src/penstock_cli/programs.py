"""Which processes make up Penstock on one machine, and what each is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock_backbone.engines import EngineSettings
from penstock_cli.data_folder import DataFolder
from penstock_cli.supervisor import Program

RUNNERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked `penstock up` for. `limit` None: leave the fleet's limit as it is."""

    host: str
    port: int
    runners: int
    limit: int | None = None
    workflows: str = ""
    draft_pace_seconds: float | None = None

    @property
    def address(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        return f"http://{host}:{self.port}"


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
        return Program(
            name, module, folder.log(name), {**shared, **told},
            session=name.startswith("runner"), last_to_stop=name == "store",
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
    told = {}
    if wish.workflows:
        told["PENSTOCK_WORKFLOWS"] = wish.workflows
    if wish.draft_pace_seconds is not None:
        told["PENSTOCK_DRAFT_PACE_SECONDS"] = str(wish.draft_pace_seconds)
    return told
