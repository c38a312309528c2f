"""The checks of the whole configuration, Dovecot's and those that it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_text import dovecot_errors, messages, reading, warnings

LOG = "event_exporter x {\n format = json\n}\n"
METRIC = "metric a {\n filter = a=b\n exporter = x\n%s}\n"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("event_exporter x {\n format = xml\n}\n", ["Unknown exporter format 'xml'"]),
        ("event_exporter x {\n format = JSON\n}\n", ["Unknown exporter format 'JSON'"]),
        ("event_exporter_format = json\nevent_exporter x {\n}\n", ["Exporter format name can't be empty"]),
        ("metric a {\n filter =\n}\n", ["metric a { filter } is empty - will not match anything"]),
        ('metric a {\n filter = ""\n}\n', ["metric a { filter } is empty - will not match anything"]),
        ('metric a {\n filter = "  "\n}\n', []),
        ("protocol imap {\n metric a {\n filter = x\n }\n}\n",
         ["event filter: syntax error, unexpected end of file, expecting '=' or '>' or '<'"]),
        ("metric a {\n filter = a=b\n exporter = no\n}\n", ["metric a refers to nonexistent exporter 'no'"]),
        ("metric_exporter = no\nmetric a {\n filter = a=b\n}\n", ["metric a refers to nonexistent exporter 'no'"]),
        ("metric_exporter = no\nmetric a {\n filter = a=b\n exporter =\n}\n", []),
        ("metric a {\n filter = a=b\n exporter = x\n}\nprotocol stats {\n" + LOG + "}\n", []),
        ("http_client_request_timeout = 0\n", ["http_client_request_timeout_msecs must not be 0"]),
        ("http_client_request_max_attempts = 00\n", ["request_max_attempts must not be 0"]),
        (LOG.replace("}", " http_client_max_parallel_connections = 0\n}"),
         ["http_client_max_parallel_connections must not be 0"]),
        ("http_client_max_pipelined_requests = 0\n", ["http_client_max_pipelined_requests must not be 0"]),
        ("http_client_proxy_url = host:80\n", ["Invalid http_client_proxy_url: Not an HTTP URL"]),
        ("http_client_proxy_url = /x\n", ["Invalid http_client_proxy_url: Relative HTTP URL not allowed"]),
        ("http_client_proxy_url =\n", []),
        ("service x {\n metric y {\n filter = a=b\n }\n}\n",
         ["Failed to get metric y: Filter metric=y unexpectedly not found (invalid userdb or -o override settings?)"]),
        ("service x {\n event_exporter y {\n format = json\n }\n}\n", []),
    ],
)  # fmt: skip
def test_checks(tmp_path: Path, body: str, errors: list[str]) -> None:
    """Dovecot's messages, one for each mistake, and none of our own beside them."""
    found = reading(tmp_path, body)
    assert dovecot_errors(found) == errors
    assert len(messages(found)) == len(errors)


@pytest.mark.parametrize(
    ("value", "place", "shown"),
    [
        ("a=b AND", (4, 18), "unexpected end of file"),
        ('"a=b \\"x\\" c=d"', (4, 17), "unexpected"),
        ("a=b \\\n   c=d", (5, 4), "expecting end of file"),
        ("$ENV:F c=d", (4, 18), "expecting end of file"),
        ("<<E\na=b\n  c=d\nE", (6, 3), "expecting end of file"),
        ("$SET:metric_description", (4, 11), "in: a=b c=d"),
    ],
)
def test_place_of_a_filter_error(tmp_path: Path, value: str, place: tuple[int, int], shown: str) -> None:
    """The caret is under the token, through quotes, continuation, heredocs and variables."""
    body = f'metric m {{\n filter = {value}\n description = "a=b c=d"\n}}\n'
    (message,) = messages(reading(tmp_path, body, environ={"F": "a=b"}))
    line, column = place
    assert message.startswith(f"x.conf:{line}:{column}: metric m: filter: syntax error")
    assert shown in message


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ('metric a {\n filter = event=x "rest\n}\n', "x.conf:4:19: metric a: filter: this quote is never closed"),
        (
            'metric a {\n filter = a=b\n description = "x" and "y"\n}\n',
            "x.conf:5:17: Dovecot removes the quotes at both ends",
        ),
        ("protocol imap {\n" + LOG + "}\n", "x.conf:4:1: event_exporter x has no effect inside protocol imap"),
        ("local 10.0.0.0/8 {\n metric a {\n filter = a=b\n }\n}\n", "x.conf:4:2: metric a has no effect inside local"),
        (
            "service x {\n event_exporter y {\n format = json\n }\n}\n",
            "x.conf:4:2: event_exporter y has no effect here",
        ),
        ("metric_group_by x {\n}\n", "x.conf:3:1: metric_group_by x has no effect here"),
        ("metric/a/metric_filter = b\n", "x.conf:3:1: 'metric/...' has no effect"),
        (
            "event_exporter_format = json\n",
            "x.conf:3:1: 'event_exporter_format' has no effect outside a event_exporter",
        ),
        ("metric_filter = a=b\n", "x.conf:3:1: 'metric_filter' has no effect outside a metric block"),
        (
            "event_exporter_http_post {\n http_client_request_timeout = 1s\n}\n",
            "x.conf:4:2: 'http_client_request_timeout'",
        ),
        ("metric a {\n filter = a=b\n exporter_include {\n  name = yes\n }\n}\n", "x.conf:6:3: metric a: in this form"),
    ],
)
def test_silent_traps(tmp_path: Path, body: str, warning: str) -> None:
    """What Dovecot accepts without a word, although it isn't what was meant."""
    found = reading(tmp_path, body)
    assert messages(found) == []
    (shown,) = warnings(found)
    assert shown.startswith(warning)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("driver = file", "driver file needs file_path"),
        ("driver = unix", "driver unix needs unix_path"),
        ("driver = http-post", "Relative HTTP URL not allowed"),
        ("driver = http-post\n http_post_url = ftp://h/", "Not an HTTP URL"),
        ("driver = http-post\n http_post_url = http:///x", "empty host"),
        ('driver = http-post\n http_post_url = "http://h/#x"', "fragment"),
        ("driver = http-post\n http_post_url = <url", "invalid character <0x0a>"),
    ],
)
def test_targets_that_lose_every_event(tmp_path: Path, lines: str, error: str) -> None:
    """Are errors for an exporter in use; Dovecot notices nothing; an exporter that nobody uses may have them."""
    exporter = f"event_exporter x {{\n format = json\n {lines}\n}}\n"
    files = {"url": "http://h/x\n"}
    found = reading(tmp_path, exporter + METRIC % "", files=files)
    (message,) = messages(found)
    assert error in message
    assert dovecot_errors(found) == []
    assert not reading(tmp_path, exporter, files=files).report.errors


def test_relative_paths_are_warnings(tmp_path: Path) -> None:
    """They would be relative to Dovecot's run directory."""
    found = reading(
        tmp_path, "event_exporter x {\n format = json\n driver = file\n file_path = a.json\n}\n" + METRIC % ""
    )
    assert messages(found) == []
    assert "file_path is relative" in warnings(found)[0]


def test_tls_files(tmp_path: Path) -> None:
    """Are relative to the configuration file and must exist, if an exporter uses them."""
    body = (
        "ssl_client_ca_file = ca.pem\nssl_client_key_file = no.pem\nevent_exporter x {\n format = json\n"
        " driver = http-post\n http_post_url = https://h/\n}\n"
    )
    assert not reading(tmp_path, body).report.errors
    found = reading(tmp_path, body + METRIC % "", files={"ca.pem": ""})
    path = tmp_path / "no.pem"
    assert dovecot_errors(found) == [f"line 4: ssl_client_key_file: open({path}) failed: No such file or directory"]
    assert found.config.exporters["x"].settings.text("ssl_client_ca_file") == str(tmp_path / "ca.pem")
    content = "ssl_client_ca_file = <<E\n----\n----\nE\nevent_exporter x {\n format = json\n}\n"
    assert "not its content" in messages(reading(tmp_path, content))[0]
