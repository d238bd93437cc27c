"""A module as a user would name it with --workflows."""

from __future__ import annotations

from tests.runner.stages import in_a_row

WORKFLOWS = (in_a_row(3),)
