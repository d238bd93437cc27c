"""Load, decide, save: what each request does through the ports."""
