"""The command `dovebeam export`: exports events from files as a configuration says."""
