"""The archive of sources and the wheel, built from pyproject.toml alone, and the version, which is in one place."""

from __future__ import annotations

import email
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from docs.markdown_pages import HOSTS

from support.pages.documents import ROOT
from support.programs import HANG_SECS, unpack

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = ("transforms", "pipelines")
BESIDE = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".build", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "tests"
)


def build(source: Path, kind: str, out: Path) -> Path:
    """Builds a distribution, and returns it."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the repository, without what Python leaves in it."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("tree") / "copy", ignore=NOT_COPIED))


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of sources."""
    return build(tree, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the repository."""
    return build(tree, "wheel", tmp_path_factory.mktemp("wheel"))


def files_of(tree: Path) -> set[str]:
    """All files of the two packages."""
    return {str(path.relative_to(tree)) for top in FOLDERS for path in (tree / top).rglob("*") if path.is_file()}


def test_archive_of_sources(tree: Path, sdist: Path) -> None:
    """It has both packages whole, what tells about them, and nothing else."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == files_of(tree) | BESIDE


def test_wheel_of_the_archive(tree: Path, sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """The wheel that is built from the archive is that of the repository, byte for byte, and has every file."""
    with tarfile.open(sdist) as archive:
        unpack(archive, tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = build(unpacked, "wheel", tmp_path / "again")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert names == {f"dovebeam/{name}" for name in files_of(tree)}


def test_version_is_in_one_place(wheel: Path) -> None:
    """The command, the wheel and the newest entry of the changelog say what pyproject.toml says; no module does."""
    version = PROJECT["version"]
    command = [sys.executable, "-m", "dovebeam.pipelines.cli", "--version"]
    assert version in subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECS, check=True).stdout
    assert wheel.name.startswith(f"dovebeam-{version}-")
    entries = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(entry for entry in entries if entry != "Unreleased") == version
    literal = re.compile(rf"[\"']v?{re.escape(version)}[\"']")  # what an earlier version did may be told in words
    sources = [path for top in FOLDERS for path in (ROOT / top).rglob("*.py")]
    assert [path for path in sources if literal.search(path.read_text())] == []


def test_licence_and_addresses_are_in_the_wheel(wheel: Path) -> None:
    """The wheel has the licence's name and text, and addresses of documentation that help whoever looks at it."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (each for each in opened.namelist() if each.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(opened.read(name))
        text = opened.read(f"{name.removesuffix('METADATA')}licenses/LICENSE").decode()
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("License-File") == ["LICENSE"]
    assert text == (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    addresses = [line.partition(", ")[2] for line in told.get_all("Project-URL") or []]
    assert addresses
    assert all(urlsplit(address).scheme == "https" and urlsplit(address).hostname in HOSTS for address in addresses)


def test_versions_of_python() -> None:
    """Those that are promised begin with the least that is required, and Beam promises them, too; none is left out."""

    def promised(classifiers: list[str]) -> list[int]:
        found = [re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", each) for each in classifiers]
        return sorted(int(each[1]) for each in found if each)

    ours = promised(PROJECT["classifiers"])
    beams = promised(importlib.metadata.metadata("apache-beam").get_all("Classifier") or [])
    assert PROJECT["requires-python"] == f">=3.{ours[0]}"
    assert ours == [minor for minor in beams if ours[0] <= minor <= ours[-1]]


def test_reasons() -> None:
    """Each dependency has its reason beside it."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    bounded = [line for line in lines if re.search(r'"[a-z-]+(\[\w+\])?>=', line)]
    known = ("pytest>=", "ruff>=", "types-pycurl>=")
    assert len(bounded) > 20
    assert [line for line in bounded if "  # " not in line and not any(name in line for name in known)] == []


_FIRST_SAFE = {"aiohttp": (3, 14, 3), "pytest": (9, 0, 3), "uv": (0, 11, 6)}
"""The first version without a known advisory, of those direct dependencies that have had one since 2024."""


def test_bounds_exclude_known_advisories() -> None:
    """No bound allows a version with a known advisory, in whatever group it is."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    bounds = [re.match(r"([a-z-]+)(?:\[\w+\])?>=([0-9.]+)", each) for group in groups for each in group]
    known = [(each[1], tuple(map(int, each[2].split(".")))) for each in bounds if each and each[1] in _FIRST_SAFE]
    assert {name for name, _ in known} == set(_FIRST_SAFE)
    assert [(name, bound) for name, bound in known if bound < _FIRST_SAFE[name]] == []


def test_permissions(wheel: Path) -> None:
    """What is installed can be read by everybody, whatever the umask of who has built it."""
    with zipfile.ZipFile(wheel) as opened:
        modes = {info.external_attr >> 16 & 0o777 for info in opened.infolist() if not info.is_dir()}
    assert all(mode & 0o444 == 0o444 for mode in modes), modes
    assert os.path.getsize(wheel) < 2_000_000
