"""Pure decisions of the API: what a request may say, and how items look from outside."""
