"""Which value holds: blocks, protocols, the top level, defaults; `$SET:`; boolean lists over several levels."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.formats import INCLUDE_PARTS
from support.config_text import accepted, dovecot_errors, messages, metric, reading

HTTP = "event_exporter x {\n driver = http-post\n format = json\n%s}\n"
TIMEOUT = "http_client_request_absolute_timeout"


@pytest.mark.parametrize(
    ("outside", "lines", "expected"),
    [
        ("", "", "name hostname timestamps categories fields"),
        ("", "exporter_include = name", "name"),
        ("", "exporter_include {\n name = yes\n}", "name hostname timestamps categories fields"),
        ("", "exporter_include {\n fields = no\n timestamps = no\n}", "name hostname categories"),
        ("", "exporter_include = name\nexporter_include {\n fields = yes\n}", "name fields"),
        ("", "exporter_include {\n fields = yes\n}\nexporter_include = name", "name"),
        ("metric_exporter_include = name", "", "name"),
        ("metric_exporter_include = name", "exporter_include {\n fields = yes\n}", "name fields"),
        ("metric_exporter_include {\n fields = no\n}", "", "name hostname timestamps categories"),
        ("", "exporter_include = ", ""),
        ("", "exporter_include = name foo Name", "name"),
        (
            "",
            "exporter_include = name fields\n}\nmetric a {\nexporter_include {\n fields = no\n hostname = yes\n}",
            "name hostname",
        ),
        ("protocol stats {\n metric_exporter_include = name\n}", "exporter_include {\n fields = yes\n}", "name fields"),
        ("metric_exporter_include = name\nprotocol stats {\n metric_exporter_include {\n fields = yes\n}\n}", "",
         "name fields"),
        ("", "exporter_include/fields = no", "name hostname timestamps categories"),
    ],
)  # fmt: skip
def test_boolean_lists(tmp_path: Path, outside: str, lines: str, expected: str) -> None:
    """What the levels say about the parts of an event."""
    found = metric(tmp_path, f"{outside}\nmetric a {{\nfilter = a=b\n{lines}\n}}\n")
    assert set(found.exporter_include) == set(expected.split())
    assert list(found.exporter_include) == [part for part in INCLUDE_PARTS if part in found.exporter_include]


@pytest.mark.parametrize(
    ("body", "msec"),
    [
        (HTTP % f" {TIMEOUT} = 100ms\n", 100),
        (f"{TIMEOUT} = 100ms\n" + HTTP % "", 100),
        (HTTP % "" + f"{TIMEOUT} = 100ms\n", 100),
        (f"protocol stats {{\n {TIMEOUT} = 100ms\n}}\n" + HTTP % "", 100),
        (f"protocol imap {{\n {TIMEOUT} = 100ms\n}}\n" + HTTP % "", None),
        (f"{TIMEOUT} = 3s\nprotocol stats {{\n {TIMEOUT} = 100ms\n}}\n" + HTTP % "", 100),
        (f"{TIMEOUT} = 3s\n" + HTTP % f" {TIMEOUT} = 100ms\n", 100),
        (HTTP % f" {TIMEOUT} = 3s\n" + f"{TIMEOUT} = 100ms\n", 3000),
        (f"event_exporter_http_post {{\n {TIMEOUT} = 100ms\n}}\n" + HTTP % "", None),
        (HTTP % f" event_exporter_http_post {{\n {TIMEOUT} = 100ms\n }}\n", None),
        (HTTP % f" {TIMEOUT} = 1s\n" + f"protocol stats {{\n event_exporter x {{\n format = json\n {TIMEOUT} = 2s\n }}\n}}\n",
         2000),
        (f"protocol stats {{\n event_exporter x {{\n format = json\n {TIMEOUT} = 2s\n }}\n}}\n" + HTTP % f" {TIMEOUT} = 1s\n",
         1000),
    ],
)  # fmt: skip
def test_levels_of_a_time(tmp_path: Path, body: str, msec: int | None) -> None:
    """The block wins over protocol stats, that over the top level, wherever they stand; plain blocks have no effect."""
    exporter = accepted(tmp_path, body).exporters["x"]
    assert exporter.settings.is_explicit(TIMEOUT) is (msec is not None)
    assert exporter.settings.limit(TIMEOUT) == (msec or 0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ssl_min_protocol = TLSv1.3\n" + HTTP % "", "TLSv1.3"),
        (HTTP % " ssl_client {\n ssl_min_protocol = TLSv1.3\n }\n", "TLSv1.3"),
        ("ssl_client {\n ssl_min_protocol = TLSv1.3\n}\n" + HTTP % "", "TLSv1.3"),
        ("ssl_server {\n ssl_min_protocol = TLSv1.3\n}\n" + HTTP % "", "TLSv1.2"),
    ],
)
def test_tls_blocks(tmp_path: Path, body: str, expected: str) -> None:
    """`ssl_client { }` holds for the client; `ssl_server { }` doesn't."""
    assert accepted(tmp_path, body).exporters["x"].settings.text("ssl_min_protocol") == expected


def test_plain_blocks_store_in_the_enclosing_block(tmp_path: Path) -> None:
    """A key that completes with the block's name is one of the block around."""
    body = HTTP % " event_exporter_http_post {\n  url = http://h/\n }\n ssl_client {\n  require_valid_cert = no\n }\n"
    found = accepted(tmp_path, body).exporters["x"].settings
    assert found.text("event_exporter_http_post_url") == "http://h/"
    assert found.flag("ssl_client_require_valid_cert") is False


# $SET:


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("base_dir = /run/x\nmetric a {\n filter = a=b\n description = $SET:base_dir\n}\n", "/run/x"),
        ("metric a {\n filter = a=b\n description = x $SET:metric_filter y\n}\n", "x a=b y"),
        ("metric a {\n filter = a=b\n description = $SET:metric_exporter.\n}\n", None),
        ("metric a {\n filter = a=b\n description = $SET:metric_name\n}\n", "a"),
        (
            "metric b {\n filter = q=r\n}\nmetric a {\n filter = a=b\n description = $SET:metric/b/metric_filter\n}\n",
            "q=r",
        ),
        (
            "metric_description = one\nmetric a {\n filter = a=b\n description = $SET:metric_description two\n}\n",
            "one two",
        ),
        (
            "metric a {\n filter = a=b\n description = 1\n description = $SET:metric_description 2\n"
            " metric_description = $SET:metric_description 3\n}\n",
            "1 2 3",
        ),
        ("metric a {\n filter = a=b\n description = $SET:event_exporter_time_format\n}\n", "rfc3339"),
        ("x_y = 5\nmetric a {\n filter = a=b\n description = $SET:x_y\n}\n", "5"),
        ("service s {\n user = joe\n}\nmetric a {\n filter = a=b\n description = $SET:service/s/user\n}\n", "joe"),
    ],
)
def test_references(tmp_path: Path, body: str, expected: str | None) -> None:
    """Full names, from the inside out; paths; a setting that names itself appends."""
    found = reading(tmp_path, body)
    if expected is None:
        assert messages(found)
        return
    assert messages(found) == []
    assert found.config.metrics[-1].description == expected


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("nosuch", "line 5: Failed to expand $SET:nosuch: Unknown setting: nosuch"),
        ("filter", "line 5: Failed to expand $SET:filter: Unknown setting: filter"),
        ("base_dir/x.json", "line 5: Failed to expand $SET:base_dir/x.json: Unknown filter path: base_dir"),
        (
            "metric/z/metric_filter",
            "line 5: Failed to expand $SET:metric/z/metric_filter: Unknown filter path: metric/z",
        ),
        ("metric_fields", "line 5: Failed to expand $SET:metric_fields: Setting type can't be expanded to string"),
        ("metric", "line 5: Failed to expand $SET:metric: Setting type can't be expanded to string"),
    ],
)
def test_references_to_nothing(tmp_path: Path, reference: str, error: str) -> None:
    """Dovecot's messages."""
    found = reading(tmp_path, f"metric a {{\n filter = a=b\n description = $SET:{reference}\n}}\n")
    assert dovecot_errors(found) == [error]
    assert len(messages(found)) == 1


def test_references_in_a_circle(tmp_path: Path) -> None:
    """Are found, and so is a chain that is longer than anybody needs."""
    body = "metric a {\n filter = a=b\n description = $SET:metric_exporter\n exporter = $SET:metric_description\n}\n"
    assert dovecot_errors(reading(tmp_path, body)) == ["Chained $SET:metric_exporter loops back to itself"]
    chain = "".join(f"x_{i} = $SET:x_{i + 1}\n" for i in range(100))
    found = reading(tmp_path, chain + "metric a {\n filter = a=b\n description = $SET:x_0\n}\n")
    assert any("refer to each other" in text for text in messages(found))


def test_references_have_types(tmp_path: Path) -> None:
    """The type is checked after the expansion; a default of another part of Dovecot isn't known."""
    body = "event_exporter x {\n format = json\n driver = $SET:metric_description\n file_path = $SET:base_dir\n}\nmetric_description = foo\n"
    found = reading(tmp_path, body)
    assert dovecot_errors(found)[-1] == "driver: Invalid value: foo"
    assert any("doesn't know Dovecot's default of 'base_dir'" in text for text in messages(found))


def test_references_in_lists(tmp_path: Path) -> None:
    """`$SET:` is one element, `$ENV:` is split, in the block form each key is one element."""
    body = 'metric a {\n filter = a=b\n description = "b c,d"\n fields = a $SET:metric_description\n}\n'
    assert metric(tmp_path, body).fields == ("a", "b c,d")
    body = "metric a {\n filter = a=b\n fields = a $ENV:F\n fields {\n  $ENV:F = yes\n }\n}\n"
    assert metric(tmp_path, body, environ={"F": "b c,d"}).fields == ("a", "b", "c", "d", "b c,d")


def test_values_from_files(tmp_path: Path) -> None:
    """The whole content, with its last line end; relative to the file that names it."""
    body = "!include d/x.inc\nmetric a {\n filter = a=b\n}\n"
    files = {"d/x.inc": "metric_description = < text\n", "d/text": "one\ntwo\n"}
    assert metric(tmp_path, body, files=files).description == "one\ntwo\n"


def test_a_filter_in_a_file_is_refused(tmp_path: Path) -> None:
    """Dovecot's check looks at the text with `<`, so nobody can have that."""
    found = reading(tmp_path, "metric a {\n filter = <f\n}\n", files={"f": "a=b"})
    assert dovecot_errors(found) == ["event filter: syntax error, unexpected '<', expecting end of file"]
    assert "doveconf" in messages(found)[0]
