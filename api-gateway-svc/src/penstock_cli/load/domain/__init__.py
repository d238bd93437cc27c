"""What a trace says, when its runs are due, and what the measured times mean."""
