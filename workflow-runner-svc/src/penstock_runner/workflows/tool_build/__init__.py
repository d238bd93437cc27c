"""tool_build: six stages that turn a requirement in any language into a small tested tool, for people and for agents."""
