"""The inventory is the one definition: the program adds nothing to it and leaves nothing out."""

from __future__ import annotations

import json

import pytest
from tests.infra.recorder import Program

from penstock_backbone.inventory import INVENTORY, Queue, Rule, Table


def names(program: Program, kind: str) -> set[str]:
    return {resource.inputs.get("name") or resource.inputs["bucket"] for resource in program.of_type(kind)}


def physical(program: Program, *entries: str) -> set[str]:
    return {f"{program.stack}-{entry}" for entry in entries}


def test_the_tables_are_those_of_the_inventory(program: Program) -> None:
    assert names(program, "Table") == physical(program, *(table.name for table in INVENTORY.tables))


def test_the_queues_are_those_of_the_inventory_and_their_dead_letter_queues(program: Program) -> None:
    dead = [queue.dlq for queue in INVENTORY.queues if queue.dead_letter]
    assert names(program, "Queue") == physical(program, *(queue.name for queue in INVENTORY.queues), *dead)


def test_the_bus_its_rules_and_the_bucket_are_those_of_the_inventory(program: Program) -> None:
    assert names(program, "EventBus") == physical(program, INVENTORY.bus)
    assert names(program, "EventRule") == physical(program, *(rule.name for rule in INVENTORY.rules))
    assert names(program, "Bucket") == physical(program, INVENTORY.bucket)


def test_there_is_a_function_for_each_consumer_and_one_for_hints_and_one_for_the_tick(program: Program) -> None:
    consumers = [consumer.name for consumer in INVENTORY.consumers]
    assert names(program, "Function") == physical(program, *consumers, "admission", "sweep")


@pytest.mark.parametrize("table", INVENTORY.tables, ids=lambda table: table.name)
def test_a_table_has_the_keys_the_stream_and_the_indexes_that_the_inventory_says(dev: Program, table: Table) -> None:
    inputs = dev.one("Table", table.name).inputs
    assert (inputs["hashKey"], inputs["rangeKey"]) == ("pk", "sk")
    assert inputs["streamEnabled"] is table.streamed
    assert inputs.get("streamViewType") == ("NEW_IMAGE" if table.streamed else None)
    found = [
        (index["name"], *(key["attributeName"] for key in index["keySchemas"]), index["projectionType"])
        for index in inputs.get("globalSecondaryIndexes", [])
    ]
    assert found == [(index.name, index.hash_attribute, index.range_attribute, "ALL") for index in table.indexes]
    keyed = {"pk", "sk"} | {name for index in table.indexes for name in (index.hash_attribute, index.range_attribute)}
    assert {attribute["name"]: attribute["type"] for attribute in inputs["attributes"]} == dict.fromkeys(keyed, "S")


@pytest.mark.parametrize("queue", INVENTORY.queues, ids=lambda queue: queue.name)
def test_a_queue_keeps_the_times_of_the_inventory(dev: Program, queue: Queue) -> None:
    inputs = dev.one("Queue", queue.name).inputs
    assert inputs["visibilityTimeoutSeconds"] == queue.visibility_seconds
    assert inputs["messageRetentionSeconds"] == queue.retention_seconds


@pytest.mark.parametrize("rule", INVENTORY.rules, ids=lambda rule: rule.name)
def test_a_rule_matches_what_the_inventory_says(dev: Program, rule: Rule) -> None:
    assert json.loads(dev.one("EventRule", rule.name).inputs["eventPattern"]) == rule.pattern
