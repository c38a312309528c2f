"""The command `dovebeam replay`: re-exports a time range of an archive."""
