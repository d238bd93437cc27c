"""Parses what a person typed after `penstock`, calls it, reports."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from penstock_api import VERSION
from penstock_backbone.engines import EngineSettings
from penstock_backbone.environment import allowed_hosts, allowed_origins, drain_seconds
from penstock_backbone.errors import BackboneError
from penstock_backbone.records.limits import LIMIT_MAX
from penstock_cli.main import INTERRUPTED
from penstock_cli.preflight import PORT_MAX
from penstock_cli.programs import DRAIN_SECONDS, RUNNERS_MAX, Wish
from penstock_cli.refusal import Refusal

FOLDER = Path(".penstock")
DEMOS = FOLDER / "demo"
SPEED_MAX = 1_000_000
BUSY_PERCENT_MAX = 10_000
LOAD_LIMIT_MAX = 256
"""Four runners' worth: one machine has no more to show."""


def run() -> int:
    arguments = _parser().parse_args()
    hurry = asyncio.Event()
    command: Coroutine[Any, Any, int] = arguments.command(arguments, hurry)
    try:
        return asyncio.run(_until_ended(command, hurry))
    except (Refusal, BackboneError) as refusal:
        detail = getattr(refusal, "detail", "")
        sys.stderr.write(f"penstock: {refusal}\n" + (f"{detail}\n" if detail else ""))
        return 1


async def _until_ended(command: Coroutine[Any, Any, int], hurry: asyncio.Event) -> int:
    """The first SIGINT, SIGTERM or SIGHUP ends the command in good order, which takes seconds; a second one hurries."""
    task = asyncio.ensure_future(command)
    ended = False

    def end() -> None:
        nonlocal ended
        if ended:
            hurry.set()
        else:
            ended = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Durable, fair, admission-controlled workflow runs.",
        epilog="`penstock COMMAND --help` says more.",
    )
    parser.add_argument("--version", action="version", version=f"penstock {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_up(commands.add_parser("up", help="run everything on this machine until Ctrl-C"))
    _add_demo(commands.add_parser("demo", help="the same, with ten projects submitted at once"))
    _add_load(commands.add_parser("load", help="replay an observed workload, and report waits, use and fairness"))
    _add_dead_letters(commands.add_parser("dead-letters", help="show what failed too often, and have it tried again"))
    _add_workflow(commands.add_parser("workflow", help="check workflows of your own before you serve them"))
    _add_provision(commands.add_parser("provision", help="create tables, queues and bus on an AWS emulator"))
    return parser


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Starts the store, the API, the orchestrator and the runners, and starts again what dies. "
        "With PENSTOCK_ENGINE=aws there is no store: the others work on AWS, or on an emulator at PENSTOCK_AWS_ENDPOINT."
    )
    _add_data(parser)
    parser.add_argument("--port", type=_number(1, PORT_MAX), default=8080, help="of the API (default 8080)")
    _add_limit(parser)
    parser.add_argument(
        "--runners", type=_number(1, RUNNERS_MAX), default=1, help="how many runner processes (default 1)"
    )
    parser.add_argument(
        "--workflows", default="", metavar="MODULE,…", help="Python modules with workflows of your own, for the runners"
    )
    parser.set_defaults(command=_up)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Submits ten projects at once, five of which may run at a time, and shows what becomes of them."
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER",
        help=f"keep everything there; what an earlier demo left unfinished in it goes on (default: a new one in {DEMOS})",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=_number(1, PORT_MAX), help="of the API (default 8080, or another if that is in use)"
    )
    _add_limit(parser)
    parser.set_defaults(command=_demo, limit=5)


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Replays a trace of runs through the real system, in a folder of its own that goes afterwards: each project arrives "
        "when it did and takes as long as it did, divided by --speed. docs/operations.md says how to write a trace."
    )
    parser.add_argument(
        "--trace", type=Path, metavar="FILE",
        help="a CSV with a line for each run (default: 36 builds that were observed, with --busy 90)",
    )  # fmt: skip
    parser.add_argument(
        "--speed", type=_number(1, SPEED_MAX), default=1000, help="how many times as fast as it was (default 1000)"
    )
    parser.add_argument(
        "--limit", type=_number(1, LOAD_LIMIT_MAX), default=5,
        help="how many runs may go at once over the whole fleet (default 5)",
    )  # fmt: skip
    parser.add_argument(
        "--busy", type=_number(1, BUSY_PERCENT_MAX), metavar="PERCENT",
        help="draw the arrivals together, or apart, until they ask for so much of the slots (default: as they were)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.set_defaults(command=_load)


def _add_dead_letters(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shows the messages that failed so often that a running `penstock up` has put them aside. "
        "docs/operations.md says what they mean."
    )
    _add_data(parser)
    parser.add_argument("--redrive", action="store_true", help="have them tried again, which is always safe")
    parser.set_defaults(command=_dead_letters)


def _add_workflow(parser: argparse.ArgumentParser) -> None:
    parser.description = "Workflows are Python modules with WORKFLOWS, a tuple of Workflow."
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say what is wrong with them, and print the graph of each")
    check.add_argument(
        "modules", nargs="*", metavar="MODULE",
        help="a name as in `penstock up --workflows`; without any: what a runner here serves by itself",
    )  # fmt: skip
    check.set_defaults(command=_workflow_check)


def _add_provision(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Creates what Penstock needs on an emulator, under the prefix in PENSTOCK_STACK. "
        "Real accounts get it from infra/pulumi."
    )
    parser.add_argument("--endpoint", required=True, metavar="URL", help="where the emulator listens")
    parser.set_defaults(command=_provision)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=FOLDER, metavar="FOLDER", help=f"where everything is kept (default {FOLDER})"
    )


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=_number(1, LIMIT_MAX), help="how many runs may go at once over the whole fleet")


def _number(least: int, most: int) -> Any:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


async def _up(arguments: argparse.Namespace, hurry: asyncio.Event) -> int:
    from penstock_cli.up import up  # noqa: PLC0415  # --help must not wait for what only this command imports

    for read in (allowed_origins, allowed_hosts):  # the API's; what is wrong with them is said before anything starts
        read(os.environ)
    wish = Wish(
        host=os.environ.get("PENSTOCK_HOST") or "127.0.0.1", port=arguments.port, runners=arguments.runners,
        limit=arguments.limit, workflows=arguments.workflows, drain_seconds=drain_seconds(os.environ, DRAIN_SECONDS),
    )  # fmt: skip
    return await up(wish, arguments.data, EngineSettings.from_environment(os.environ), hurry)


async def _demo(arguments: argparse.Namespace, hurry: asyncio.Event) -> int:
    from penstock_cli.demo.show import demo  # noqa: PLC0415  # only this command needs it

    return await demo(arguments.data, arguments.port, arguments.limit, DEMOS, hurry)


async def _load(arguments: argparse.Namespace, hurry: asyncio.Event) -> int:
    from penstock_cli.load.show import Asked, load  # noqa: PLC0415  # only this command needs it

    return await load(Asked(arguments.trace, arguments.speed, arguments.limit, arguments.busy, arguments.json), hurry)


async def _dead_letters(arguments: argparse.Namespace, _: asyncio.Event) -> int:
    from penstock_cli.dead_letters import dead_letters  # noqa: PLC0415  # only this command needs it

    settings = EngineSettings.from_environment(os.environ)
    return await dead_letters(arguments.data, settings, redrive=arguments.redrive)


async def _workflow_check(arguments: argparse.Namespace, _: asyncio.Event) -> int:
    from rich.console import Console  # noqa: PLC0415  # only this command needs it

    from penstock_cli.workflow_check import PIPED_COLUMNS, check  # noqa: PLC0415  # only this command needs it

    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return check(arguments.modules, Console(width=None if told else PIPED_COLUMNS))


async def _provision(arguments: argparse.Namespace, _: asyncio.Event) -> int:
    from penstock_cli.provision import provision  # noqa: PLC0415  # only this command needs it

    return await provision(arguments.endpoint, EngineSettings.from_environment(os.environ).stack)
