"""The contract on disk: samples are added and never edited, schemas are what the models say today."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_backbone.aws.settings import Names
from penstock_backbone.inventory import INVENTORY
from penstock_events import schemas
from penstock_events.codec import Event, decode, encode
from penstock_events.facts import FACTS, Fact

EVENTS = Path(__file__).resolve().parents[2] / "events"
SAMPLES = sorted((EVENTS / "samples").glob("*.json"))


def without_nulls(value: Any) -> Any:
    """Absent and null mean the same to every reader."""
    if isinstance(value, dict):
        return {name: without_nulls(part) for name, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_golden_sample_is_read_as_the_event_it_was_and_written_as_the_same_value(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    event = decode(text)
    assert isinstance(event, Event), event
    kind, _, version = path.stem.partition("-")
    assert (event.metadata.type, event.metadata.version) == (kind, int(version))
    assert type(event.fact) is FACTS[kind]
    if event.metadata.version == event.fact.version:
        assert without_nulls(json.loads(encode(event))) == without_nulls(json.loads(text))


@pytest.mark.parametrize("kind", FACTS)
def test_every_fact_has_a_golden_sample_of_its_newest_version(kind: str) -> None:
    assert EVENTS / "samples" / f"{kind}-{FACTS[kind].version}.json" in SAMPLES


def test_a_golden_sample_is_never_edited() -> None:
    """A sample is what somebody has already stored. A changed contract adds one: `sha256sum *.json > SHA256SUMS`."""
    lines = (EVENTS / "samples" / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    recorded = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in SAMPLES} == recorded


def test_the_schemas_on_disk_are_what_the_models_say() -> None:
    """When this fails the contract has changed: run `python -m penstock_events.schemas` and look at the diff."""
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in (EVENTS / "schemas").glob("*.json")}
    assert on_disk == schemas.documents()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_has_the_fields_its_schema_requires_and_no_others(path: Path) -> None:
    sample = json.loads(path.read_text(encoding="utf-8"))
    schema = json.loads((EVENTS / "schemas" / f"{path.stem.partition('-')[0]}.schema.json").read_text(encoding="utf-8"))
    for part, definition in (("metadata", "Metadata"), ("data", sample["metadata"]["type"])):
        described = schema["$defs"][definition]
        assert set(described.get("required", ())) <= set(sample[part]) <= set(described["properties"])


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for part in value.values() for found in references(part)]
    return [found for part in value for found in references(part)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", sorted(schemas.documents()))
def test_every_reference_of_a_document_leads_somewhere_inside_it(name: str) -> None:
    document = json.loads(schemas.documents()[name])
    assert references(document)
    for reference in references(document):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_asyncapi_document_names_every_fact() -> None:
    document = json.loads(schemas.documents()["asyncapi.json"])
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]["bus"]["messages"]) == set(FACTS)
    assert set(document["components"]["messages"]) == set(FACTS)


def test_the_bus_is_named_as_a_stack_names_it() -> None:
    channel = json.loads(schemas.documents()["asyncapi.json"])["channels"]["bus"]
    assert set(channel["parameters"]) == {"stack"}
    assert channel["address"].format(stack="acme-penstock") == Names("acme-penstock", INVENTORY).bus


def test_a_fact_without_words_of_its_own_does_not_borrow_its_parents() -> None:
    document = json.loads(schemas.documents()["StageStarted.schema.json"])
    assert Fact.__doc__ is not None
    assert "description" not in document


def generate(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock_events.schemas"],
        cwd=folder,
        env={"PYTHONPATH": str(EVENTS / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_generator_writes_them_all_and_removes_what_no_fact_has_any_more(tmp_path: Path) -> None:
    folder = tmp_path / "events" / "schemas"
    folder.mkdir(parents=True)
    (folder / "RunTeleported.schema.json").write_text("{}", encoding="utf-8")
    assert generate(tmp_path).returncode == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == schemas.documents()


def test_the_generator_says_where_to_run_it(tmp_path: Path) -> None:
    answer = generate(tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == (
        "There is no folder events/schemas here: run this at the root of a checkout of Penstock.\n"
    )
