"""The program is run once for each configuration; the tests only read what it asked for."""

from __future__ import annotations

import pytest
from tests.infra.recorder import Program, run_program

DEV = {"aws:region": "eu-central-1", "penstock:imageTag": "1.2.3"}
PROD = DEV | {
    "penstock:prefix": "acme-penstock",
    "penstock:production": "true",
    "penstock:certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1",
    "penstock:apiClientCidrs": '["203.0.113.0/24"]',
    "penstock:allowedOrigins": '["https://app.example.com", "https://admin.example.com"]',
    "penstock:allowedHosts": '["penstock.example.com"]',
    "penstock:alarmEmail": "platform@example.com",
    "penstock:otlpEndpoint": "http://collector.example.com:4318",
    "penstock:model": "bedrock:eu.anthropic.claude-sonnet-4-20250514-v1:0",
}


@pytest.fixture(scope="session")
def dev() -> Program:
    return run_program(DEV)


@pytest.fixture(scope="session")
def prod() -> Program:
    return run_program(PROD, stack="prod")


@pytest.fixture(scope="session", params=["dev", "prod"])
def program(request: pytest.FixtureRequest) -> Program:
    """Rules that hold for every configuration."""
    found: Program = request.getfixturevalue(request.param)
    return found
