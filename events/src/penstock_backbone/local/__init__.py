"""The semantics that the in-memory and the embedded engine share: conditions, sizes, queues, routing. No I/O."""
