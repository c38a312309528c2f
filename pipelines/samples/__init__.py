"""Sample events and a configuration for `dovebeam demo`."""
