"""What is wrong before anything starts is said in one sentence that tells what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from penstock_cli.preflight import free_port, require_endpoint, require_free_port, require_workflows
from penstock_cli.programs import Wish
from penstock_cli.refusal import Refusal


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_busy_port_is_named_together_with_the_option_that_helps() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Refusal, match=f"Port {port} is in use .*--port"):
            require_free_port("127.0.0.1", port)
        assert free_port("127.0.0.1", port) != port
    require_free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(Refusal, match="not an address of this machine: correct PENSTOCK_HOST"):
        require_free_port("192.0.2.1", 8080)


def test_workflow_modules_are_found_in_the_current_folder_and_unknown_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flows_of_mine.py").write_text("WORKFLOWS = ()")
    require_workflows("flows_of_mine, json")
    require_workflows("")
    for unknown in ("flows_of_yours", "flows_of_mine.deeper", "..", "a-b"):
        with pytest.raises(Refusal, match="There is no workflow module"):
            require_workflows(unknown)


@pytest.mark.anyio
async def test_an_endpoint_that_does_not_answer_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        await require_endpoint(f"http://127.0.0.1:{port}")
    with pytest.raises(Refusal, match=f"http://127.0.0.1:{port} cannot be reached .*PENSTOCK_AWS_ENDPOINT"):
        await require_endpoint(f"http://127.0.0.1:{port}")
    for address in ("localhost:4566", "http://localhost:99999", "http://[::1", "http://"):
        with pytest.raises(Refusal, match=r"not an http\(s\) address: correct --endpoint"):
            await require_endpoint(address, "--endpoint")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("localhost", "http://localhost:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),  # compared, not bound
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
    ],
)
def test_the_address_that_is_shown_can_be_opened(host: str, address: str) -> None:
    assert Wish(host, 8080, runners=1).address == address
