"""agent_update: five stages that change an agent package as a request in any language asks for, and prove it again."""
