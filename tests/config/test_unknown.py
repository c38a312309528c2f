"""Names that event export doesn't know, in our blocks and outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_text import accepted, dovecot_errors, messages, reading, warnings

WHOLE_SERVER = r"""
protocols = imap lmtp
listen = *, ::
@mailbox_defaults = english
log_debug = category=imap OR \
    event=auth_request_finished   # two lines, one setting
service imap-login {
  inet_listener imaps {
    port = 993
    ssl = yes
  }
  process_min_avail = 4
}
service stats {
  inet_listener http {
    port = 9900
  }
  unix_listener stats-writer {
    mode = 0660
  }
}
passdb static {
  password = "a # b"
  fields {
    nopassword = yes
  }
}
userdb passwd {
}
namespace inbox {
  inbox = yes
  mailbox "Sent Messages" {
    special_use = \Sent
  }
}
mail_plugins {
  quota = yes
}
import_environment {
  TZ = Europe/Helsinki
}
local 192.0.2.0/24 {
  local_name mail.example.com {
    ssl_server_cert_file = /etc/ssl/mail.pem
  }
}
remote 10.0.0.0/8 {
  imap_hibernate_timeout = 5s
}
protocol !imap {
  mail_max_userip_connections = 3
}
ssl_server_key_file = </etc/ssl/private/key.pem
dict_server {
  dict quota {
    driver = redis
  }
}
login_greeting = $SET:login_greeting ready {
auth_policy {
  http_client_request_timeout = 5s
}
imap_id_send {
  metric_version = 1
  name = *
}
login_greeting = <<EOT
metric x {
}
EOT
!include_try local.conf
"""


def test_other_parts_are_skipped(tmp_path: Path) -> None:
    """Everything that a whole server's configuration has besides event export: no error and no warning."""
    found = reading(tmp_path, WHOLE_SERVER + "metric a {\n filter = a=b\n}\n")
    assert messages(found) == warnings(found) == dovecot_errors(found) == []
    assert [metric.name for metric in found.config.metrics] == ["a"]


def test_files_of_other_parts_are_not_opened(tmp_path: Path) -> None:
    """They may be readable for root only; also TLS files of an exporter that doesn't use TLS."""
    body = "ssl_server_key_file = </nosuch\nssl_client_key_password = </nosuch\nevent_exporter x {\n format = json\n}\n"
    assert accepted(tmp_path, body).exporters["x"].settings.written("ssl_client_key_password") == ""


@pytest.mark.parametrize(
    ("block", "line", "dovecot", "suggestion"),
    [
        (
            "event_exporter x",
            "drivr = file",
            "drivr: Unknown setting: drivr (event_exporter_drivr or event_exporter_x_drivr not found either.)",
            "did you mean 'driver'?",
        ),
        (
            "event_exporter x",
            "request_absolute_timeout = 1s",
            "request_absolute_timeout: Unknown setting: request_absolute_timeout "
            "(event_exporter_request_absolute_timeout or event_exporter_x_request_absolute_timeout not found either.)",
            "did you mean 'http_client_request_absolute_timeout'?",
        ),
        (
            "event_exporter a/b",
            "timeout = 1s",
            "timeout: Unknown setting: timeout (event_exporter_timeout or event_exporter_a_b_timeout not found either. "
            "Did you mean event_exporter_unix_connect_timeout?)",
            "'unix_connect_timeout'",
        ),
        (
            "metric m",
            "Filter = a=b",
            "Filter: Unknown setting: Filter (metric_Filter or metric_m_Filter not found either.)",
            "did you mean 'filter'?",
        ),
        (
            "metric m",
            "http_client_foo = 1",
            "http_client_foo: Unknown setting: http_client_foo "
            "(metric_http_client_foo or metric_m_http_client_foo not found either.)",
            "",
        ),
        (
            "ssl_client",
            "ca_fil = x",
            "ca_fil: Unknown setting: ca_fil (ssl_client_ca_fil not found either.)",
            "did you mean 'ca_file'?",
        ),
    ],
)
def test_unknown_settings_in_our_blocks(tmp_path: Path, block: str, line: str, dovecot: str, suggestion: str) -> None:
    """Dovecot's message, and what was probably meant."""
    body = f"{block} {{\n  {line}\n}}\n"
    found = reading(tmp_path, body)
    assert dovecot_errors(found)[0] == f"line 4: {dovecot}"
    (first, *_) = messages(found)
    assert suggestion in "".join(messages(found))
    assert first.startswith("x.conf:")


def test_what_was_meant_is_not_missing_as_well(tmp_path: Path) -> None:
    """A misspelt format or filter is one error, not two."""
    body = "event_exporter x {\n formt = json\n}\nmetric a {\n filtr = a=b\n exporter = x\n}\n"
    assert len(messages(reading(tmp_path, body))) == 2


def test_other_settings_in_our_blocks_are_warnings(tmp_path: Path) -> None:
    """Dovecot accepts any of its settings in any block; there they do nothing."""
    found = reading(tmp_path, "metric a {\n filter = a=b\n mail_path = x\n ssl = no\n event_exporter_driver = log\n}\n")
    assert messages(found) == []
    assert [text.split("\n")[0] for text in warnings(found)] == [
        "x.conf:5:2: 'mail_path' has no effect inside metric",
        "x.conf:6:2: 'ssl' has no effect inside metric",
        "x.conf:7:2: 'event_exporter_driver' has no effect inside metric",
    ]


@pytest.mark.parametrize(
    ("body", "dovecot", "suggestion"),
    [
        (
            "evnt_exporter_driver = log",
            "evnt_exporter_driver: Unknown setting: evnt_exporter_driver",
            "'event_exporter_driver'",
        ),
        ("metric_filtr = x", "metric_filtr: Unknown setting: metric_filtr", "'metric_filter'"),
        ("http_client_foo = x", "http_client_foo: Unknown setting: http_client_foo", ""),
        ("metrics x {\n filter = a=b\n}", "Unknown section name: metrics", "'metric'"),
        ("event-exporter x {\n format = json\n}", "Unknown section name: event-exporter", "'event_exporter'"),
        ("plugin {\n}", "Unknown section name: plugin", ""),
        ("filter = a=b", "filter: Unknown setting: filter", "metric NAME {"),
        ("driver = log", "driver: Unknown setting: driver", "event_exporter NAME {"),
        ("fields {\n}", "Unknown section name: fields", "inside a metric block"),
        ("group_by x {\n}", "Unknown section name: group_by", "inside a metric block"),
        ("method linear {\n}", "Unknown section name: method", "inside a metric_group_by block"),
        ("ssl_cert = </x", "ssl_cert: Unknown setting: ssl_cert", "ssl_server_cert_file"),
        ("stats_http_rawlog_dir = x", "stats_http_rawlog_dir: Unknown setting: stats_http_rawlog_dir", "stats_server"),
    ],
)
def test_near_misses_outside_our_blocks(tmp_path: Path, body: str, dovecot: str, suggestion: str) -> None:
    """Names that look like ours, and those of Dovecot 2.3."""
    found = reading(tmp_path, f"{body}\n")
    assert dovecot_errors(found)[0] == f"line 3: {dovecot}"
    assert suggestion in messages(found)[0]


@pytest.mark.parametrize("body", ["foo = 1\n", "foo x {\n bar = 1\n}\n"])
def test_other_unknown_names_are_warnings(tmp_path: Path, body: str) -> None:
    """Dovecot would refuse them, but event export doesn't need them; its message is in the warning."""
    found = reading(tmp_path, body)
    assert messages(found) == []
    assert len(warnings(found)) == 1
    assert dovecot_errors(found)[0].startswith("line 3: ")


@pytest.mark.parametrize(
    ("block", "dovecot", "suggestion"),
    [
        (
            "groupby x",
            "Unknown section name: groupby (metric_a_groupby, metric_groupby not found either.)",
            "'group_by'",
        ),
        ("field", "Unknown section name: field (metric_a_field, metric_field not found either.)", "'fields'"),
        ("zzz", "Unknown section name: zzz (metric_a_zzz, metric_zzz not found either.)", ""),
    ],
)
def test_unknown_blocks_in_ours(tmp_path: Path, block: str, dovecot: str, suggestion: str) -> None:
    """The same for blocks."""
    found = reading(tmp_path, f"metric a {{\n filter = a=b\n {block} {{\n }}\n}}\n")
    assert dovecot_errors(found) == [f"line 5: {dovecot}"]
    assert suggestion in messages(found)[0]


def test_plain_blocks_are_not_completed(tmp_path: Path) -> None:
    """`http_post {` is unknown, `event_exporter_http_post {` is not."""
    found = reading(tmp_path, "event_exporter x {\n format = json\n http_post {\n }\n}\n")
    assert dovecot_errors(found) == [
        "line 5: Unknown section name: http_post "
        "(event_exporter_x_http_post, event_exporter_http_post not found either.)"
    ]
