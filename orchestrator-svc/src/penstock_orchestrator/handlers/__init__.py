"""Load, decide, save: one background duty a file, each of its turns callable by itself."""
