"""The account of a job: from counters to a ledger that must add up, and from there to an exit code."""
