"""Messages grouped into the batches that SQS and EventBridge take, and their answers put back in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from penstock_backbone.errors import Retryable
from penstock_backbone.vocabulary import NotNow


class Sized(NamedTuple):
    """A message by its place in the caller's list."""

    place: int
    bytes: int


def batches(messages: Iterable[Sized], *, count_max: int, bytes_max: int) -> list[list[int]]:
    """Places, in order; each group within both limits. A message over `bytes_max` must not come here."""
    groups: list[list[int]] = []
    size = 0
    for message in messages:
        if not groups or len(groups[-1]) >= count_max or size + message.bytes > bytes_max:
            groups.append([])
            size = 0
        groups[-1].append(message.place)
        size += message.bytes
    return groups


def answers(
    groups: Sequence[Sequence[int]], results: Sequence[list[str | None] | BaseException]
) -> Iterator[tuple[int, str | None]]:
    """Each place with its answer. A group whose call failed gives the reason to each of its messages, as
    one that passes, unless every group failed: then the first error is raised, so that an outage looks like one.
    """
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if len(failures) == len(results) or not isinstance(failure, Retryable):
            raise failure
    for group, result in zip(groups, results, strict=True):
        if isinstance(result, BaseException):
            yield from ((place, NotNow(result)) for place in group)
        else:
            yield from zip(group, result, strict=True)
