"""The REST API of Penstock, with push."""

VERSION = "0.1.0"
"""As in pyproject.toml; the images hold no distribution that could be asked."""
