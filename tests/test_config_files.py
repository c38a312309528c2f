"""Configurations in an object store."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovebeam.transforms import load_config
from dovebeam.transforms.config.files import LocalFiles
from dovebeam.transforms.config.loading import load_config as load_with
from dovebeam.transforms.config_files import AnyFiles, read_config
from dovebeam.transforms.errors import ConfigError
from support.jobs.commands import HEAD, dovebeam, exporter, metric
from support.servers.gcs_emulator import GcsEmulator, gcs_emulator


@pytest.fixture(scope="module", name="gcs")
def _gcs() -> Iterator[GcsEmulator]:
    with gcs_emulator() as emulator:
        yield emulator


def put(gcs: GcsEmulator, **texts: str) -> str:
    """Stores configuration files in a folder; the URL of the one called `main`."""
    gcs.put({f"conf/{name}.conf": text.encode("utf-8", "surrogateescape") for name, text in texts.items()})
    return gcs.uri("conf/main.conf")


def test_includes_are_beside_the_file(gcs: GcsEmulator) -> None:
    """Names, patterns and braces are looked up in the store, in Dovecot's order; so are values from files."""
    main = put(
        gcs,
        main=HEAD + "!include sub/x*.conf\n!include {metrics,nosuch}.conf\n!include_try nosuch.conf\n",
        metrics="metric m {\n  exporter = x\n  filter = event=*\n  description = <text.conf\n}\n",
        text="all of them",
        **{"sub/x2": exporter("x", "drop"), "sub/x1": exporter("x", "log")},
    )
    config = load_config(main)
    assert config.exporters["x"].driver == "drop"
    assert [each.description for each in config.metrics] == ["all of them"]
    assert config.exporters["x"].place.path == gcs.uri("conf/sub/x1.conf")


def test_a_file_of_this_machine_includes_one_of_the_store(gcs: GcsEmulator, tmp_path: Path) -> None:
    """A URL is absolute, as is a path with a slash before it; both may stand in either kind of file."""
    local = tmp_path / "local.conf"
    local.write_text(exporter("x", "drop"))
    main = put(gcs, main=HEAD + f"!include {local}\n!include {gcs.uri('conf/m.conf')}\n", m=metric("m", "event=*", "x"))
    assert load_config(main).metrics[0].exporter == "x"
    outer = tmp_path / "outer.conf"
    outer.write_text(HEAD + f"!include {main}\n")
    assert load_config([outer]).metrics[0].exporter == "x"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("!include nosuch.conf\n", "conf/main.conf:3:10: no file matches 'gs://mail/conf/nosuch.conf'"),
        ("!include no*such.conf\n", "no file matches 'gs://mail/conf/no*such.conf'"),
        ("!include main.conf\n", "Recursive include file: gs://mail/conf/main.conf"),
        (metric("m", "<nosuch", "x"), "Can't open file gs://mail/conf/nosuch: No such object"),
        (
            exporter("x", "http-post", "json", "http_post_url = https://h/", "ssl_client_ca_file = ca.pem")
            + metric("m", "event=*", "x"),
            "must name a file on the workers: write an absolute path",
        ),
    ],
)
def test_problems(gcs: GcsEmulator, text: str, problem: str) -> None:
    """They have their place in the store."""
    with pytest.raises(ConfigError) as caught:
        load_config(put(gcs, main=HEAD + text))
    assert problem in str(caught.value)
    assert "gs://mail/conf/main.conf:" in str(caught.value)


def test_missing(gcs: GcsEmulator) -> None:
    """An object that is not there, a folder, and a bucket that is none are errors of the configuration."""
    put(gcs, main=HEAD)
    for url in (gcs.uri("conf/nosuch.conf"), gcs.uri("conf"), gcs.uri("conf/"), "gs://nosuch/x.conf", "nosuch://x/y"):
        ran = dovebeam("export", "--config", url, "--input", "x")
        assert ran.code == 78
        assert f"{url}: can't read the configuration: " in ran.err


def test_bytes_that_are_no_text(gcs: GcsEmulator) -> None:
    """Any bytes survive, compressed ones, too: nothing is unpacked."""
    gcs.put({"raw.gz": b"\xff\xc3\xa4\n"})
    assert AnyFiles().read(gcs.uri("raw.gz")) == "\udcffä\n"


def test_a_store_that_does_not_answer(tmp_path: Path) -> None:
    """Even what may be missing is an error then, since nobody knows whether it is."""

    class Silent(LocalFiles):
        def exists(self, path: str) -> bool:
            raise OSError(errno.EIO, "no answer", path)

    main = tmp_path / "main.conf"
    main.write_text(HEAD + "!include_try extra.conf\n")
    with pytest.raises(ConfigError, match=r"can't look for '.*extra\.conf': no answer"):
        load_with(main, files=Silent())


def test_relative_files_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a setting names, with or without `<`, is beside the file that names it, once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "ca.pem").write_text("x")
    for written in ("ca.pem", "<ca.pem"):
        settings = ("http_post_url = https://h/", f"ssl_client_ca_file = {written}")
        text = HEAD + exporter("x", "http-post", "json", *settings) + metric("m", "event=*", "x")
        (tmp_path / "conf" / "main.conf").write_text(text)
        reading = read_config("conf/main.conf")
        assert reading.config.exporters["x"].settings["ssl_client_ca_file"] == str(tmp_path / "conf" / "ca.pem")
