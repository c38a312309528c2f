"""Suggestions: near misses are found, real names of Dovecot are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.config.known_names import is_other_part, near_miss
from dovebeam.transforms.config.settings import BLOCKS, PLAIN_BLOCKS, SETTINGS

DOVECOT_NAMES = (Path(__file__).parent / "dovecot_names.txt").read_text("utf-8").split()
OURS = {*SETTINGS, *BLOCKS, *PLAIN_BLOCKS}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("drivr", "driver"),
        ("driver", "driver"),
        ("Driver", "driver"),
        ("dirver", "driver"),
        ("formt", "format"),
        ("time-format", "time_format"),
        ("xxx", ""),
        ("", ""),
        ("d" * 1000, ""),
        ("bas", "base"),
        ("bs", ""),
        ("fromat", "format"),
        ("formats", "format"),
        ("fornat", "format"),
        ("form", ""),
        ("tme_fromat", ""),
        ("driver_of", ""),
    ],
)
def test_near_miss(name: str, expected: str) -> None:
    """One edit, or in long names what leaves nine tenths alike."""
    assert near_miss(name, ("driver", "format", "time_format", "base")) == expected


def test_real_settings_are_known() -> None:
    """Every setting that Dovecot documents is ours or belongs to another part."""
    unknown = [name for name in DOVECOT_NAMES if name not in OURS and not is_other_part(name)]
    assert unknown == []


def test_our_names_are_not_those_of_other_parts() -> None:
    """A misspelt setting of ours is never silently taken for one of another part."""
    assert [name for name in OURS if is_other_part(name) and not name.startswith("ssl_")] == []


def test_real_settings_are_no_near_misses() -> None:
    """No documented setting of another part looks like one of ours, neither the full names nor the short ones."""
    short = {name.removeprefix("event_exporter_") for name in SETTINGS} | {n.removeprefix("metric_") for n in SETTINGS}
    known = sorted(OURS | short)
    hit = {name: near_miss(name, known) for name in DOVECOT_NAMES if name not in OURS}
    assert {name: meant for name, meant in hit.items() if meant} == {}


@given(st.sampled_from(sorted(SETTINGS)), st.data())
def test_one_typing_error_is_always_found(name: str, data: st.DataObject) -> None:
    """Leaving out one letter of a full name leads back to a known name."""
    at = data.draw(st.integers(0, len(name) - 1))
    assert near_miss(name[:at] + name[at + 1 :], SETTINGS)
