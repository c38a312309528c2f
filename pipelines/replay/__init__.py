"""The job `replay`: events of a time range out of an archive, exported again."""
