"""The job `export`: events from files through a configuration to its exporters."""
