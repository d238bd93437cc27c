"""The envelope every event travels in: `detail = {metadata, data}`."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

EVENT_BYTES_MAX = 64 * 1024
"""EventBridge bills in steps of 64 KB; larger payloads travel by reference."""


class Metadata(BaseModel):
    """Who, when, where in the story.

    `sequence` counts the facts of a run's story from 1 (ProjectCreated) without gaps: order by it, never by time.
    `event_id` is the same for every delivery of the same fact: drop what you have seen.
    `cause_id` is the event that led to this one. `traceparent` is W3C trace context.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    event_id: str
    type: str
    version: int = Field(ge=1)
    tenant: str
    project_id: str
    run_id: str
    sequence: int = Field(ge=1)
    occurred_at: datetime
    cause_id: str | None = None
    traceparent: str | None = None


def event_id(run_id: str, sequence: int) -> str:
    """Derived, so that publishing the same fact twice gives the same id."""
    return f"{run_id}:{sequence}"
