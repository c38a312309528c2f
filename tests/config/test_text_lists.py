"""The block NAME = VALUE of `http_post_headers`: forms, levels, references, and the driver that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dovebeam.transforms.config import make_driver
from dovebeam.transforms.drivers import HttpPostDriver
from support.config_text import accepted, messages, reading

_NAME = "event_exporter_http_post_headers"


def _exporter(body: str, outside: str = "") -> str:
    block = f"event_exporter x {{\n driver = http-post\n format = json\n http_post_url = http://h/\n {body}\n}}\n"
    return f"{outside}\n{block}metric a {{\n filter = event=*\n exporter = x\n}}\n"


@pytest.mark.parametrize(
    ("body", "outside", "pairs"),
    [
        ("", "", {}),
        ("http_post_headers {\n A = 1\n B-b = two words\n }", "", {"A": "1", "B-b": "two words"}),
        ('http_post_headers {\n "A" = " 1 "\n }', "", {"A": " 1 "}),
        ("http_post_headers {\n A = 1\n A = 2\n }", "", {"A": "2"}),
        ("http_post_headers/A = 1", "", {"A": "1"}),
        ("event_exporter_http_post_headers {\n A = 1\n }", "", {"A": "1"}),
        ("event_exporter_http_post {\n headers {\n A = 1\n }\n }", "", {"A": "1"}),
        ("http_post_headers {\n A = %{env:KEY}\n B = $ENV:KEY\n }", "", {"A": "from env", "B": "from env"}),
        ("http_post_headers {\n A = <key\n }", "", {"A": "from file"}),
        ("http_post_headers {\n A = x $SET:metric_description\n }", "metric_description = d", {"A": "x d"}),
        ("http_post_headers {\n A = 1\n }", f"{_NAME} {{\n A = 2\n B = 3\n }}", {"A": "1", "B": "3"}),
        ("", f"protocol stats {{\n {_NAME} {{\n A = 2\n }}\n }}", {"A": "2"}),
    ],
)
def test_pairs(tmp_path: Path, body: str, outside: str, pairs: Mapping[str, str]) -> None:
    """What a configuration says arrives in the settings and in the driver."""
    files = {"key": "from file"}
    config = accepted(tmp_path, _exporter(body, outside), files=files, environ={"KEY": "from env"})
    exporter = config.exporters["x"]
    assert exporter.settings[_NAME] == tuple(pairs.items())
    driver = make_driver(exporter)
    assert isinstance(driver, HttpPostDriver)
    assert {name: secret.reveal("x") for name, secret in driver.header_secrets} == pairs


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("http_post_headers = A", "'http_post_headers' is a block of lines NAME = VALUE"),
        ("http_post_headers x {\n A = 1\n }", "has no name"),
        ("http_post_headers {\n A {\n }\n }", "a list has lines"),
        ("http_post_headers {\n A = <missing\n }", "Can't open file"),
        ("http_post_headers {\n A = %{nosuch:x}\n }", "A: "),
    ],
)
def test_mistakes(tmp_path: Path, body: str, words: str) -> None:
    """Each is reported at its place."""
    (message,) = messages(reading(tmp_path, _exporter(body)))
    assert message.startswith("x.conf:")
    assert words in message
