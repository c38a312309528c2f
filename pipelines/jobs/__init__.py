"""What is known of one job before it starts: its name, its input, its exporters, their drivers and credentials."""
