"""Code that mypy must refuse, line by line: if it does not, the types of dovebeam do not reach those who use it."""

from typing import assert_type

from dovebeam.transforms import Event, ExportEvents, event_to_row, load_config, parse_filter
from dovebeam.transforms.testing import sample_event


def mistakes(event: Event) -> None:
    """One error in each line."""
    assert_type(load_config("dovecot.conf"), str)
    assert_type(parse_filter("event=a").matches(event), int)
    assert_type(event_to_row(event).name, str)
    ExportEvents("dovecot.conf")
    _ = event.nonsense
    sample_event(duration=1.5)
