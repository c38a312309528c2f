"""Counts IMAP commands by name: `python pipeline.py events.json counts.txt`."""

import sys

import apache_beam as beam

from dovebeam.transforms import DecodeEvents, MatchMetric


class CountByCommand(beam.PTransform):
    """Events to lines `COMMAND<TAB>COUNT`."""

    def expand(self, events):
        """Adds the steps."""
        return (
            events
            | MatchMetric("event=imap_command_finished")
            | beam.Map(lambda event: (str(event.get("cmd_name")), 1))
            | beam.CombinePerKey(sum)
            | beam.MapTuple(lambda command, count: f"{command}\t{count}")
        )


def main(source, target):
    """Runs the pipeline on a file of events."""
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        events = pipeline | beam.io.ReadFromText(source) | DecodeEvents()
        _ = events | CountByCommand() | beam.io.WriteToText(target, shard_name_template="")


if __name__ == "__main__":
    main(*sys.argv[1:])
