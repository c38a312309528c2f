"""The job `archive`: events from files into Avro files by the hour, from which replays are made."""
