"""`penstock load`: a workload that somebody observed, replayed through the real system, and what became of it."""
