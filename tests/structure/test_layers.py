"""The three rules of the house: who may import whom, where Beam is, and what an import costs."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from structure import figures

from dovebeam.transforms.drivers import DRIVERS


@functools.cache
def by_path() -> dict[str, figures.Module]:
    """All modules."""
    return {each.path: each for each in figures.modules()}


@functools.cache
def by_name() -> dict[str, figures.Module]:
    """All modules, by the name that imports have."""
    return {each.name: each for each in figures.modules()}


# The folders of transforms/ and the ones each may import, apart from itself and `FLAT`.
FOLDERS = {
    "events": set(),
    "filters": {"events"},
    "formats": {"events"},
    "codecs": {"events", "formats"},
    "drivers": {"events"},
    "config": {"filters", "formats", "drivers"},
    "sources": {"events", "codecs", "drivers"},
    "shards": {"events", "codecs", "drivers"},
    "plan": {"events", "filters", "formats", "codecs", "drivers", "config", "sources"},
}
# Flat modules without Beam, which the folders may import.
FLAT = {"errors", "local_files", "progress"}
# Folders in which Beam is allowed: the other language's transforms, and helpers for tests of pipelines.
WITH_BEAM = {"yaml", "testing"}
# Flat modules without a transform of their name: three sources of streams with what they share, and what many share.
SHARED = {
    "coders",
    "read_from_streams",
    "filesystems",
    "config_files",
    "counters",
    "error_handling",
    "rows",
    "shard_steps",
}

# The folders of pipelines/ and the ones each may import: what commands share first, then the commands. A replay is an
# export, and a check reads the same kinds of input.
PIPELINES = {
    "terminal": set(),
    "options": {"terminal"},
    "jobs": {"terminal", "options"},
    "running": {"terminal", "options"},
    "ledger": {"terminal", "options", "jobs", "running"},
    "export": {"terminal", "options", "jobs", "running", "ledger"},
    "replay": {"terminal", "options", "jobs", "running", "ledger", "export"},
    "archive": {"terminal", "options", "jobs", "running", "ledger"},
    "stream": {"terminal", "options", "jobs", "running", "ledger"},
    "check": {"terminal", "options", "jobs", "export"},
    "collect": {"terminal", "options"},
}


def in_folders(top: str) -> Iterator[tuple[str, figures.Module]]:
    """The modules in folders of transforms/ or pipelines/, with the name of the folder right below."""
    for path, module in by_path().items():
        parts = path.split("/")
        if parts[0] == top and len(parts) > 2:
            yield parts[1], module


def neighbours(module: figures.Module) -> Iterator[tuple[str, str]]:
    """What a module imports of ours: transforms or pipelines, and the folder or module right below."""
    for path in figures.imports(module, by_name()):
        top, below = path.split("/")[:2]
        yield top, below.removesuffix(".py")


def uses_beam(module: figures.Module) -> bool:
    """Whether a module imports Beam itself."""
    return any(name.split(".")[0] == "apache_beam" for name in figures.imported_names(module))


def test_folders_of_transforms_do_not_import_beam() -> None:
    """Rule 1: a folder never imports Beam, itself or by a flat module."""
    for folder, module in in_folders("transforms"):
        if folder not in WITH_BEAM:
            assert not uses_beam(module), module.path
    for name in FLAT:
        assert not uses_beam(by_path()[f"transforms/{name}.py"])


def test_flat_modules_are_transforms() -> None:
    """Rule 1: a flat module is a Beam transform and is named for it, or it is one of a few that are listed above."""
    flat = {path.split("/")[1].removesuffix(".py") for path in by_path() if path.count("/") == 1 and path[0:2] == "tr"}
    for name in flat - FLAT - SHARED - {"__init__"}:
        module = by_path()[f"transforms/{name}.py"]
        assert uses_beam(module), module.path
        assert f"class {name.title().replace('_', '')}(" in module.text.replace("PubSub", "Pubsub"), module.path
    assert flat > FLAT | SHARED


@pytest.mark.parametrize("folder", FOLDERS)
def test_direction_of_transforms(folder: str) -> None:
    """A folder imports only those that its line of the table names."""
    modules = [module for name, module in in_folders("transforms") if name == folder]
    assert modules
    for module in modules:
        for top, below in neighbours(module):
            assert top == "transforms", module.path
            assert below in FOLDERS[folder] | FLAT | {folder}, f"{module.path} imports {below}"


def test_no_transform_imports_pipelines() -> None:
    """The library knows nothing of the commands."""
    for path, module in by_path().items():
        if path.startswith("transforms/"):
            assert all(top == "transforms" for top, _ in neighbours(module)), path


def test_every_folder_has_its_line() -> None:
    """A new folder is put into the picture before it is used."""
    assert {folder for folder, _ in in_folders("transforms")} == {*FOLDERS, *WITH_BEAM}
    assert {folder for folder, _ in in_folders("pipelines")} == set(PIPELINES)


def test_the_tables_have_no_circle() -> None:
    """The lines of the tables are in an order in which each names only earlier ones."""
    for table in (FOLDERS, PIPELINES):
        seen: set[str] = set()
        for name, allowed in table.items():
            assert allowed <= seen, name
            seen.add(name)


@pytest.mark.parametrize("folder", PIPELINES)
def test_direction_of_pipelines(folder: str) -> None:
    """Rule 2: what commands share knows no command, and a command imports only what stands before it."""
    modules = [module for name, module in in_folders("pipelines") if name == folder]
    assert modules
    for module in modules:
        for top, below in neighbours(module):
            if top == "pipelines":
                assert below in PIPELINES[folder] | {folder}, f"{module.path} imports {below}"


def test_only_the_registry_imports_drivers() -> None:
    """Rule 3: the parts of a driver know its settings, and all others know drivers by what the package offers."""
    drivers = {by_name()[driver.__module__].path for driver in DRIVERS.values()}
    allowed = {"transforms/drivers/__init__.py", "transforms/drivers/registry.py"}
    for path, module in by_path().items():
        assert path in allowed or not drivers & figures.imports(module, by_name()), path


def test_mypy_has_the_same_folders() -> None:
    """Only where Beam is, mypy lets untyped calls pass."""
    text = (figures.ROOT / "pyproject.toml").read_text()
    overrides = tomllib.loads(text)["tool"]["mypy"]["overrides"]
    (strict,) = [each["module"] for each in overrides if each.get("disallow_untyped_calls")]
    assert set(strict) == {f"dovebeam.transforms.{folder}.*" for folder in FOLDERS}


def cpu_seconds(code: str, cache: Path) -> float:
    """What a Python takes that runs it, the best of some runs; all is compiled, as pip leaves it."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = str(cache)
    command = [sys.executable, "-c", f"import time\n{code}\nprint(time.process_time())"]
    runs = [subprocess.run(command, env=environ, capture_output=True, text=True, check=True) for _ in range(5)]
    return min(float(run.stdout) for run in runs)


@pytest.mark.alone
@pytest.mark.parametrize("layer", ["errors", "events", "filters", "formats", "codecs", "drivers", "config"])
def test_importing_is_quick_and_brings_no_beam(layer: str, tmp_path: Path) -> None:
    """Importing a package of the core takes under four times the CPU of asyncio, about 0.2 s, and does not load Beam."""
    code = f"import sys, dovebeam.transforms.{layer}\nassert not any(m.startswith('apache_beam') for m in sys.modules)"
    assert cpu_seconds(code, tmp_path) < 4 * cpu_seconds("import asyncio", tmp_path)


def test_a_configuration_is_read_without_connections() -> None:
    """The table of settings imports what declares them; connections and their libraries are loaded where one opens."""
    heavy = {"apache_beam", "pycurl", "zstandard", "ssl", "google", "requests", "hashlib", "tempfile", "shutil", "json"}
    connections = {"http.transfers", "http.requests", "http.handles", "file.append", "log.syslog", "log.streams"}
    # Less what Python has loaded before: where coverage is measured, that is a lot.
    code = "import sys; before = set(sys.modules); import dovebeam.transforms.config; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    loaded = set(ran.stdout.split())
    assert "dovebeam.transforms.drivers.http.settings" in loaded, ran.stderr
    assert not loaded & (heavy | {f"dovebeam.transforms.drivers.{each}" for each in connections})


def test_templates_import_only_pipelines() -> None:
    """Entry points and what makes their metadata know the commands, nothing below them."""
    templates = [module for path, module in by_path().items() if path.startswith("templates/")]
    assert templates
    for module in templates:
        ours = {name for name in figures.imported_names(module) if name.split(".")[0] == "dovebeam"}
        assert all(name.startswith("dovebeam.pipelines") for name in ours), f"{module.path} imports {ours}"
