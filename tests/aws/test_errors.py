"""Every error of boto3 is sorted by what the caller does next."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)

from penstock_backbone.aws.errors import (
    Absent,
    AlreadyThere,
    ConditionFalse,
    InConflict,
    IteratorExpired,
    Throttled,
    TransactionCancelled,
    Trimmed,
    sort_error,
)
from penstock_backbone.errors import BackboneError, Fatal, Invalid, Retryable, TooLarge

PLACE = "http://127.0.0.1:4566"


def answered(code: str, message: str = "", status: int = 400, **more: Any) -> BackboneError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return sort_error(ClientError(response, "PutItem"), "dynamodb put_item", PLACE)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url=PLACE),
        ConnectTimeoutError(endpoint_url=PLACE),
        ReadTimeoutError(endpoint_url=PLACE),
        ConnectionClosedError(endpoint_url=PLACE),
    ],
)
def test_no_answer_may_be_tried_again_and_names_the_place(error: BotoCoreError) -> None:
    found = sort_error(error, "dynamodb put_item", PLACE)
    assert type(found) is Retryable
    assert PLACE in str(found)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ProvisionedThroughputExceededException", Throttled),
        ("ThrottlingException", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("SlowDown", Throttled),
        ("TransactionConflictException", InConflict),
        ("TransactionInProgressException", InConflict),
        ("ConditionalRequestConflict", InConflict),
        ("ResourceNotFoundException", Absent),
        ("AWS.SimpleQueueService.NonExistentQueue", Absent),
        ("NoSuchKey", Absent),
        ("RequestTimeout", Retryable),
        ("PriorRequestNotComplete", Retryable),
        ("ResourceInUseException", AlreadyThere),
        ("PreconditionFailed", AlreadyThere),
        ("TrimmedDataAccessException", Trimmed),
        ("ExpiredIteratorException", IteratorExpired),
        ("ItemCollectionSizeLimitExceededException", TooLarge),
        ("SomethingNew", Fatal),
    ],
)
def test_a_code_is_sorted_by_what_to_do_next(code: str, kind: type[BackboneError]) -> None:
    assert type(answered(code)) is kind


@pytest.mark.parametrize("code", ["InternalServerError", "ServiceUnavailable", "500", "SomethingNew"])
def test_a_failure_inside_aws_may_be_tried_again(code: str) -> None:
    assert type(answered(code, status=500)) is Retryable


@pytest.mark.parametrize(
    "message",
    [
        "Item size has exceeded the maximum allowed size",
        "Item size to update has exceeded the maximum allowed size",
        "Member must have length less than or equal to the size limit: request too large, size limit exceeded",
        "Transaction request exceeds the 4 MB limit",
    ],
)
def test_a_validation_about_size_is_too_large(message: str) -> None:
    assert type(answered("ValidationException", message)) is TooLarge


@pytest.mark.parametrize(
    "message",
    [
        "The document path provided in the update expression is invalid for update",
        "Nesting Levels have exceeded supported limits",
        "Transaction request cannot include multiple operations on one item",
    ],
)
def test_any_other_validation_is_a_wrong_call(message: str) -> None:
    assert type(answered("ValidationException", message)) is Invalid


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"])
def test_missing_rights_say_what_was_not_permitted_and_what_to_do(code: str) -> None:
    found = answered(code, "not authorized to perform dynamodb:PutItem", status=403)
    assert type(found) is Fatal
    assert "dynamodb put_item is not permitted" in str(found)
    assert "role" in str(found)


def test_a_false_condition_carries_what_stood_there() -> None:
    found = answered("ConditionalCheckFailedException", Item={"pk": {"S": "a"}})
    assert isinstance(found, ConditionFalse)
    assert found.item == {"pk": {"S": "a"}}


def test_a_cancelled_transaction_carries_its_reasons() -> None:
    found = answered("TransactionCanceledException", CancellationReasons=[{"Code": "None"}])
    assert isinstance(found, TransactionCancelled)
    assert found.reasons == [{"Code": "None"}]


@pytest.mark.parametrize("error", [NoCredentialsError(), NoRegionError()])
def test_a_machine_that_is_not_set_up_is_told_so_in_one_sentence(error: BotoCoreError) -> None:
    found = sort_error(error, "dynamodb put_item", PLACE)
    assert type(found) is Fatal
    assert "\n" not in str(found)


def test_a_call_that_botocore_refuses_is_wrong() -> None:
    assert type(sort_error(ParamValidationError(report="x"), "dynamodb put_item", PLACE)) is Invalid


def test_what_nobody_foresaw_is_not_repeated() -> None:
    assert type(sort_error(socket.gaierror("?"), "dynamodb put_item", PLACE)) is Fatal
