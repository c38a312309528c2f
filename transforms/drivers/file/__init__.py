"""What the `file` driver is made of: names, path templates, and files that are appended to."""
