"""Traces: one tracer a service, passed around as an argument, and a bounded local store for those without a collector."""

from penstock_backbone.telemetry.span_store import SpanStore
from penstock_backbone.telemetry.tracing import Telemetry, context_from, current_traceparent, parent_of, silent, start

__all__ = ["SpanStore", "Telemetry", "context_from", "current_traceparent", "parent_of", "silent", "start"]
