"""The ports over AWS (or an emulator of it), by boto3."""
