"""The contract other teams install: the envelope, the facts, and the codec. Needs pydantic only."""
