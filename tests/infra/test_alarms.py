"""Every alarm reaches somebody and says where to read on."""

from __future__ import annotations

import re
from pathlib import Path

from tests.infra.recorder import Program, arn

from penstock_backbone.inventory import INVENTORY

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"


def sections() -> set[str]:
    """The anchors as GitHub makes them from the headings."""
    headings = re.findall(r"^#+ (.+)$", OPERATIONS.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def linked(program: Program) -> dict[str, str]:
    return {
        alarm.name.removeprefix(f"{program.stack}-"): alarm.inputs["alarmDescription"].rsplit("#", 1)[-1]
        for alarm in program.of_type("MetricAlarm")
    }


def test_every_alarm_calls_somebody(program: Program) -> None:
    topic = arn("aws:sns/topic:Topic", f"{program.stack}-alarms")
    one_runner_less = arn("aws:appautoscaling/policy:Policy", f"{program.stack}-runner-quiet")
    for alarm in program.of_type("MetricAlarm"):
        expected = one_runner_less if alarm.name.endswith("-runner-quiet") else topic
        assert alarm.inputs["alarmActions"] == [expected]


def test_every_alarm_names_a_section_of_the_runbook_that_exists(program: Program) -> None:
    links = linked(program)
    assert links
    assert set(links.values()) <= sections()
    for alarm in program.of_type("MetricAlarm"):
        assert "Runbook: docs/operations.md#" in alarm.inputs["alarmDescription"]


def test_everything_that_can_fail_silently_has_an_alarm(program: Program) -> None:
    names = set(linked(program))
    assert {queue.dlq if queue.dead_letter else queue.name for queue in INVENTORY.queues} <= names
    assert {f"{consumer.name}-lag" for consumer in INVENTORY.consumers} <= names
    assert {f"{table.name}-throttles" for table in INVENTORY.tables} <= names
    assert {f"{rule.name}-undelivered" for rule in INVENTORY.rules} <= names
    functions = {found.name.removeprefix(f"{program.stack}-") for found in program.of_type("Function")}
    assert {f"{unit}-{kind}" for unit in functions for kind in ("errors", "throttles")} <= names
    assert {"sweep-silent", "admission-queue-age", "dispatch-queue-age"} <= names
    assert {"api-errors", "api-slow", "api-tasks-missing", "runner-tasks-missing"} <= names


def test_alarms_watch_the_physical_names(program: Program) -> None:
    made = {resource.inputs.get("name") for resource in program.resources if resource.inputs.get("name")}
    for alarm in program.of_type("MetricAlarm"):
        for query in alarm.inputs.get("metricQueries", []):
            dimensions = query.get("metric", {}).get("dimensions", {})
            for dimension, value in dimensions.items():
                if dimension in ("LoadBalancer", "TargetGroup", "GlobalSecondaryIndexName"):
                    continue
                assert value in made, (alarm.name, dimension, value)


def test_what_must_always_report_rings_when_it_is_silent(program: Program) -> None:
    breaching = {
        alarm.name.removeprefix(f"{program.stack}-")
        for alarm in program.of_type("MetricAlarm")
        if alarm.inputs["treatMissingData"] == "breaching"
    }
    assert breaching == {"sweep-silent", "api-tasks-missing", "runner-tasks-missing"}


def test_every_alarm_judges_one_number(program: Program) -> None:
    for alarm in program.of_type("MetricAlarm"):
        queries = alarm.inputs.get("metricQueries", [{"returnData": True}])
        assert [query["returnData"] for query in queries].count(True) == 1, alarm.name


def test_alarms_are_mailed_when_an_address_is_given(dev: Program, prod: Program) -> None:
    assert dev.of_type("TopicSubscription") == []
    [subscription] = prod.of_type("TopicSubscription")
    assert (subscription.inputs["protocol"], subscription.inputs["endpoint"]) == ("email", "platform@example.com")
