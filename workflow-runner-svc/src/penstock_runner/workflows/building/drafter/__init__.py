"""The offline drafter: makes small but real packages from requirements in any language, without a model."""
