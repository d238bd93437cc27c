"""The code of docs/events.md is taken from the page and run, and what it says of the contract is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from penstock_backbone.inventory import EVENT_SOURCE
from penstock_events.envelope import EVENT_BYTES_MAX
from penstock_events.facts import FACTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(found)


def delivered(event: dict[str, Any]) -> str:
    """The body of an SQS message, as a rule sends it."""
    return json.dumps({"source": EVENT_SOURCE, "detail-type": event["metadata"]["type"], "detail": event})


def test_the_reader_tells_of_a_run_once_ignores_the_unknown_and_refuses_what_is_no_event() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # the page's own code
    receive, seen = names["receive"], set[str]()
    sample = json.loads((ROOT / "events/samples/RunSucceeded-1.json").read_text())
    assert receive(delivered(sample), seen) == "prj_01KAS7M3B6Q2W4X8Y9Z0A1C2D3 of acme took 129959 ms"
    assert receive(delivered(sample), seen) is None
    newer = {**sample, "metadata": {**sample["metadata"], "type": "RunPraised", "event_id": "run_x:31"}}
    assert receive(delivered(newer), seen) is None
    with pytest.raises(ValueError, match="metadata"):
        receive(json.dumps({"detail": {}}), seen)


def test_the_event_shown_and_the_rule_name_real_types_and_fields() -> None:
    shown = json.loads(block("json"))
    sample = json.loads((ROOT / "events/samples/RunSucceeded-1.json").read_text())
    assert shown["source"] == EVENT_SOURCE
    assert shown["detail"]["metadata"].keys() == sample["metadata"].keys()
    assert shown["detail"]["data"].keys() == sample["data"].keys()
    pattern = json.loads(re.findall(r"'(\{.*\})'", block("sh"))[0])
    assert pattern["source"] == [EVENT_SOURCE]
    assert set(pattern["detail-type"]) <= FACTS.keys()
    assert pattern["detail"]["metadata"].keys() <= sample["metadata"].keys()
    assert f"{EVENT_BYTES_MAX // 1024} KB" in PAGE


def test_what_the_pages_ask_the_stack_for_is_among_its_outputs() -> None:
    exported = set(re.findall(r'pulumi\.export\("(\w+)"', (ROOT / "infra/pulumi/__main__.py").read_text()))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    asked = {name for page in pages for name in re.findall(r"pulumi stack output (\w+)", page.read_text())}
    assert {"api_url", "event_bus"} <= asked <= exported
