"""The model: typed access to settings, and the real configuration of the corpus."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from dovebeam.transforms.config import Settings, SourcePlace, load_config
from dovebeam.transforms.config.model import SettingEntry
from dovebeam.transforms.errors import ConfigError
from support.config_text import VERSIONS, accepted
from support.oracle.corpus import CORPUS


def test_the_real_configuration() -> None:
    """A whole server's file: every exporter and metric, in order, and not one warning."""
    config = load_config(CORPUS / "dovecot.conf", environ={})
    assert config.warnings == ()
    text = (CORPUS / "dovecot.conf").read_text("utf-8")
    lines = text.split("\n")
    assert [m.name for m in config.metrics] == [line.split()[1] for line in lines if line.startswith("metric ")]
    assert list(config.exporters) == [line.split()[1] for line in lines if line.startswith("event_exporter ")]
    assert pickle.loads(pickle.dumps(config)) == config
    for exporter in config.exporters.values():
        assert lines[exporter.place.line - 1] == f"event_exporter {exporter.name} {{"
        assert config.metrics_of(exporter.name)


def test_typed_access(tmp_path: Path) -> None:
    """A value has one type; asking for another is a mistake in the program."""
    body = "event_exporter x {\n format = json\n unix_connect_timeout = 2s\n http_client_max_idle_time = infinite\n}\n"
    settings = accepted(tmp_path, body).exporters["x"].settings
    assert (
        settings["event_exporter_unix_connect_timeout"] == settings.limit("event_exporter_unix_connect_timeout") == 2000
    )
    assert settings.limit("http_client_max_idle_time") is None
    assert settings.number("http_client_request_max_attempts") == 1
    assert settings.flag("http_client_proxy_ssl_tunnel") is True
    assert settings.written("http_client_request_timeout") == "1 min"
    assert settings.limit("http_client_response_hdr_max_size") == 200 * 1024
    assert not settings.is_explicit("http_client_request_timeout")
    assert settings.place("event_exporter_unix_connect_timeout") == SourcePlace("x.conf", 5)
    assert settings.place("event_exporter_driver") == SourcePlace("x.conf", 3)
    for ask in (settings.flag, settings.number):
        with pytest.raises(TypeError, match="event_exporter_driver"):
            ask("event_exporter_driver")
    with pytest.raises(KeyError):
        settings.text("nosuch")


def test_settings_are_values() -> None:
    """Equal, hashable and picklable by their content, and unchangeable."""
    entry = SettingEntry("log", "log", SourcePlace("", 0), True)
    one, other = Settings({"event_exporter_driver": entry}), Settings({"event_exporter_driver": entry})
    assert one == other
    assert hash(one) == hash(other)
    assert one != Settings({})
    assert one != {"event_exporter_driver": "log"}
    assert pickle.loads(pickle.dumps(one)) == one
    assert len(one) == 1
    assert str(SourcePlace("a", 3)) == "a:3"
    assert str(SourcePlace("a", 0)) == "a"
    with pytest.raises(AttributeError):
        one.other = 1  # type: ignore[attr-defined]


def test_load_config_raises_with_all_problems(tmp_path: Path) -> None:
    """Every problem at once, readable as text; the error can be pickled."""
    path = tmp_path / "x.conf"
    path.write_text(VERSIONS + "event_exporter x {\n formt = json\n drivr = log\n}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert len(caught.value.problems) == 2
    assert "did you mean 'driver'?" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def test_load_config_takes_paths_and_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One path, several, none; the process's environment unless another is given."""
    path = tmp_path / "x.conf"
    path.write_text(VERSIONS + "metric a {\n filter = a=$x\n description = $ENV:DOVEBEAM_TEST\n filter = a=b\n}\n")
    monkeypatch.setenv("DOVEBEAM_TEST", "here")
    assert load_config(str(path)).metrics[0].description == "here"
    assert load_config([path], environ={}).metrics[0].description == ""
    with pytest.raises(ValueError, match="no configuration file"):
        load_config([])


def test_import_is_light() -> None:
    """Reading a configuration needs neither Beam nor an HTTP library."""
    code = (
        "import sys; import dovebeam.transforms.config; "
        "print(sorted({'apache_beam', 'pycurl', 'numpy', 'ssl', 'asyncio'} & sys.modules.keys()))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
