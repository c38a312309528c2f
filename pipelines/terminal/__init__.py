"""Output of a command for people and schedulers: log, tables, progress bar and exit code."""
