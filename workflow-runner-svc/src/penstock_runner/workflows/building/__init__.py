"""What the workflows that build Python packages share: who drafts, how packages are put together, checked and proved."""
