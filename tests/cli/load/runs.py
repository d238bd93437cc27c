"""Runs and courses for the tests, in few words."""

from __future__ import annotations

from penstock_cli.load.domain.course import Course, Due
from penstock_cli.load.domain.trace import TracedRun


def traced(arrival: float, duration: float, tenant: str = "default", **usage: int) -> TracedRun:
    return TracedRun("a run", arrival, duration, 1, tenant, 3, usage)


def due(at: float, length: float, tenant: str = "default", **usage: int) -> Due:
    return Due(traced(at, length, tenant, **usage), at, length)


def course(at: float, length: float, *holds: tuple[float, float], tenant: str = "default") -> Course:
    return Course(due(at, length, tenant), at, holds)
