"""What comes of one attempt of a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from penstock_backbone.records.results import StoredArtifact
from penstock_backbone.records.runs import MESSAGE_CHARS_MAX
from penstock_backbone.vocabulary import BlobRef
from penstock_runner.authoring import Stage
from penstock_runner.domain.raised import is_final, words_of
from penstock_runner.domain.wording import valid_text
from penstock_runner.ports import JobFailed

ERROR_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Succeeded:
    """`output` is the JSON text of the result; `stored` is what the run's item keeps of it."""

    output: bytes
    stored: str | BlobRef
    artifacts: tuple[StoredArtifact, ...]
    usage: dict[str, int] | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Failed:
    """`final`: trying again cannot help."""

    error: str
    message: str
    final: bool
    duration_ms: int
    usage: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Suspended:
    """The attempt goes on later, from its beginning. `waits`: the key of what it waits for; None: it was stopped at a
    checkpoint of its own."""

    waits: str | None


AttemptOutcome: TypeAlias = Succeeded | Failed | Suspended


class StageTimeout(Exception):
    """An attempt took longer than its stage allows."""


class StageCancelled(Exception):
    """Nobody stopped the run: something that the stage awaits was cancelled."""


def failed(
    error: BaseException,
    stage: Stage,
    redact: Callable[[str], str],
    duration_ms: int,
    usage: dict[str, int] | None = None,
) -> Failed:
    name, final = type(error).__name__, is_final(error, stage.final_errors)
    if isinstance(error, JobFailed):
        name, final = error.error, error.final
    message = redact(words_of(error)[: 8 * MESSAGE_CHARS_MAX])
    return Failed(
        error=name[:ERROR_CHARS_MAX],
        message=valid_text(message[:MESSAGE_CHARS_MAX]),
        final=final,
        duration_ms=duration_ms,
        usage=usage,
    )
