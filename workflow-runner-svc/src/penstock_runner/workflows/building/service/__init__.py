"""Documents drafted by a language model's service: prompts, structured answers, repair, retries, and what they cost."""
