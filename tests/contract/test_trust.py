"""`make trust` compares any DynamoDB that one can name with our model, and says in one sentence why it cannot."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request

import pytest
from tests.contract.ministack import ROOT, running_ministack
from tests.contract.trust import VARIABLE, settings_of


def trust(endpoint: str, programs: int = 8) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {VARIABLE: endpoint, "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-m", "tests.contract.trust", "--programs", str(programs)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_named_endpoint_is_compared_and_left_as_it_was() -> None:
    with running_ministack() as emulator:
        ended = trust(emulator.endpoint)
        assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "8 programs, 0 differences"), ended
        request = urllib.request.Request(  # the emulator of this test
            emulator.endpoint,
            data=b"{}",
            headers={
                "X-Amz-Target": "DynamoDB_20120810.ListTables",
                "Content-Type": "application/x-amz-json-1.0",
                "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request",
            },
        )
        with urllib.request.urlopen(request) as answer:  # as above
            assert json.load(answer)["TableNames"] == []


@pytest.mark.parametrize("endpoint", ["", "localhost:8000", "ftp://localhost", "http://"])
def test_without_an_address_it_says_what_to_set(endpoint: str) -> None:
    ended = trust(endpoint)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"Set {VARIABLE} to the address of a DynamoDB, for example {VARIABLE}=http://localhost:8000.\n"
    )


def test_an_address_where_nobody_answers_is_told_in_one_sentence() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        ended = trust(endpoint)
    assert ended.returncode == 2
    assert ended.stderr == f"Nobody answers as DynamoDB at {endpoint}: start it there, or correct {VARIABLE}.\n"


def test_amazons_own_address_is_asked_as_in_production() -> None:
    where = settings_of("https://dynamodb.eu-central-1.amazonaws.com")
    assert (where.region, where.is_emulator) == ("eu-central-1", False)
    assert settings_of("http://localhost:8000").is_emulator
