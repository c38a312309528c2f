"""The command `dovebeam archive`: writes events from files into Avro files by the hour, the source of replays."""
