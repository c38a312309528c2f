"""The compact examples of Dovecot's configuration language, each with what a real Dovecot made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config.model import Config
from support.config_text import accepted, dovecot_errors, metric, reading

LOG = "event_exporter x {\n  driver = log\n  format = json\n%s}\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("metric a {\n filter=event=x\n}\n", "event=x"),
        ("metric a {\n metric_filter = event=a\n filter = event=b\n}\n", "event=b"),
        ("metric a {\n filter = event=a \\ # c1\n   AND b=c # c2\n}\n", "event=a AND b=c"),
        ("metric a {\n filter = event=a # AND b=c \\\n description = x\n}\n", "event=a"),
        ("metric a {\n filter = 'event=a AND b=\"x y\"'\n}\n", 'event=a AND b="x y"'),
        ('metric a {\n filter = "event=a AND b=\\"x y\\""\n}\n', 'event=a AND b="x y"'),
        ('metric a {\n filter = "x y"=1 AND b=z\n}\n', '"x y"=1 AND b=z'),
        ("metric a {\n filter = event=a AND b=x#y\n}\n", "event=a AND b=x"),
        ('metric a {\n filter = event=a AND b="x#y" # c\n}\n', 'event=a AND b="x#y"'),
        ("metric a {\n filter = $SET:metric_description\n description = event=x\n}\n", "event=x"),
    ],
)
def test_filter_texts(tmp_path: Path, body: str, expected: str) -> None:
    """Quotes, continuation, comments and references leave this filter."""
    assert metric(tmp_path, body).filter.text == expected


def test_variable_in_filter(tmp_path: Path) -> None:
    """A variable is expanded before the filter is parsed; `default` replaces what is unset or empty."""
    body = 'metric a {\n filter = event=%{env:N | default("x")}\n}\n'
    assert metric(tmp_path, body).filter.text == "event=x"
    assert metric(tmp_path, body, environ={"N": "y"}).filter.text == "event=y"
    assert metric(tmp_path, body).filter_text == 'event=%{env:N | default("x")}'


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (
            "metric a {\n filter = event=a AND \\\n # AND c=d \\\n b=e\n}\n",
            "line 6: b: Unknown setting: b (metric_b or metric_a_b not found either.)",
        ),
        (
            "metric a {\n filter = event=a \\\n\n description = x\n}\n",
            "line 7: Named filter metric is required to have metric_filter setting, but it is missing",
        ),
        (
            'metric a {\n filter = "x y"=1 AND b="z"\n}\n',
            "event filter: syntax error, unexpected TOKEN, expecting '=' or '>' or '<'",
        ),
        (
            "metric a {\n filter = event=b}\n}\n",
            "event filter: syntax error, unexpected invalid token, expecting end of file",
        ),
        ("metric a { filter = event=a }\n", "line 3: Garbage after '{'"),
        ("metric a{\n filter = a=b\n}\n", "line 3: Expecting '{'"),
        ("metric 'a b' {\n filter = a=b\n}\n", "line 3: Expecting '{'"),
        ("metric a\n{\n filter = a=b\n}\n", "line 3: Expecting '{'"),
        ("metric a b {\n filter = a=b\n}\n", "line 3: Expecting '{'"),
        ("metric = {\n", "line 3: metric: Setting is a named list filter, use 'metric { {'"),
        ("metric a {\n filter {\n }\n}\n", "line 4: Setting metric_filter cannot be used as a section"),
        (
            "metric_filter = event=g\nmetric a {\n fields = x\n}\n",
            "line 6: Named filter metric is required to have metric_filter setting, but it is missing",
        ),
        ("event_exporter x {\n driver = log\n}\n", "Exporter format name can't be empty"),
        (
            LOG % "  path = /tmp/x\n",
            "line 6: path: Unknown setting: path (event_exporter_path or event_exporter_x_path not found either. "
            "Did you mean one of: event_exporter_unix_path, event_exporter_file_path?)",
        ),
        (
            LOG % "  unix_connect_timeout = 250\n",
            "line 6: unix_connect_timeout: Time interval '250' is missing units (add e.g. 's' for seconds)",
        ),
        (
            (LOG % "").replace("exporter x", "exporter log") + "metric a {\n filter = a=b\n exporter = LOG\n}\n",
            "metric a refers to nonexistent exporter 'LOG'",
        ),
        ("!include nosuch.conf\n", "line 3: No matches"),
    ],
)
def test_refused(tmp_path: Path, body: str, first: str) -> None:
    """Dovecot stops with this message; we have an error for it, too."""
    found = reading(tmp_path, body)
    assert dovecot_errors(found)[0] == first
    assert found.report.errors


def _exporters(config: Config) -> dict[str, tuple[str, str, str]]:
    return {
        e.name: (e.driver, e.format, e.settings.text("event_exporter_file_path")) for e in config.exporters.values()
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("event_exporter x {\n format = json\n}\n", {"x": ("log", "json", "")}),
        ((LOG % "") + "event_exporter x {\n driver = drop\n}\n", {"x": ("drop", "json", "")}),
        (
            "event_exporter file {\n driver = file\n format = json\n path = /tmp/x\n}\n",
            {"file": ("file", "json", "/tmp/x")},
        ),
        (
            "event_exporter_file_path = /a\nevent_exporter f {\n driver = file\n format = json\n}\n"
            "event_exporter g {\n driver = file\n format = json\n file_path = /b\n}\n",
            {"f": ("file", "json", "/a"), "g": ("file", "json", "/b")},
        ),
    ],
)
def test_exporters(tmp_path: Path, body: str, expected: dict[str, tuple[str, str, str]]) -> None:
    """Defaults, blocks that are opened twice, names that allow shorter settings, and defaults outside blocks."""
    assert _exporters(accepted(tmp_path, body)) == expected


def test_one_metric_opened_twice(tmp_path: Path) -> None:
    """`"a"` and `a` are one metric, whose settings add up."""
    config = accepted(tmp_path, 'metric "a" {\n filter = event=a\n}\nmetric a {\n filter = event=a\n fields = z\n}\n')
    assert [(m.name, m.filter.text, m.fields) for m in config.metrics] == [("a", "event=a", ("z",))]


def test_names_have_case(tmp_path: Path) -> None:
    """`A` and `a` are two metrics."""
    config = accepted(tmp_path, "metric A {\n filter = a=b\n}\nmetric a {\n filter = a=b\n}\n")
    assert [m.name for m in config.metrics] == ["A", "a"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('fields = a "b c", d,,e , "f"\n', ("a", "b c", "d", "e", "f")),
        ("fields = a b\n fields {\n c = yes\n a = no\n }\n", ("b", "c")),
    ],
)
def test_lists(tmp_path: Path, lines: str, expected: tuple[str, ...]) -> None:
    """Both forms of a boolean list, and one after the other."""
    assert metric(tmp_path, f"metric a {{\n filter = a=b\n {lines}}}\n").fields == expected


@pytest.mark.parametrize(("protocol", "active"), [("imap", False), ("stats", True), ("!imap", True), ("!stats", False)])
def test_metrics_in_protocols(tmp_path: Path, protocol: str, active: bool) -> None:
    """Only what is meant for service stats is active."""
    body = (LOG % "") + f"protocol {protocol} {{\n metric a {{\n filter = event=x\n exporter = x\n }}\n}}\n"
    found = reading(tmp_path, body)
    assert not found.report.errors
    assert bool(found.config.metrics) is active
    assert bool(found.report.warnings) is not active
