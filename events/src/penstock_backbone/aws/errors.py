"""The one place that sorts boto3's errors, by what the caller does next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own name
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from penstock_backbone.errors import BackboneError, Fatal, Invalid, Retryable, TooLarge


class Throttled(Retryable):
    """Asked too fast, after the SDK's own retries. Nothing was applied."""


class InConflict(Retryable):
    """A transaction held the item at that moment. Nothing was applied."""


class ConditionFalse(BackboneError):
    """`item` is what stood there in DynamoDB's typed form, None when nothing did. Nothing was applied."""

    def __init__(self, item: dict[str, Any] | None) -> None:
        super().__init__("the condition was false")
        self.item = item


class TransactionCancelled(BackboneError):
    """`reasons` as DynamoDB gives them, one a part: {"Code", "Message", "Item"}. Nothing was applied."""

    def __init__(self, reasons: Sequence[dict[str, Any]]) -> None:
        super().__init__("the transaction was cancelled")
        self.reasons = reasons


class Absent(Fatal):
    """No such table, queue, bucket, file or stream."""


class AlreadyThere(BackboneError):
    """Something of this name exists: of interest to the provisioner and to write-once files."""


class Trimmed(BackboneError):
    """The stream no longer holds that record."""


class IteratorExpired(BackboneError):
    """A stream's iterator lives 15 minutes (or its stream was closed)."""


_THROTTLES = frozenset({
    "BandwidthLimitExceeded", "LimitExceededException", "OverLimit", "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled",
    "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling", "ThrottlingError",
    "ThrottlingException", "TooManyRequestsException",
})  # fmt: skip
_CONFLICTS = frozenset({
    "ConditionalRequestConflict", "OperationAborted", "TransactionConflict", "TransactionConflictException",
    "TransactionInProgressException", "ReplicatedWriteConflictException",
})  # fmt: skip
_BROKEN_OFF = frozenset({"PriorRequestNotComplete", "RequestTimeout", "RequestTimeoutException"})
"""Answered with status 400, though nothing is wrong with the request: it came too slowly, or before another was done."""
_DENIALS = frozenset({
    "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "ExpiredTokenException",
    "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException",
    "KMSAccessDeniedException", "KmsAccessDenied", "MissingAuthenticationToken",
    "MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
})  # fmt: skip
_ABSENCES = frozenset({
    "404", "AWS.SimpleQueueService.NonExistentQueue", "NoSuchBucket", "NoSuchKey", "NotFound",
    "QueueDoesNotExist", "ResourceNotFound", "ResourceNotFoundException",
})  # fmt: skip
_PRESENCES = frozenset({
    "412", "BucketAlreadyOwnedByYou", "PreconditionFailed", "ResourceAlreadyExistsException", "ResourceInUseException",
})  # fmt: skip
_SIZES = frozenset({
    "413", "AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong", "EntityTooLarge",
    "ItemCollectionSizeLimitExceeded", "ItemCollectionSizeLimitExceededException", "RequestEntityTooLarge",
})  # fmt: skip
_VALIDATIONS = frozenset({
    "InvalidMessageContents", "InvalidParameterValue", "SerializationException", "ValidationError",
    "ValidationException",
})  # fmt: skip
_SIZE_MESSAGE = re.compile(r"size.{0,60}(exceed|too large|limit)|exceed.{0,60}(size|\bMB\b|\bKB\b)", re.IGNORECASE)


def sort_error(error: Exception, doing: str, place: str) -> BackboneError:
    """`doing` names the call ("dynamodb put_item"), `place` where it went (an endpoint or a region)."""
    match error:
        case ClientError():
            return _sort_answer(error, doing, place)
        case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError() | TokenRetrievalError():
            return Fatal(f"no usable AWS credentials were found ({error}): sign in, or give this process a role")
        case NoRegionError():
            return Fatal("no AWS region is set: set AWS_REGION, for example AWS_REGION=eu-central-1")
        case ParamValidationError():
            return Invalid(f"{doing} was called wrongly: {error}")
        case ConnectionError() | HTTPClientError() | IncompleteReadError() | ResponseParserError():
            return Retryable(f"{doing} got no answer from {place} ({type(error).__name__}): try again")
        case BotoCoreError():
            return Fatal(f"{doing} failed before it was sent: {error}")
        case _:
            return Fatal(f"{doing} failed unexpectedly ({type(error).__name__}: {error}): please report this")


def sort_code(code: str, message: str, doing: str) -> BackboneError:
    """An error code from a response, or from one entry of a batch's response."""
    if code in _THROTTLES:
        return Throttled(f"{doing} was throttled ({code}): try again more slowly")
    if code in _CONFLICTS:
        return InConflict(f"{doing} met a transaction on the same item: try again")
    if code in _DENIALS:
        return Fatal(f"{doing} is not permitted ({code}: {message}): give this process a role that may do it")
    if code in _ABSENCES:
        return Absent(f"{doing} found nothing under that name ({message or code}): check the stack's name and region")
    if code in _PRESENCES:
        return AlreadyThere(f"{doing}: {message or code}")
    if code == "TrimmedDataAccessException":
        return Trimmed(message)
    if code == "ExpiredIteratorException":
        return IteratorExpired(message)
    if code in _SIZES or (code in _VALIDATIONS and _SIZE_MESSAGE.search(message)):
        return TooLarge(f"{doing} was refused for its size: {message or code}")
    if code in _VALIDATIONS:
        return Invalid(f"{doing} was refused as wrong: {message}")
    return Fatal(f"{doing} was refused ({code}: {message})")


def _sort_answer(error: ClientError, doing: str, place: str) -> BackboneError:
    answer: Any = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    message = str(answer.get("Error", {}).get("Message", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "ConditionalCheckFailedException":
        return ConditionFalse(answer.get("Item") or None)
    if code == "TransactionCanceledException":
        return TransactionCancelled(answer.get("CancellationReasons") or [])
    known = sort_code(code, message, doing)
    if type(known) is Fatal and code not in _DENIALS and (status >= 500 or code in _BROKEN_OFF):
        return Retryable(f"{doing} failed inside {place} ({code}): try again")
    return known
