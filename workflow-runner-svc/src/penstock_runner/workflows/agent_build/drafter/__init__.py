"""The offline drafter: makes a small but real agent package from a requirement in any language, without a model."""
