"""`make trust` compares any DynamoDB that one can name with our model, and says in one sentence why it cannot."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import Protocol

import pytest
from tests.contract.ministack import running_ministack
from tests.contract.trust import VARIABLE, main, settings_of


class Trust(Protocol):
    """Plays the command with this address: its exit code, what it prints, and what it complains about."""

    def __call__(self, endpoint: str) -> tuple[int, str, str]: ...


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Trust:
    def play(endpoint: str) -> tuple[int, str, str]:
        monkeypatch.setenv(VARIABLE, endpoint)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        code = main(["--programs", "8", "--spare", "ministack"])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return play


def test_a_named_endpoint_is_compared_and_left_as_it_was(trust: Trust) -> None:
    with running_ministack() as emulator:
        code, out, err = trust(emulator.endpoint)
        assert (code, out.splitlines()[-1]) == (
            0,
            "8 programs of writes, reads and queries and 8 with their streams, 0 differences",
        ), (
            out,
            err,
        )
        request = urllib.request.Request(  # the emulator of this test
            emulator.endpoint,
            data=b"{}",
            headers={
                "X-Amz-Target": "DynamoDB_20120810.ListTables",
                "Content-Type": "application/x-amz-json-1.0",
                "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request",
            },
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["TableNames"] == []


@pytest.mark.parametrize("endpoint", ["", "localhost:8000", "ftp://localhost", "http://"])
def test_without_an_address_it_says_what_to_set(trust: Trust, endpoint: str) -> None:
    code, out, err = trust(endpoint)
    assert (code, out) == (2, "")
    assert err == f"Set {VARIABLE} to the address of a DynamoDB, for example {VARIABLE}=http://localhost:8000.\n"


def test_an_address_where_nobody_answers_is_told_in_one_sentence(trust: Trust) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        code, _, err = trust(endpoint)
    assert code == 2
    assert err == f"Nobody answers as DynamoDB at {endpoint}: start it there, or correct {VARIABLE}.\n"


def test_amazons_own_address_is_asked_as_in_production() -> None:
    where = settings_of("https://dynamodb.eu-central-1.amazonaws.com")
    assert (where.region, where.is_emulator) == ("eu-central-1", False)
    assert settings_of("http://localhost:8000").is_emulator
