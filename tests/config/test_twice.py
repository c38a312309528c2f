"""A setting that a block has twice is a warning; overriding it elsewhere is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_text import messages, reading, warnings

HEAD = "event_exporter x {\n format = json\n driver = log\n"
METRIC = "metric m {\n filter = event=x\n exporter = x\n}\n"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (HEAD + " driver = drop\n}\n", 6),
        (HEAD + " event_exporter_driver = drop\n}\n", 6),
        (HEAD + " http_post_auth_token = a\n http_post_auth_token = b\n}\n", 7),
        (HEAD + "}\nevent_exporter x {\n driver = drop\n}\n", 0),
        (HEAD + " file_path = /a\n}\nevent_exporter y {\n format = json\n driver = drop\n}\n", 0),
        ("event_exporter_driver = log\nevent_exporter_driver = drop\n" + HEAD + "}\n", 0),
        (HEAD + "}\nmetric n {\n filter = event=x\n description = a\n description = $SET:metric_description b\n}\n", 0),
        (HEAD + " !include part\n driver = drop\n}\n", 6 + 1),
        (HEAD + " !include part\n}\n", 0),
    ],
)
def test_twice(tmp_path: Path, body: str, line: int) -> None:
    """In one block of one file; not over files, blocks that are opened again, or a value that goes on with its own."""
    found = reading(tmp_path, body + METRIC, files={"part": "driver = drop\n"})
    assert messages(found) == []
    told = [problem.line for problem in found.report.problems(fatal=False) if "second time" in problem.message]
    assert told == ([line] if line else []), warnings(found)
