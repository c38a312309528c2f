"""What `dovebeam check` finds and says of a configuration."""
