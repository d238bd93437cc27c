"""`python -m penstock_api.main`: serves the API until it is told to stop.

PENSTOCK_HOST and PENSTOCK_PORT say where (127.0.0.1, 8080; port 0 takes a free one); the engine's settings are
those of penstock_backbone.engines.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping

import uvicorn
import uvloop

from penstock_api.bootstrap import Api, connect
from penstock_backbone.errors import BackboneError

HOST_DEFAULT = "127.0.0.1"
PORT_DEFAULT = 8080
PORT_MAX = 65_535
BACKLOG_CONNECTIONS_MAX = 2048
KEEP_ALIVE_SECONDS = 130
"""Longer than the load balancer keeps an idle connection (120 s): otherwise it sends into one that was just closed."""
SHUTDOWN_SECONDS_MAX = 2
WEBSOCKET_PING_SECONDS = 15.0
WEBSOCKET_PONG_SECONDS_MAX = 20.0
WEBSOCKET_MESSAGE_BYTES_MAX = 4096
"""Clients have nothing to say."""
OPEN_FILES = 8192
"""Each stream and each idle connection is one; systems begin with 256 or 1,024."""


class Refusal(Exception):
    """Why the API cannot start: one plain sentence that says what to do."""


class Server(uvicorn.Server):
    """Ends the streams before it waits for connections: they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, api: Api) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._api.parts.hub.close()
        await super().shutdown(sockets)


def listen(environment: Mapping[str, str]) -> socket.socket:
    """Raises Refusal. The socket is bound before anything else is started."""
    host = environment.get("PENSTOCK_HOST") or HOST_DEFAULT
    text = environment.get("PENSTOCK_PORT") or str(PORT_DEFAULT)
    if not (text.isascii() and text.isdigit() and int(text) <= PORT_MAX):
        raise Refusal(f"PENSTOCK_PORT is {text!r}: set it to a number from 0 to {PORT_MAX}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(text), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Refusal(f"PENSTOCK_HOST is {host!r}, which is not an address of this machine ({error}).") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG_CONNECTIONS_MAX)
    except OSError as error:
        listener.close()
        raise Refusal(_why_not_bound(host, text, error)) from error
    listener.set_inheritable(False)
    return listener


def _why_not_bound(host: str, port: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is in use by another program: stop it, or set PENSTOCK_PORT to a free port."
    if error.errno == errno.EACCES:
        return f"Port {port} may only be opened by the administrator: set PENSTOCK_PORT to a port above 1023."
    return f"The API cannot listen at {host} port {port} ({error.strerror}): set PENSTOCK_HOST and PENSTOCK_PORT."


class AnsweredWebsockets(logging.Filter):
    """uvicorn logs an error for each websocket that got a problem document (github.com/Kludex/uvicorn/pull/3138)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "ASGI callable returned without completing handshake."


def allow_open_files() -> None:
    """As many as OPEN_FILES, or as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(listener: socket.socket, environment: Mapping[str, str]) -> None:
    api = await connect(environment)
    config = uvicorn.Config(
        api.application,
        http="httptools",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws_ping_interval=WEBSOCKET_PING_SECONDS,
        ws_ping_timeout=WEBSOCKET_PONG_SECONDS_MAX,
        ws_max_size=WEBSOCKET_MESSAGE_BYTES_MAX,
    )
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"Penstock's API listens at http://{f'[{host}]' if ':' in host else host}:{port}\n")
    sys.stdout.flush()
    # Once uvicorn has ended in order it raises the signal again, and what follows here must still run.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        await Server(config, api).serve(sockets=[listener])
    finally:
        await api.close()


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").addFilter(AnsweredWebsockets())
    allow_open_files()
    try:
        with listen(os.environ) as listener:
            uvloop.run(serve(listener, os.environ))
    except (Refusal, BackboneError) as refusal:
        sys.stderr.write(f"The API cannot start: {refusal}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
