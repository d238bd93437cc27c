"""`penstock demo`: what a frontend does on a busy morning, in one command."""
