"""What ties the orchestrator to one particular surrounding."""
