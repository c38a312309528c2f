"""What a later Dovecot has: its block is left out with a warning, everything else is done; a mistake stays an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config import load_config
from dovebeam.transforms.config.known_names import Later, is_newer
from dovebeam.transforms.config.loading import read_config
from dovebeam.transforms.errors import ConfigError
from support.config_text import VERSIONS, messages, reading, warnings

NEWER = VERSIONS.replace("config_version = 2.4.0", "config_version = 2.4.7")
GOOD = "event_exporter good {\n driver = drop\n format = json\n}\nmetric g {\n filter = event=x\n exporter = good\n}\n"
USED = "metric m {\n filter = event=x\n exporter = x\n}\n"


def exporter(*lines: str) -> str:
    """An exporter x with these lines, and a metric m that names it."""
    return "event_exporter x {\n " + "\n ".join(lines) + "\n}\n" + USED


@pytest.mark.parametrize(
    ("version", "newer"),
    [
        ("2.4.4", False), ("2.4.5", True), ("2.4.10", True), ("2.5.0", True), ("2.10.0", True), ("2.3.21", False),
        ("0.0.0", False), ("3.0.0", False), ("2.5", False), ("", False), ("2.4.5x", False),
    ],
)  # fmt: skip
def test_newer_versions(tmp_path: Path, version: str, newer: bool) -> None:
    """A newer 2.x is a warning, and an error with `strict`; what is no version of Dovecot 2.4 or later is an error."""
    assert is_newer(version) == newer
    body = f"dovecot_config_version = {version}\ndovecot_storage_version = 2.4.0\n{GOOD}"
    found = reading(tmp_path, body, versions=False)
    assert any("is newer than this dovebeam" in text for text in warnings(found)) == newer
    assert (not messages(found)) == (newer or version in {"2.4.4", "0.0.0"})
    if newer:
        with pytest.raises(ConfigError, match="is newer than this dovebeam"):
            load_config(tmp_path / "x.conf", strict=True)


@pytest.mark.parametrize(
    ("versions", "lines"),
    [
        (VERSIONS, ("driver = opentelemetry", "format = json")),
        (VERSIONS, ("driver = log", "format = protobuf")),
        (VERSIONS, ("driver = log", "format = json", "event_exporter_opentelemetry_endpoint_url = http://h/")),
        (VERSIONS, ("driver = log", "format = json", "opentelemetry_timeout = 5s")),
        (NEWER, ("driver = kafka", "format = json")),
        (NEWER, ("driver = log", "format = cbor")),
        (NEWER, ("driver = log", "format = json", "time_format = tai64")),
        (NEWER, ("driver = log", "format = json", "frobnicate = 5s")),
        (NEWER, ("driver = log", "format = json", "frobnicate x {", "}")),
        (
            NEWER,
            ("driver = $SET:metric_description", "format = json", "}", "metric_description = kafka", "service x {"),
        ),
    ],
)
def test_exporter_is_left_out(tmp_path: Path, versions: str, lines: tuple[str, ...]) -> None:
    """A driver, format, value, setting or block: the exporter and its metrics are gone, the others are not."""
    found = reading(tmp_path, versions + exporter(*lines) + GOOD, versions=False)
    assert messages(found) == []
    assert list(found.config.exporters) == ["good"]
    assert [metric.name for metric in found.config.metrics] == ["g"]
    assert [(each.kind, each.name) for each in found.config.left_out] == [("event_exporter", "x"), ("metric", "m")]
    said = "\n".join(warnings(found))
    assert "this dovebeam does not know" in said
    assert "event_exporter x is left out: nothing goes to it, and of metric m nothing is exported" in said
    strict = read_config(tmp_path / "x.conf", strict=True)
    assert any("this dovebeam does not know" in text for text in messages(strict))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((" export_sample_by = user",), "'export_sample_by' belongs to Dovecot 2.4.6"),
        ((" metric_export_sample_by = user",), "'metric_export_sample_by' belongs to Dovecot 2.4.6"),
        ((" filter = event=x AND log_level=error",), "'log_level' in a filter belongs to Dovecot 2.4.6"),
    ],
)
def test_metric_is_left_out(tmp_path: Path, lines: tuple[str, ...], why: str) -> None:
    """A setting or a filter's key: the metric is gone, its exporter is not."""
    body = "metric m {\n filter = event=x\n exporter = good\n" + "\n".join(lines) + "\n}\n"
    found = reading(tmp_path, GOOD + body)
    assert messages(found) == []
    assert [metric.name for metric in found.config.metrics] == ["g"]
    assert why in "\n".join(warnings(found))
    assert "metric m is left out" in "\n".join(warnings(found))
    assert any(why in text for text in messages(read_config(tmp_path / "x.conf", strict=True)))


@pytest.mark.parametrize(
    ("versions", "lines", "hint"),
    [
        (VERSIONS, ("driver = fiel", "format = json"), "log, file, unix"),
        (VERSIONS, ("driver = kafka", "format = json"), "log, file, unix"),
        (VERSIONS, ("driver = log", "format = cbor"), "unknown format"),
        (VERSIONS, ("driver = log", "format = json", "frobnicate = 1"), "unknown setting 'frobnicate'"),
        (NEWER, ("driver = fiel", "format = json"), "did you mean 'file'?"),
        (NEWER, ("driver = log x", "format = json"), "log, file, unix"),
        (NEWER, ("driver = log", "format = jsn"), "did you mean 'json'?"),
        (NEWER, ("driver = log", "format = json", "time_fromat = unix"), "did you mean 'time_format'?"),
        (NEWER, ("driver = log", "format = json", "file_compression = lz4x"), "none, gzip, zstd"),
        (NEWER, ("driver = log", "format = json", "transport = log"), "Dovecot 2.3"),
    ],
)
def test_mistakes_stay_errors(tmp_path: Path, versions: str, lines: tuple[str, ...], hint: str) -> None:
    """What is near to a known name, or unknown although the version is known; dovebeam's own settings always."""
    found = reading(tmp_path, versions + exporter(*lines), versions=False)
    assert hint in "\n".join(messages(found))
    assert not found.config.left_out


def test_outside_of_blocks(tmp_path: Path) -> None:
    """A default for a later driver or metric has no effect, and leaves nothing out."""
    found = reading(tmp_path, "event_exporter_opentelemetry_endpoint_url = http://h/\n" + GOOD)
    assert messages(found) == []
    assert "it has no effect" in warnings(found)[0]
    assert not found.config.left_out


def test_default_driver(tmp_path: Path) -> None:
    """A later driver that is set outside leaves out the exporters that have it."""
    found = reading(tmp_path, "event_exporter_driver = opentelemetry\n" + exporter("format = json") + GOOD)
    assert messages(found) == []
    assert list(found.config.exporters) == ["good"]


def test_groups(tmp_path: Path) -> None:
    """A later setting in a group leaves out the metric that includes it."""
    group = "group @metric s {\n export_sample_by = user\n}\n"
    found = reading(tmp_path, GOOD + group + "metric m {\n filter = event=x\n exporter = good\n @metric = s\n}\n")
    assert messages(found) == []
    assert [metric.name for metric in found.config.metrics] == ["g"]


def test_words_only() -> None:
    """What cannot be a name is a mistake, whatever version is stated."""
    assert Later("2.9.0").about("kafka", ()) == "may belong to Dovecot 2.9.0, which this dovebeam does not know"
    for name in ("", "a b", "Kafka", "x" * 100, "1"):
        assert Later("2.9.0").about(name, ()) == ""
