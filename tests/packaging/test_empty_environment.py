"""dovebeam alone in an environment of its own, on the lowest versions of everything that pyproject.toml allows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from support.pages.documents import ROOT
from support.programs import HANG_SECS

# What uses the libraries that have bounds; `make test-lowest` runs the whole core.
CORE = ["tests/formats", "tests/events", "tests/filters/test_filter.py", "tests/codecs/test_json_line.py"]
CORE += [
    "tests/drivers/http/test_http_post.py",
    "tests/drivers/file/test_file_compression.py",
    "tests/test_transforms.py",
]
CORE += ["tests/sources", "--ignore=tests/sources/pubsub"]  # Pub/Sub needs an extra


def run(*command: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command, without an input."""
    words = list(map(str, command))
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=HANG_SECS, check=False, stdin=subprocess.DEVNULL
    )


def uv(*arguments: object) -> None:
    """uv, which is a module of the environment of the tests."""
    done = run(sys.executable, "-m", "uv", "--quiet", *arguments)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with dovebeam and the lowest versions of what it needs; no extra."""
    folder = tmp_path_factory.mktemp("lowest")
    lowest, made = folder / "lowest.txt", folder / "environment"
    uv("pip", "compile", "--resolution=lowest-direct", f"--output-file={lowest}", ROOT / "pyproject.toml")
    uv("venv", f"--python={sys.executable}", made)
    wheels = folder / "wheels"
    done = run(sys.executable, "-m", "build", "--no-isolation", "--wheel", f"--outdir={wheels}", ROOT)
    assert done.returncode == 0, done.stderr
    uv("pip", "install", f"--python={made}/bin/python", "-r", lowest, *wheels.glob("*.whl"))
    return made


def test_versions_are_the_lowest(environment: Path) -> None:
    """What is installed are the bounds, or the first release behind them."""
    code = "import importlib.metadata as m, sys; print(*(m.version(n) for n in sys.argv[1:]))"
    bounds = [
        re.match(r"([\w-]+)>=([\d.]+)", each)
        for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ]
    names = [bound[1] for bound in bounds]
    installed = run(environment / "bin/python", "-c", code, *names).stdout.split()
    assert len(installed) == len(names) > 5
    for bound, found in zip(bounds, installed, strict=True):
        assert _numbers(found)[:2] == _numbers(bound[2])[:2], bound[0]
    assert installed != [version(name) for name in names]


def _numbers(text: str) -> list[int]:
    return [*map(int, re.findall(r"\d+", text)), 0]


def test_check_and_export(environment: Path, tmp_path: Path) -> None:
    """`pip install dovebeam` is enough to check a configuration and to run an export."""
    dovebeam = environment / "bin" / "dovebeam"
    assert run(dovebeam, "demo", tmp_path / "demo").returncode == 0
    config, events = tmp_path / "demo" / "dovecot.conf", tmp_path / "demo" / "events.json.gz"
    checked = run(dovebeam, "check", "--config", config, "--input", events, folder=tmp_path)
    assert checked.returncode == 0, checked.stderr
    for written in (tmp_path / "demo" / "out").iterdir():
        written.unlink()
    exported = run(dovebeam, "export", "--config", config, "--input", events, folder=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert any(written.stat().st_size for written in (tmp_path / "demo" / "out").iterdir())


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("collect --listen http://127.0.0.1:0/ --spool spool", "dovebeam[collect]"),
        ("stream --config dovecot.conf --input_subscription projects/my-project/subscriptions/one --rejects r", "gcp"),
    ],
)
def test_extras(command: str, extra: str, environment: Path, tmp_path: Path) -> None:
    """What needs an extra says which, in a line."""
    config = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
    config += (
        "event_exporter x {\n  driver = drop\n  format = json\n}\nmetric m {\n  filter = event=*\n  exporter = x\n}\n"
    )
    (tmp_path / "dovecot.conf").write_text(config)
    ran = run(environment / "bin" / "dovebeam", *command.split(), folder=tmp_path)
    assert ran.returncode != 0
    assert extra in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_core(environment: Path) -> None:
    """Filters, formats, codecs, drivers and transforms behave as on the newest versions."""
    uv("pip", "install", f"--python={environment}/bin/python", "pytest", "hypothesis")
    options = ["-q", "-W", "default", "-p", "no:cacheprovider", "--hypothesis-profile=few"]
    ran = run(environment / "bin/python", "-m", "pytest", *options, *CORE)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert " passed" in ran.stdout
