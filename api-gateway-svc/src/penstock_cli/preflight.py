"""What can be known to be wrong before anything is started."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from penstock_cli.refusal import Refusal

ENDPOINT_SECONDS_MAX = 3.0
PORT_MAX = 65_535


def require_free_port(host: str, port: int) -> None:
    """Refusal unless this process could listen there now."""
    try:
        _bind(host, port)
    except OSError as error:
        raise Refusal(_port_sentence(host, port, error)) from error


def free_port(host: str, preferred: int) -> int:
    """`preferred` if it is free, else another one."""
    try:
        return _bind(host, preferred)
    except OSError:
        return _bind(host, 0)


def require_workflows(modules: str) -> None:
    """Refusal unless each module of the comma-separated list can be found."""
    sys.path.append(str(Path.cwd()))
    try:
        for module in filter(None, map(str.strip, modules.split(","))):
            if not _is_findable(module):
                raise Refusal(
                    f"There is no workflow module {module}: check --workflows, which names modules as an "
                    f"import does (digest, not digest.py); they are looked for in the installed packages and in {Path.cwd()}."
                )
    finally:
        sys.path.pop()


async def require_endpoint(endpoint: str, setting: str = "PENSTOCK_AWS_ENDPOINT") -> None:
    """Refusal unless something accepts connections at the URL; `setting` is where a person gave it."""
    found = _host_and_port(endpoint)
    if found is None:
        raise Refusal(f"The AWS endpoint {endpoint} is not an http(s) address: correct {setting}.")
    try:
        async with asyncio.timeout(ENDPOINT_SECONDS_MAX):
            _, writer = await asyncio.open_connection(*found)
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise Refusal(
            f"The AWS endpoint {endpoint} cannot be reached ({reason}): start it, or correct {setting}."
        ) from error
    writer.close()


def _host_and_port(address: str) -> tuple[str, int] | None:
    try:
        url = urlsplit(address)
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        return None
    return (url.hostname, port) if url.scheme in ("http", "https") and url.hostname else None


def _bind(host: str, port: int) -> int:
    """The port that could be bound. SO_REUSEADDR as servers set it: an old connection's remains do not count."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
        bound: int = listener.getsockname()[1]
        return bound


def _port_sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by another program: stop that one, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs rights that you do not have: choose one above 1023 with --port."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"The host {host} is not an address of this machine: correct PENSTOCK_HOST."
    return f"Port {port} of {host} cannot be used ({error.strerror}): choose another one with --port."


def _is_findable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False
