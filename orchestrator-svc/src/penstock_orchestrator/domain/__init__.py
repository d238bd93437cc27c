"""What the orchestrator decides, as pure functions and plain state: no waiting, no clock, no chance."""
