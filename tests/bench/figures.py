"""Numbers that the workflows and those who measure them share."""

STAGES = 7
STAGE_SECONDS = 0.02
