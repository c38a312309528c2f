"""The command `dovebeam replay`: exports the events of a time range of an archive again."""
