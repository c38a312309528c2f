"""Rejects of events that came in messages: their message stays known until the end, and their key with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.pipelines.running.in_process import make_in_process_runner
from dovebeam.transforms.config import load_config
from dovebeam.transforms.drivers import Batch, Connection, Driver, Failure, FileDriver
from dovebeam.transforms.export_events import ExportEvents
from dovebeam.transforms.plan.export_plan import make_plan
from dovebeam.transforms.sources import message_place
from dovebeam.transforms.sources.pubsub import Pulled, blocks_of
from support.jobs.commands import exporter, metric, write_config

SUBSCRIPTION = "projects/project/subscriptions/events"
TEXTS = [b'{"event":"a"}', b'{"event":"bad"}', b'{"event":"a"}\n{"event":"bad"}', b'{"event":"other"}']


@dataclass(frozen=True)
class RefusingDriver(Driver):
    """Refuses events that are called bad."""

    name: ClassVar[Any] = "drop"

    @property
    def endpoint(self) -> str:
        """Nowhere."""
        return "nowhere"

    def open(self) -> Connection:
        """A connection that refuses."""
        return _RefusingConnection()


class _RefusingConnection(Connection):
    def deliver(self, batch: Batch) -> list[Failure]:
        return [Failure(index, "refused") for index, payload in enumerate(batch.payloads) if b"bad" in payload]


def messages(*payloads: bytes, delivery: str = "1") -> list[Pulled]:
    """Messages m0, m1 ...; the service names each delivery of them otherwise."""
    return [Pulled(f"{delivery}-{n}", f"m{n}", data, 0, "", (("host", "a"),)) for n, data in enumerate(payloads)]


def config_of(folder: Path, *settings: str) -> Any:
    """All events but those called other go to one exporter of files."""
    write_config(folder, exporter("x", "file", "json", *settings), metric("m", "event=a OR event=bad", "x"))
    return load_config([folder / "dovecot.conf"])


def rejects_of(config: Any, drivers: dict[str, Any], *expected: tuple[Any, ...]) -> None:
    """Checks stage, place and attributes of all rejects of an export of `TEXTS`."""
    options = PipelineOptions([])
    with beam.Pipeline(runner=make_in_process_runner(options), options=options) as pipeline:
        with ErrorHandler(beam.Map(_told)) as handler:
            blocks = pipeline | beam.Create(list(blocks_of(messages(*TEXTS), SUBSCRIPTION)), reshuffle=False)
            _ = blocks | ExportEvents(config, drivers=drivers).with_error_handler(handler)
        assert_that(handler.output(), equal_to(list(expected)))


def _told(reject: Any) -> tuple[Any, ...]:
    attributes = {each.key: each.value for each in reject.attributes}
    return reject.stage, reject.source_uri, reject.source_offset, attributes["message_id"], attributes["host"]


def test_delivery_that_was_refused(tmp_path: Path) -> None:
    """The reject has the attributes of its event's message, and the place of its line."""
    config = config_of(tmp_path, f"file_path = {tmp_path / 'out'}")
    rejects_of(
        config,
        {"x": RefusingDriver()},
        ("deliver", SUBSCRIPTION, message_place("m1"), "m1", "a"),
        ("deliver", SUBSCRIPTION, message_place("m2") + 14, "m2", "a"),
    )


def test_event_without_a_place(tmp_path: Path) -> None:
    """So has an event for which its exporter knows no file."""
    config = config_of(tmp_path, f"file_path = {tmp_path / 'out'}")
    driver = FileDriver(str(tmp_path / "out"), file_path_template="{user}.json", file_missing_field="reject")
    places = [("m0", 0), ("m1", 0), ("m2", 0), ("m2", 14)]
    rejects_of(
        config,
        {"x": driver},
        *(("route", SUBSCRIPTION, message_place(name) + offset, name, "a") for name, offset in places),
    )


@pytest.mark.parametrize("whole", [False, True])
def test_places_are_those_of_messages(tmp_path: Path, whole: bool) -> None:
    """Whatever company a message comes in, and however often, its lines have the same places; decoded whole or not."""
    plan = make_plan(config_of(tmp_path, f"file_path = {tmp_path / 'out'}"))
    plan._glimpsing = not whole
    (together,) = blocks_of(messages(*TEXTS, b'{"event":"other"}', b'{"event":"other"}'), SUBSCRIPTION)
    (later,) = blocks_of(messages(*TEXTS, delivery="2")[2:3], SUBSCRIPTION)
    m0, m1, m2 = (message_place(f"m{number}") for number in range(3))
    assert plan.export_block(together).batches["x"].offsets == [m0, m1, m2, m2 + 14]
    plan._glimpsing = not whole
    assert plan.export_block(later).batches["x"].offsets == [m2, m2 + 14]


def test_blank_messages_are_never_passed_over(tmp_path: Path) -> None:
    """Nor where lines are only glanced at."""
    plan = make_plan(config_of(tmp_path, f"file_path = {tmp_path / 'out'}"))
    (block,) = blocks_of(messages(b"", b" \n"), SUBSCRIPTION)
    outcome = plan.export_block(block)
    assert (outcome.read, len(outcome.rejects)) == (2, 2)
