"""Everything that repeats or keeps has an end, and production cannot be deleted by mistake."""

from __future__ import annotations

import json

import pytest
from tests.infra.recorder import Program

from penstock_backbone.inventory import INVENTORY
from penstock_infra.configuration import Configuration, ConfigurationError


def test_every_stream_mapping_tries_a_record_until_just_before_the_stream_forgets_it_and_reports_which_one_failed(
    program: Program,
) -> None:
    streams = [found for found in program.of_type("EventSourceMapping") if "startingPosition" in found.inputs]
    assert len(streams) == sum(len(consumer.tables) for consumer in INVENTORY.consumers)
    for mapping in streams:
        consumer = INVENTORY.consumer(
            next(
                consumer.name
                for consumer in INVENTORY.consumers
                if mapping.name in {f"{program.stack}-{consumer.name}-{table}" for table in consumer.tables}
            )
        )
        assert mapping.inputs["maximumRetryAttempts"] == -1, "an outage of the bus is no fault of a record"
        assert mapping.inputs["maximumRecordAgeInSeconds"] == 23 * 3600
        assert mapping.inputs["bisectBatchOnFunctionError"] is True
        assert mapping.inputs["batchSize"] == consumer.batch_records
        assert mapping.inputs["parallelizationFactor"] == 10


def test_every_mapping_reports_partial_failures(program: Program) -> None:
    for mapping in program.of_type("EventSourceMapping"):
        assert mapping.inputs["functionResponseTypes"] == ["ReportBatchItemFailures"]


def test_every_queue_has_a_dead_letter_queue_or_is_where_failures_end(program: Program) -> None:
    queues = {queue.inputs["name"]: queue.inputs for queue in program.of_type("Queue")}
    ends = {
        json.loads(found["redrivePolicy"])["deadLetterTargetArn"]
        for found in queues.values()
        if "redrivePolicy" in found
    }
    ends |= {
        found.inputs["destinationConfig"]["onFailure"]["destinationArn"]
        for found in program.of_type("EventSourceMapping")
        if "destinationConfig" in found.inputs
    }
    without = {name for name, found in queues.items() if "redrivePolicy" not in found}
    assert without == {end.rsplit(":", 1)[-1] for end in ends}


def test_the_bus_says_how_long_it_tries(program: Program) -> None:
    for target in program.of_type("EventTarget"):
        assert target.inputs["retryPolicy"] == {"maximumRetryAttempts": 185, "maximumEventAgeInSeconds": 86_400}


def test_dead_letters_are_kept_for_two_weeks(program: Program) -> None:
    for queue in INVENTORY.queues:
        name = queue.dlq if queue.dead_letter else queue.name
        assert program.one("Queue", name).inputs["messageRetentionSeconds"] == 14 * 24 * 3600


def test_logs_and_the_archive_are_not_kept_for_ever(program: Program) -> None:
    groups = program.of_type("LogGroup")
    assert len(groups) == len(program.of_type("Function")) + len(program.of_type("TaskDefinition"))
    assert all(0 < group.inputs["retentionInDays"] <= 90 for group in groups)
    assert 0 < program.one("EventArchive", "archive").inputs["retentionDays"] <= 30


def test_production_keeps_its_tables_and_its_bucket_whatever_is_asked(dev: Program, prod: Program) -> None:
    for table in INVENTORY.tables:
        kept = prod.one("Table", table.name)
        assert kept.protect
        assert kept.inputs["deletionProtectionEnabled"] is True
        assert not dev.one("Table", table.name).protect
    assert prod.one("Bucket", INVENTORY.bucket).protect
    assert prod.one("LoadBalancer", "api").inputs["enableDeletionProtection"] is True


def test_every_table_can_be_restored_and_is_encrypted(program: Program) -> None:
    for table in program.of_type("Table"):
        assert table.inputs["pointInTimeRecovery"] == {"enabled": True}
        assert table.inputs["serverSideEncryption"] == {"enabled": True}


def test_production_has_a_way_out_in_each_zone_and_two_tasks_of_each_service(dev: Program, prod: Program) -> None:
    assert (len(dev.of_type("NatGateway")), len(prod.of_type("NatGateway"))) == (1, 2)
    assert {target.inputs["minCapacity"] for target in prod.of_type("Target")} == {2}


def configuration(**changes: object) -> Configuration:
    settings: dict[str, object] = {"stack": "acme", "region": "eu-central-1", "production": False, "image_tag": "1"}
    return Configuration(**(settings | changes))  # type: ignore[arg-type]  # the point is what it refuses


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stack": "Acme_Dev"}, "lower-case"),
        ({"stack": "a-name-that-is-longer-than-it-may-be"}, "3 to 24"),
        ({"production": True}, "certificate"),
        ({"runner_tasks_max": 0}, "runnerTasksMax"),
        ({"api_client_cidrs": ("everybody",)}, "apiClientCidrs"),
        ({"allowed_origins": ("app.example.com",)}, "allowedOrigins .*as browsers name them"),
        ({"allowed_hosts": ("https://penstock.example.com",)}, "allowedHosts .*without a scheme and a port"),
        ({"model_url": "http://models:1/v1"}, "config set penstock:model NAME"),
        ({"model_key_secret": "arn:aws:secretsmanager:x"}, "config set penstock:model NAME"),
        ({"model": "gpt-4o"}, "penstock:modelUrl"),
        ({"model": "gpt-4o", "model_url": "models"}, "penstock:modelUrl"),
        ({"model": "bedrock:arn:aws:bedrock:eu-central-1:1:inference-profile/x"}, "no ARN"),
        ({"model": "bedrock:"}, "no ARN"),
        ({"sandbox": "maybe"}, "require or warn"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_in_words(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        configuration(**changes)
