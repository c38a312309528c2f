"""The structure of the project: who may import whom, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dovebeam.transforms.drivers import DRIVERS
from support.import_graph import Import, import_circles, imports_in

ROOT = Path(__file__).parents[1]
# No Beam: the core, and what puts it together.
CORE = ["errors", "values", "event", "filters", "formats", "codecs", "drivers", "config"]
PURE = [
    *CORE,
    "counter_file",
    "local_files",
    "temporary",
    "progress",
    "reject",
    "identity",
    "sources",
    "decoding",
    "time_range",
    "outcome",
    "tally",
    "plan",
    "delivering",
    "queues",
    "resending",
    "shards",
    "archives",
    "tailing",
    "pubsub",
]
WIRING = ["reading", "sharding", "streaming", "testing", "yaml"]

# Each layer and those it may import, apart from itself.
ALLOWED = {
    "errors": set(),
    "values": {"errors"},
    "event": {"errors", "values"},
    "filters": {"errors", "values", "event"},
    "formats": {"errors", "values", "event"},
    "codecs": {"errors", "values", "event", "formats"},
    "drivers": {"errors", "values", "event", "temporary", "local_files"},
    "config": {"errors", "filters", "formats", "drivers", "local_files"},
    "counter_file": set(),
    "local_files": set(),
    "temporary": {"local_files"},
    "progress": {"errors", "counter_file", "temporary"},
    "identity": set(),
    "reject": {"errors", "values"},
    "sources": {"errors", "codecs", "local_files", "values"},
    "decoding": {"errors", "event", "codecs", "reject", "sources"},
    "time_range": {"event"},
    "outcome": {"reject", "sources"},
    "tally": set(),
    "plan": {
        *("event", "filters", "formats", "codecs", "config", "drivers"),
        *("reject", "sources", "decoding", "time_range", "outcome"),
    },
    "delivering": {"errors", "drivers", "identity", "reject", "outcome", "plan"},
    "queues": {"errors", "drivers", "local_files", "sources", "outcome"},
    "resending": {
        *("errors", "event", "formats", "codecs", "config", "drivers"),
        *("reject", "sources", "decoding", "outcome", "plan"),
    },
    "shards": {"errors", "drivers", "local_files"},
    "archives": {"event", "codecs", "time_range", "shards"},
    "tailing": {"errors", "local_files", "sources"},
    "pubsub": {"errors", "drivers", "sources"},
}

# The folders of pipelines/ and those they may import, apart from themselves; a replay is an export, and a check reads
# the same kinds of input.
PIPELINES = {
    "options": set(),
    "terminal": {"options"},
    "jobs": {"terminal", "options"},
    "rejects": {"jobs"},
    "workers": {"terminal", "options"},
    "running": {"terminal", "options", "workers"},
    "ledger": {"terminal", "options", "jobs", "running"},
    "export": {"terminal", "options", "jobs", "rejects", "workers", "running", "ledger"},
    "replay": {"terminal", "options", "jobs", "running", "ledger", "export"},
    "archive": {"terminal", "options", "jobs", "rejects", "running", "ledger"},
    "stream": {"terminal", "options", "jobs", "rejects", "workers", "running", "ledger"},
    "check": {"terminal", "options", "jobs", "export"},
    "collect": {"terminal", "options"},
}


def modules(layer: str) -> list[Path]:
    """The files of a layer of transforms/."""
    folder = ROOT / "transforms" / layer
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def imported(path: Path) -> set[str]:
    """The names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("layer", PURE)
def test_dependency_direction(layer: str) -> None:
    """A layer imports only what stands below it, and no pure layer knows Beam."""
    files = modules(layer)
    assert files
    for path in files:
        for name in imported(path):
            assert not name.startswith("apache_beam"), f"{path} imports {name}"
            parts = name.split(".")
            if parts[:2] == ["dovebeam", "transforms"] and len(parts) > 2:
                assert parts[2] in ALLOWED[layer] | {layer}, f"{path} imports {name}"
            assert parts[:2] != ["dovebeam", "pipelines"], f"{path} imports {name}"


def test_every_folder_of_transforms_is_in_a_layer() -> None:
    """A new folder is put into the picture before it is used."""
    folders = {path.parent.name for path in (ROOT / "transforms").glob("*/__init__.py")}
    assert folders <= {*PURE, *WIRING}


@pytest.mark.parametrize("folder", PIPELINES)
def test_dependency_direction_of_pipelines(folder: str) -> None:
    """What the commands are made of knows no command, and only what stands below it."""
    files = sorted((ROOT / "pipelines" / folder).glob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            parts = name.split(".")
            if parts[:2] == ["dovebeam", "pipelines"] and len(parts) > 2:
                assert parts[2] in PIPELINES[folder] | {folder}, f"{path} imports {name}"


def test_every_folder_of_pipelines_has_its_place() -> None:
    """A new folder is put into the picture before it is used; the samples are data."""
    folders = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert folders == {*PIPELINES, "samples"}


@pytest.fixture(name="imports", scope="module")
def _imports() -> list[Import]:
    folders = {f"dovebeam.{name}": ROOT / name for name in ("transforms", "pipelines")}
    return imports_in({**folders, "": ROOT / "templates"})


def test_no_modules_import_each_other(imports: list[Import]) -> None:
    """No module needs itself by way of others, also not inside a function or for type checkers."""
    circles = import_circles(imports)
    assert not circles, "import circles:\n\n" + "\n\n".join("\n".join(map(str, circle)) for circle in circles)


def test_only_the_registry_imports_drivers(imports: list[Import]) -> None:
    """The parts of a driver know its settings, and all others know drivers by what the package offers."""
    drivers = {driver.__module__ for driver in DRIVERS.values()}
    allowed = {"dovebeam.transforms.drivers", "dovebeam.transforms.drivers.registry"}
    wrong = [each for each in imports if each.imported in drivers and each.importer not in allowed]
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.alone
@pytest.mark.parametrize("layer", CORE)
def test_importing_is_quick_and_brings_no_beam(layer: str) -> None:
    """Importing a package of the core takes under 0.2 s of CPU and does not load Beam."""
    code = (
        "import sys, time; start = time.process_time()\n"
        f"import dovebeam.transforms.{layer}\n"
        "assert not any(m.startswith('apache_beam') for m in sys.modules)\n"
        "print(time.process_time() - start)"
    )
    seconds = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    )
    assert seconds < 0.2


def test_templates_import_only_pipelines() -> None:
    """Entry points and what makes their metadata know the commands, nothing below them."""
    files = sorted((ROOT / "templates").rglob("*.py"))
    assert files
    for path in files:
        ours = {name for name in imported(path) if name.split(".")[0] == "dovebeam"}
        assert all(name.startswith("dovebeam.pipelines.") for name in ours), f"{path} imports {ours}"
