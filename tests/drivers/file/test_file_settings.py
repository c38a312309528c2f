"""The settings of the file driver: what is refused at launch, and what reaches the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovebeam.transforms.config import load_config, make_driver
from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.errors import DriverSettingError
from support.jobs.commands import HEAD, dovebeam, exporter, metric, write_config, write_events


@pytest.mark.parametrize(
    ("settings", "setting", "advice"),
    [
        ({"file_path": "/x\udcff"}, "file_path", "not UTF-8"),
        ({"file_path": "gs://bucket/x.json"}, "file_path", "add file_writing = shards"),
        ({"file_path": "s3://bucket/x.json"}, "file_path", "add file_writing = shards"),
        ({"file_path": "gs://b/x", "file_path_template": "{user}"}, "file_path", "add file_writing = shards"),
        ({"file_path": "/folder/"}, "file_path", "add a file_path_template"),
        ({"file_path": "/folder/.."}, "file_path", "name a file in it"),
        ({"file_writing": "both"}, "file_writing", "append, shards"),
        ({"file_missing_field": "drop"}, "file_missing_field", "reject, fallback"),
        ({"file_compression": "bzip2"}, "file_compression", "none, gzip, zstd"),
        ({"file_permissions": "rw"}, "file_permissions", "such as 0640"),
        ({"file_permissions": "0888"}, "file_permissions", "such as 0640"),
        ({"file_permissions": "4755"}, "file_permissions", "such as 0640"),
        ({"file_permissions": "0400"}, "file_permissions", "not even their owner"),
        ({"file_rotate_interval_msec": 1500}, "file_rotate_interval", "whole seconds"),
        ({"file_max_open": 0}, "file_max_open", "must not be 0"),
        ({"file_path_template": "../{user}"}, "file_path_template", "cannot begin with a dot"),
        ({"file_missing_field": "fallback", "file_field_fallback": ""}, "file_field_fallback", "write a word"),
    ],
)
def test_refused(settings: dict[str, Any], setting: str, advice: str) -> None:
    """Settings with which nothing could be written, or not where it was meant, are errors with what to write."""
    with pytest.raises(DriverSettingError) as caught:
        FileDriver(**{"file_path": "/x", **settings})
    assert caught.value.setting == f"event_exporter_{setting}"
    assert advice in str(caught.value)


def test_all_settings_of_a_configuration(tmp_path: Path) -> None:
    """Each setting of the block reaches the field of its name."""
    lines = [
        "driver = file", "format = json", "file_path = /base", "file_writing = append",
        'file_path_template = "%Y/{user}.json"', "file_missing_field = fallback", "file_field_fallback = nobody",
        "file_rotate_size = 10 M", "file_rotate_interval = 1 h", "file_window_delay = 5 s", "file_compression = zstd",
        "file_permissions = 0640", "file_max_open = 7",
    ]  # fmt: skip
    path = tmp_path / "dovecot.conf"
    path.write_text(HEAD + "event_exporter x {\n" + "\n".join(lines) + "\n}\n")
    driver = make_driver(load_config(path).exporters["x"])
    assert driver == FileDriver(
        "/base", "append", "%Y/{user}.json", "fallback", "nobody", 10 << 20, 3_600_000, 5000, "zstd", "0640", 7
    )


def test_mistakes_are_told_at_launch(tmp_path: Path) -> None:
    """The command names the line of each, shows the place in a template, and says what to write; nothing is made."""
    settings = {
        "a": ["file_path = gs://bucket/x.json"],
        "b": [f"file_path = {tmp_path}", "file_path_template = %Y/%M/{user}.json"],
        "c": [f"file_path = {tmp_path}/x", "file_permissions = rw"],
    }
    blocks = [
        exporter(name, "file", "json", *lines) + metric(name, "event=*", name) for name, lines in settings.items()
    ]
    config = write_config(tmp_path, *blocks)
    ran = dovebeam("export", "--config", config, "--input", write_events(tmp_path, [b'{"event":"e"}']))
    assert ran.code == 78
    assert f"{config}:6: event_exporter a: event_exporter_file_path: 'gs://bucket/x.json' is in an object" in ran.err
    assert f"{config}:16: event_exporter b: event_exporter_file_path_template: %M is the minute, which" in ran.err
    assert "\n  %Y/%M/{user}.json\n     ^\n" in ran.err
    assert f"{config}:26: event_exporter c: event_exporter_file_permissions: it is 'rw'" in ran.err
    assert {path.name for path in tmp_path.iterdir()} == {"dovecot.conf", "events.json"}


@pytest.mark.parametrize(("text", "expected"), [("unlimited", 0), ("infinite", 0), ("0", 0), ("1k", 1024)])
def test_no_limits(tmp_path: Path, text: str, expected: int) -> None:
    """A size or a time without limit is the same as none."""
    path = tmp_path / "dovecot.conf"
    limits = f" file_rotate_size = {text}\n file_rotate_interval = infinite\n"
    path.write_text(f"{HEAD}event_exporter x {{\n driver = file\n format = json\n file_path = /x\n{limits}}}\n")
    driver = make_driver(load_config(path).exporters["x"])
    assert isinstance(driver, FileDriver)
    assert driver.rotate_size == expected
    assert driver.router() is None


@pytest.mark.parametrize(
    ("path", "template", "base", "default"),
    [
        ("/log/events.json", "", "/log", "events.json"),
        ("events.json", "", ".", "events.json"),
        ("/events.json", "", "/", "events.json"),
        ("/log", "{user}", "/log", "log"),
    ],
)
def test_base(path: str, template: str, base: str, default: str) -> None:
    """Files are below a directory that the configuration names."""
    driver = FileDriver(path, file_path_template=template)
    assert (driver.base, driver.default_path) == (base, default)


@pytest.mark.parametrize(
    ("settings", "events"),
    [
        ({}, 500),
        ({"file_compression": "gzip"}, 10_000),
        ({"file_path_template": "{user}"}, 10_000),
        ({"file_rotate_interval_msec": 1000}, 10_000),
        ({"file_rotate_size": 1000}, 500),
    ],
)
def test_batches(settings: dict[str, Any], events: int) -> None:
    """Batches are larger where they are compressed or spread over files."""
    assert FileDriver("/x", **settings).max_batch_events == events


@pytest.mark.parametrize("writing", ["append", "shards"])
@pytest.mark.parametrize("path", ["file:///var/x.json", "FILE://localhost/var/x.json"])
def test_a_file_url_is_told_to_be_a_path(path: str, writing: str) -> None:
    """No store has such URLs: as shards they would end in a directory called `file:`."""
    with pytest.raises(DriverSettingError, match=r"write its path, /var/x\.json"):
        FileDriver(path, file_writing=writing)


@pytest.mark.parametrize("path", ["gs://bucket", "gs://", "gs:///folder/events.json"])
def test_a_url_without_a_place_in_a_bucket(path: str) -> None:
    """Such a URL would otherwise become a local directory called `gs:`."""
    with pytest.raises(DriverSettingError, match="has no path within a bucket; write it as gs://BUCKET/FOLDER"):
        FileDriver(path, file_writing="shards")
