"""Settings without effect are said to have none, at their place; all others have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config import SETTINGS
from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.drivers.setting import declared
from support.config_text import messages, reading, warnings

WITHOUT_EFFECT = [name for name, row in SETTINGS.items() if row.no_effect]

_EXPORTER = "event_exporter %s {\n driver = %s\n format = json\n http_post_url = http://h/\n file_path = /f\n %s\n}\n"
_METRIC = "metric m%s {\n filter = event=a\n exporter = %s\n}\n"


def _exporter(name: str, driver: str = "http-post", line: str = "") -> str:
    return _EXPORTER % (name, driver, line) + _METRIC % (name, name)


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_warned_at_its_place(tmp_path: Path, name: str) -> None:
    """A value that is not the default gets a warning with file, line and reason; the configuration is used."""
    value = {"number": "7", "size": "7 k"}.get(SETTINGS[name].kind.value, "something")
    found = reading(tmp_path, _exporter("x", line=f"{name} = {value}"))
    assert messages(found) == []
    (shown,) = warnings(found)
    assert shown.startswith(f"x.conf:8:{len(name) + 5}: {name} has no effect in dovebeam: ")


@pytest.mark.parametrize(
    "body",
    [
        _exporter("x", line="http_client_max_pipelined_requests = 1"),
        _exporter("x", line="http_client_response_hdr_max_size = 200k"),
        _exporter("x", "file", line="ssl_options = no_compression"),
        "ssl_options = no_compression\n" + _exporter("x", "file"),
        _EXPORTER % ("x", "http-post", "ssl_options = no_compression"),
    ],
    ids=["default", "the same as the default", "other driver", "top level, other driver", "unused exporter"],
)
def test_no_warning(tmp_path: Path, body: str) -> None:
    """Defaults, and settings that concern nothing that is used, are nobody's trouble."""
    assert warnings(reading(tmp_path, body)) == []


def test_inherited_once(tmp_path: Path) -> None:
    """A setting of the top level is named once, at its own line, however many exporters inherit it."""
    found = reading(tmp_path, "ssl_options = no_ticket\n" + _exporter("x") + _exporter("y"))
    (shown,) = warnings(found)
    assert shown.startswith("x.conf:3:15: ssl_options has no effect")


def test_every_http_setting_has_an_effect_or_a_warning() -> None:
    """Nothing is accepted and then ignored: it is a field of the driver, warned of, refused, or not about POST."""
    filled = {row.name for row in declared(HttpPostDriver).values()}
    about_others = ("http_client_read_request_", "http_client_delete_request_")
    for name, row in SETTINGS.items():
        if name.startswith(("http_client_", "ssl_")) and not name.startswith(about_others):
            assert (name in filled) + bool(row.no_effect) + bool(row.refused) == 1, name
