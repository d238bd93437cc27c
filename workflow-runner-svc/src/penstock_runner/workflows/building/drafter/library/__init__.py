"""An agent that answers requests with its own tools; README.md says what it was made for."""

from .agent import Agent, Answer, load

__all__ = ["Agent", "Answer", "load"]
