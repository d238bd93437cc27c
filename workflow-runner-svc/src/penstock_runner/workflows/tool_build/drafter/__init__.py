"""What the offline drafter writes for tool_build."""
