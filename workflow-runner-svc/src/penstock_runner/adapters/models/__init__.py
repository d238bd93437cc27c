"""Clients of language models' services, one a protocol."""
