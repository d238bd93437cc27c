"""The embedded engine's semantics in memory: for tests, and for the simulation."""

from penstock_backbone.memory.engine import MemoryEngine

__all__ = ["MemoryEngine"]
