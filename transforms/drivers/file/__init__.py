"""The `file` driver: its settings, path templates, names, and files that are appended to."""
