"""Every format vector: the bytes that a real Dovecot exported for an event, a metric and an exporter."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from dovebeam.transforms.formats import LOG_MAX_STRING_BYTES, Formatter, make_formatter
from support.oracle.report import Report, left_out
from support.oracle.vectors import build_event, expected_bytes, find_vectors, read_vectors, vectors_folder


def formatter_of(vector: dict[str, Any]) -> Formatter:
    """The formatter of the vector's metric and exporter."""
    exporter, metric = vector["exporter"], vector["metric"]
    return make_formatter(
        exporter["format"],
        time_format=exporter["time_format"],
        include=metric["exporter_include"],
        fields=metric["fields"],
        max_string_bytes=LOG_MAX_STRING_BYTES if exporter["driver"] == "log" else None,
    )


@pytest.mark.parametrize("way", ["as made", "pickled"])
def test_format_agrees_with_dovecot(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Formatters write the bytes that Dovecot writes, also after they crossed a process."""
    path = find_vectors("format")
    with capsys.disabled():
        if path is None:
            left_out("format", vectors_folder())
            return
        report = Report(path)
        for vector in read_vectors(path):
            formatter = formatter_of(vector)
            if way == "pickled":
                formatter = pickle.loads(pickle.dumps(formatter))
            got = formatter.format(build_event(vector["event"]))
            report.check(f"[{way}] {json.dumps(vector)}", expected=expected_bytes(vector), got=got)
        report.finish()
