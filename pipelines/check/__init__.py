"""The command `dovebeam check`: validates a configuration and tries it on sample events, without Beam."""
