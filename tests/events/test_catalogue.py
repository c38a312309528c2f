"""Recovering types by the names of fields."""

import pytest

from dovebeam.transforms.events.catalogue import CATALOGUE, Catalogue, parse_int64
from dovebeam.transforms.events.values import IPAddress, Timestamp

TYPES = [
    ("remote_ip", "imap_command_finished", "ip"),
    ("remote_ip", None, "ip"),
    ("remote_ip", "client_connection_disconnected", "str"),
    ("dest_ip", "server_connection_connected", "str"),
    ("local_ip", "http_server_request_finished", "str"),
    ("real_remote_ip", "server_connection_connected", "ip"),
    ("ip", None, "ip"),
    ("ship", None, "str"),
    ("last_run_time", "imap_command_finished", "timestamp"),
    ("reason_code", "mail_opened", "strlist"),
    ("net_in_bytes", None, "int"),
    ("my_usecs", None, "int"),
    ("passdb_id", None, "str"),
    ("cmd_tag", None, "str"),
    ("id", "auth_client_request_finished", "int"),
    ("id", "auth_master_client_login_started", "int"),
    ("id", "something_else", "str"),
    ("error_code", "dns_request_finished", "int"),
    ("error_code", "proxy_session_finished", "str"),
    ("status", "fts_flatcurve_rescan", "str"),
]


@pytest.mark.parametrize(("key", "event_name", "expected"), TYPES)
def test_types(key: str, event_name: str | None, expected: str) -> None:
    """A field has the type that Dovecot gives it in that event."""
    assert CATALOGUE.field_type(key, event_name) == expected


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("remote_ip", "10.0.0.1", IPAddress("10.0.0.1")),
        ("remote_ip", "", ""),
        ("remote_ip", "2001:DB8::1", "2001:DB8::1"),
        ("user", "10.0.0.1", "10.0.0.1"),
        ("last_run_time", "1970-01-01T00:00:00.000001Z", Timestamp(1)),
        ("last_run_time", "yesterday", "yesterday"),
    ],
)
def test_recover(key: str, text: str, value: object) -> None:
    """Only text that the type would have been written as becomes that type."""
    assert CATALOGUE.recover(key, text, "imap_command_finished") == value


def test_overrides_win() -> None:
    """A user's own types come before the built-in ones."""
    catalogue = Catalogue({"client": "ip", "remote_ip": "str"})
    assert catalogue.recover("client", "::1", None) == IPAddress("::1")
    assert catalogue.recover("remote_ip", "::1", None) == "::1"
    assert catalogue.is_candidate("client")
    assert not catalogue.is_candidate("remote_ip")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-1", -1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("9" * 5000, None),
        ("-0", None),
        ("01", None),
        ("+1", None),
        ("1 ", None),
        ("٣", None),
        ("", None),
    ],
)
def test_parse_int64(text: str, number: int | None) -> None:
    """Only canonical decimal text within 64 bits is an integer."""
    assert parse_int64(text) == number
