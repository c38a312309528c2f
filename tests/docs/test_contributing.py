"""CONTRIBUTING.md, followed to the letter: a driver and a setting are added to a copy of the installed package."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dovebeam.transforms
from support.pages.documents import Block, blocks_of
from support.programs import HANG_SECS

PAGE = "CONTRIBUTING.md"
EVENT = {"event": "auth_request_finished", "hostname": "mx1", "fields": {"user": "joe"}}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as it is after all steps of the page."""
    home = tmp_path_factory.mktemp("contributor")
    installed = Path(str(dovebeam.transforms.__file__)).parents[1]
    shutil.copytree(installed, home / "dovebeam", ignore=shutil.ignore_patterns("__pycache__"))
    for block in blocks_of(PAGE):
        if block.file:
            path = home / "dovebeam" / block.file
            assert not path.exists(), f"{block.place}: {block.file} is there already"
            path.write_text(block.text)
        elif block.language == "diff":
            path = home / "dovebeam" / changed_file(block)
            path.write_text(changed(path.read_text(), block))
    return home


def changed_file(block: Block) -> str:
    """The file that the paragraph before a block of changes names last."""
    found = re.findall(r"hange `([^`]+)`:\Z", block.lead)
    assert found, f"{block.place}: which file is changed?"
    return str(found[0])


def changed(text: str, block: Block) -> str:
    """A text with the changes of a block; what is around them has to be there, in its order and once."""
    at = 0
    for hunk in hunks_of(block.text):
        before = "".join(line[1:] for line in hunk if not line.startswith("+"))
        after = "".join(line[1:] for line in hunk if not line.startswith("-"))
        assert text.count(before) == 1, f"{block.place}: once in the file must stand:\n{before}"
        assert text.index(before) >= at, f"{block.place}: out of order:\n{before}"
        at = text.index(before) + len(after)
        text = text.replace(before, after)
    return text


def hunks_of(text: str) -> Iterator[list[str]]:
    """The changes, which lines with @@ divide."""
    for part in re.split(r"^@@.*\n", text, flags=re.MULTILINE):
        yield part.splitlines(keepends=True)


def run(package: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with the changed package."""
    environ = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=package,
        env=environ,
        capture_output=True,
        text=True,
        timeout=HANG_SECS,
        check=False,
    )


def configuration(package: Path, name: str, *lines: str) -> Path:
    """Two files of a configuration with an exporter of the new driver."""
    path = package / f"{name}.conf"
    exporter = "\n".join(["  driver = datagram", "  format = json", *(f"  {line}" for line in lines)])
    path.write_text(
        "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
        f"event_exporter wire {{\n{exporter}\n}}\n"
        "metric logins {\n  filter = event=auth_request_finished\n  exporter = wire\n}\n"
    )
    return path


def check(package: Path, config: Path) -> tuple[int, str]:
    """What `dovebeam check` says of a configuration."""
    done = run(package, "-m", "dovebeam.pipelines.cli", "check", "--config", str(config))
    return done.returncode, done.stdout + done.stderr


def test_a_value_that_cannot_be_is_refused_with_its_place(package: Path) -> None:
    """Types, limits and names of the new settings are checked, each with the file and line of its value."""
    config = configuration(
        package,
        "wrong",
        "datagram_port = many",
        "datagram_max_size = 1 parsec",
        "datagram_hots = h",
        "datagram_host = h",
    )
    code, said = check(package, config)
    assert code != 0
    assert "wrong.conf:6:19: datagram_port: Invalid number many" in said
    assert "wrong.conf:7:23: datagram_max_size: Invalid size: 1 parsec" in said
    assert "did you mean 'datagram_host'?" in said
    code, said = check(package, configuration(package, "zero", "datagram_port = 0"))
    assert code != 0
    assert "zero.conf:6: event_exporter wire: event_exporter_datagram_port: it must not be 0" in said


def test_settings_are_shown_and_defaults_are_one(package: Path) -> None:
    """`check` shows what was set as an extension of dovebeam; the class has the defaults of the configuration."""
    code, said = check(package, configuration(package, "right", "datagram_max_size = 2k"))
    assert code == 0, said
    assert re.search(r"wire +datagram_max_size +2k +dovebeam +\S*right\.conf:6", said), said
    program = (
        "from dovebeam.transforms.config import load_config, make_driver\n"
        "from dovebeam.transforms.drivers.datagram import DatagramDriver\n"
        "made = make_driver(load_config('right.conf').exporters['wire'])\n"
        "assert made == DatagramDriver(datagram_max_size=2048), made\n"
        "assert DatagramDriver().datagram_port == 9000\n"
    )
    assert run(package, "-c", program).stderr == ""


def test_an_event_is_delivered_and_a_longer_one_rejected(package: Path) -> None:
    """`dovebeam export` sends by the new driver, and its limit makes rejects."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(HANG_SECS)
        port = server.getsockname()[1]
        config = configuration(
            package, "send", "datagram_host = 127.0.0.1", f"datagram_port = {port}", "datagram_max_size = 500"
        )
        long = {**EVENT, "fields": {"user": "j" * 600}}
        (package / "events.json").write_text("".join(json.dumps(event) + "\n" for event in (EVENT, long)))
        done = run(
            package, "-m", "dovebeam.pipelines.cli", "export", "--config", str(config), "--input", "events.json",
            "--rejects", "rejects.json", "--ledger", "ledger.json",
        )  # fmt: skip
        assert json.loads(server.recv(65536))["fields"] == {"user": "joe"}, done.stderr
    rejects = (package / "rejects.json").read_text()
    assert "too long for a datagram" in rejects, done.stderr
