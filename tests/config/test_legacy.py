"""Dovecot 2.3: every old name is an error that shows the lines of 2.4."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config.legacy import group_by_lines
from dovebeam.transforms.filters import parse_filter
from support.config_text import accepted, messages, reading

GROUP_BY = """group_by cmd_name {
}
group_by duration {
  method exponential {
    min_magnitude = 1
    max_magnitude = 5
    base = 10
  }
}
group_by size {
  method linear {
    min = 0
    max = 1000
    step = 100
  }
}"""


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("transport = log", "driver = log"),
        ("transport = http-post", "driver = http-post"),
        ("event_exporter_transport = drop", "driver = drop"),
        ("transport_args = https://h/p", "http_post_url = URL"),
        ("transport_timeout = 250 msecs", "http_client_request_absolute_timeout = 250 msecs"),
        ("format_args = time-rfc3339", "time_format = rfc3339"),
        ("format_args = time-unix", "time_format = unix"),
    ],
)
def test_exporter_settings(tmp_path: Path, line: str, lines: str) -> None:
    """What to write in an event_exporter."""
    found = reading(tmp_path, f"event_exporter x {{\n  format = json\n  {line}\n}}\n")
    (message,) = messages(found)
    assert message.startswith("x.conf:5:3: ")
    assert message.endswith(f":\n{lines}")


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("event_name = imap_command_finished", "filter = event=imap_command_finished"),
        ('event_name = "a b"', 'filter = event="a b"'),
        ("event_name = and", 'filter = event="and"'),
        ("source_location = file.c:12", "filter = source_location=file.c:12"),
        ("categories = imap storage", "filter = category=imap AND category=storage"),
        ("metric_categories = x\\y", 'filter = category="x\\\\y"'),
    ],
)
def test_selectors(tmp_path: Path, line: str, lines: str) -> None:
    """The old selectors are parts of the filter, whose absence isn't reported again."""
    found = reading(tmp_path, f"metric x {{\n  {line}\n}}\n")
    (message,) = messages(found)
    assert message.endswith(f"\nwrite instead:\n{lines}")


def test_filter_section(tmp_path: Path) -> None:
    """2.3.11 had filter sections."""
    (message,) = messages(reading(tmp_path, "metric x {\n  filter {\n    user = a*\n  }\n}\n"))
    assert "'filter' is a setting, not a block" in message
    assert message.endswith("\nwrite instead:\nfilter = user=a*")
    (message,) = messages(reading(tmp_path, "metric x {\n  filter {\n  }\n}\n"))
    assert 'filter = KEY="VALUE"' in message


def test_selectors_of_one_metric(tmp_path: Path) -> None:
    """All parts together are one line with the values of the file, shown with each of them."""
    body = (
        'metric x {\n event_name = a\n filter {\n  user = a b*\n  "x y" = c"d\n  size =\n }\n categories = p q\n}\n'
        "metric y {\n filter = event=a OR event=b\n source_location = x.c:1\n}\n"
    )
    found = messages(reading(tmp_path, body))
    line = 'filter = event=a AND user="a b*" AND "x y"="c\\"d" AND size="" AND category=p AND category=q'
    assert [text.rpartition("\n")[2] for text in found[:3]] == [line] * 3
    assert parse_filter(line.removeprefix("filter = "))
    assert found[3].endswith("write instead of all of them:\nfilter = (event=a OR event=b) AND source_location=x.c:1")


def test_group_by_lines(tmp_path: Path) -> None:
    """The blocks that replace an old value are a valid configuration."""
    assert group_by_lines("cmd_name duration:exponential:1:5:10 size:linear:0:1000:100") == GROUP_BY
    config = accepted(tmp_path, f"metric a {{\nfilter = a=b\n{GROUP_BY}\n}}\n")
    assert [group.field for group in config.metrics[0].group_by] == ["cmd_name", "duration", "size"]
    (message,) = messages(
        reading(tmp_path, "metric a {\n filter = a=b\n group_by = x:discrete a:exponential:1:5:10\n}\n")
    )
    assert message.endswith("write instead:\n" + group_by_lines("x a:exponential:1:5:10"))
    assert group_by_lines(":exponential") == "group_by  {\n  method exponential {\n  }\n}"


def test_a_whole_old_configuration(tmp_path: Path) -> None:
    """Without versions it is a 2.3 configuration, which is said first; what follows is still looked at."""
    body = (
        "mail_location = maildir:~/\nplugin {\n quota = x\n}\nevent_exporter x {\n transport = log\n format = json\n}\n"
    )
    found = messages(reading(tmp_path, body, versions=False))
    assert len(found) == 4
    assert "Dovecot 2.3 configuration" in found[0]
    assert "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0" in found[0]
    assert "mail_path" in found[1]
    assert "plugin" in found[2]
    assert "driver = log" in found[3]
