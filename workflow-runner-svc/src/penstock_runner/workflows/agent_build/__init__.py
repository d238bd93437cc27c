"""agent_build: nine stages that turn a requirement in any language into a small tested agent package."""
