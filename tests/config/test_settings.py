"""The table of settings: complete, consistent, and extended by adding a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config import settings
from dovebeam.transforms.config.settings import BLOCKS, SETTINGS, Setting, settings_of
from dovebeam.transforms.drivers.setting import Kind, convert
from support.config_text import messages, reading

DOVECOT_NAMES = (Path(__file__).parent / "dovecot_names.txt").read_text("utf-8").split()


def test_table_has_all_of_dovecot() -> None:
    """Every documented setting of our blocks is there, and nothing else that isn't marked as an extension."""
    ours = ("event_exporter_", "metric_", "http_client_", "ssl_client_")
    documented = {n for n in DOVECOT_NAMES if n.startswith(ours) and n not in BLOCKS and not n.endswith("_group_by")}
    rows = {row.name for row in SETTINGS.values() if row.name.startswith(ours) and not row.extension}
    assert rows == documented


def test_defaults_are_valid() -> None:
    """Each default is of its setting's type, except names, which come from their blocks."""
    for row in SETTINGS.values():
        if row.kind is not Kind.NAME:
            convert(row, row.default)


@pytest.mark.parametrize("row", SETTINGS.values(), ids=lambda row: row.name)
def test_every_setting_explains_itself(row: Setting) -> None:
    """The reference is made from these texts: each says something, and fits into a cell of a table."""
    assert len(row.text.split()) >= 3
    assert not row.text.endswith(".")
    assert not set(row.text) & set("|\n<")
    assert row.text.count("`") % 2 == 0


def test_drivers_of_settings() -> None:
    """A setting of one driver says so, TLS belongs to the two that speak it, and the rest to all."""
    assert SETTINGS["event_exporter_file_rotate_size"].drivers == ("file",)
    assert SETTINGS["event_exporter_http_post_auth"].drivers == ("http-post",)
    assert SETTINGS["ssl_client_ca_file"].drivers == ("log", "http-post")
    assert SETTINGS["event_exporter_format"].drivers == SETTINGS["metric_filter"].drivers == ()


def test_blocks_share_no_setting() -> None:
    """Each setting means something in exactly one kind of block."""
    found = [row.name for block in BLOCKS for row in settings_of(block)]
    assert sorted(found) == sorted(SETTINGS)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("", True), ("syslog:/dev/log", True), ("syslog:localhost:514", True), ("syslog:[2001:db8::1]:514", True),
        ("syslog", False), ("syslog:", False), ("syslog:host", False), ("syslog:h:x", False), ("tcp:h:1", False),
    ],
)  # fmt: skip
def test_log_target(tmp_path: Path, text: str, fine: bool) -> None:
    """The extension for the log driver has a check of its own, with an error that Dovecot doesn't have."""
    found = reading(tmp_path, f"event_exporter x {{\n format = json\n log_target = {text}\n}}\n")
    assert (not found.report.errors) is fine
    if not fine:
        assert "write nothing for the runner's log" in messages(found)[0]
        assert found.report.errors[0].problem.dovecot == ""


def test_a_row_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new row has a short name, a type, inheritance, suggestions, and its secret is never shown."""
    rows = (
        Setting("event_exporter_batch_size", Kind.UINT, "1", "events in a request", extension=True),
        Setting("event_exporter_bearer", Kind.STRING, "", "credentials", extension=True, secret=True),
    )
    table = {**SETTINGS, **{row.name: row for row in rows}}
    monkeypatch.setattr(settings, "_ROWS", tuple(table.values()))
    for module in (
        "settings",
        "assignments",
        "blocks",
        "build",
        "checks",
        "levels",
        "loading",
        "metrics",
        "mistakes",
        "model",
        "parser",
        "places",
    ):
        monkeypatch.setattr(f"dovebeam.transforms.config.{module}.SETTINGS", table)
    body = "event_exporter_batch_size = 7\nevent_exporter x {\n format = json\n bearer = hunter2\n}\n"
    found = reading(tmp_path, body)
    assert messages(found) == []
    assert found.config.exporters["x"].settings.number("event_exporter_batch_size") == 7
    assert "hunter2" not in repr(found.config)
    wrong = messages(reading(tmp_path, "event_exporter x {\n format = json\n batch_sise = 7\n batch_size = x\n}\n"))
    assert "did you mean 'batch_size'?" in wrong[0]
    assert "Invalid number x" in wrong[1]
