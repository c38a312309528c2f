"""What is known of a job before it starts: its name, input and outputs, its exporters, their drivers and secrets."""
