"""Blocking stages in worker processes that are kept warm and can be killed."""
