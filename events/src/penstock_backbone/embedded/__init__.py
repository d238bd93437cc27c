"""One machine's engine: a store process over one SQLite file, reached through a Unix socket."""

from penstock_backbone.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
