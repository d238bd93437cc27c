"""The orchestrator's boards and the API's estimates together: runs start when GET /v1/runs/…/admission said that they would."""

from __future__ import annotations

import pytest
from tests.bench import calibration


def test_half_of_the_runs_start_within_p50_and_nine_in_ten_within_p90(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "RUNS", 300)
    figures = calibration.calibrating()
    assert 40 <= figures["start_within_p50_pct"] <= 65
    assert 80 <= figures["start_within_p90_pct"] <= 97
    assert figures["start_unknown_pct"] <= 5
