"""What the offline drafter writes for agent_update."""
