"""The processes that do the work of a job on this machine: how they start, how they are watched, how they end."""
