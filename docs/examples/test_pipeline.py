"""The test of pipeline.py: `python -m unittest`."""

import unittest

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to
from pipeline import CountByCommand

from dovebeam.transforms import make_event


class CountByCommandTest(unittest.TestCase):
    """Counts of made-up events."""

    def test_counts(self):
        """Commands are counted by name, other events are not."""
        finished = "imap_command_finished"
        events = [make_event(finished, fields={"cmd_name": name}) for name in ("FETCH", "NOOP", "FETCH")]
        events.append(make_event("imap_client_started", fields={"user": "ann"}))
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            counts = pipeline | beam.Create(events) | CountByCommand()
            assert_that(counts, equal_to(["FETCH\t2", "NOOP\t1"]))
