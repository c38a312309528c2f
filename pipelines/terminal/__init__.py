"""What a person or a scheduler sees of a command: its log, its tables, its progress, its exit code."""
