"""The rooms of pipelines/: a command is a folder with a light door, and functions take what they need."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINES = Path(__file__).parents[2] / "pipelines"
COMMANDS = ["export", "replay", "archive", "stream", "check", "collect"]
JOBS = ["export", "replay", "archive", "stream"]
# Commands that read the configuration of a job; `check` reads any, and tells what is wrong itself.
CONFIGURED = ["export", "replay", "stream"]
# Imports within functions beside the one of each command, with what they keep away until it is needed.
DOORS = {
    ("cli.py", "main"): "all modules: Ctrl-C while they are loaded ends the process without a traceback",
    ("cli.py", "run"): "how a process ends, for the same reason",
    ("command_line.py", "__call__"): "importlib.metadata, for --version alone",
    ("options/arguments.py", "check_named_run"): "the layout of shards, for --run_id alone",
    ("options/arguments.py", "_is_beams"): "Beam, for an option that looks misspelt",
    ("terminal/tables.py", "_show_on_terminal"): "rich, for terminals alone",
    ("terminal/progress_bar.py", "_make"): "rich, for terminals alone",
    ("running/boot.py", "main"): "Beam, before which the log must be set up",
    ("running/worker.py", "main"): "Beam, while whose import the launcher is watched already",
    ("collect/service.py", "_peers"): "aiohttp, an extra",
}


def names_of(tree: ast.AST) -> set[str]:
    """All names that code uses, those in annotations and in texts of annotations among them."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found | {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names}


def doors_of(path: Path) -> dict[str, list[str]]:
    """Modules that are imported within functions, by the function."""
    found: dict[str, list[str]] = {}
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    found.setdefault(function.name, []).extend(each.name for each in node.names)
                elif isinstance(node, ast.ImportFrom):
                    found.setdefault(function.name, []).append(node.module or "")
    return found


def test_walk_of_the_options_of_an_export() -> None:
    """They pass at most ten modules, all of the two commands that export; everything else takes what it needs."""
    walk = {path for path in PIPELINES.rglob("*.py") if "ExportOptions" in names_of(ast.parse(path.read_text()))}
    assert len(walk) <= 10
    assert {path.parent.name for path in walk} == {"export", "replay"}


@pytest.mark.parametrize(
    ("options", "rooms"),
    [
        ("ReplayOptions", {"replay"}),
        ("ArchiveOptions", {"archive"}),
        ("StreamOptions", {"stream"}),
        ("CheckOptions", {"check"}),
        ("CollectOptions", {"collect"}),
    ],
)
def test_options_stay_in_the_room_of_their_command(options: str, rooms: set[str]) -> None:
    """No protocol and no module that several commands share knows them."""
    users = [path for path in PIPELINES.rglob("*.py") if options in names_of(ast.parse(path.read_text()))]
    assert {path.parent.name for path in users} == rooms


@pytest.mark.parametrize("command", COMMANDS)
def test_one_heavy_import_door(command: str) -> None:
    """A command's door imports one module of its own folder, when its options, and its configuration, are known."""
    (modules,) = doors_of(PIPELINES / command / "command.py").values()
    *before, heavy = modules
    assert before == (["dovebeam.pipelines.jobs.configuration"] if command in CONFIGURED else [])
    assert heavy.startswith(f"dovebeam.pipelines.{command}.")
    assert (PIPELINES / command / "options.py").is_file()


def test_reading_a_configuration_loads_no_beam() -> None:
    """What is wrong with it is told before the seconds that Beam takes."""
    code = (
        "import sys, dovebeam.pipelines.jobs.configuration\n"
        "heavy = {'apache_beam', 'rich', 'numpy', 'pycurl', 'aiohttp', 'grpc', 'ssl'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_no_other_imports_within_functions() -> None:
    """Those that there are keep something away that is slow, or may be missing."""
    found = {
        (str(path.relative_to(PIPELINES)), function)
        for path in PIPELINES.rglob("*.py")
        if path.name != "command.py"
        for function in doors_of(path)
    }
    assert found == set(DOORS)


@pytest.mark.parametrize("job", JOBS)
def test_a_module_for_schedulers(job: str) -> None:
    """`python -m` runs the job by its folder."""
    command = [sys.executable, "-m", f"dovebeam.pipelines.{job}", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"usage: python -m dovebeam.pipelines.{job} ")


def test_doors_are_light() -> None:
    """Neither the doors nor the options of any command load Beam, or what a configuration needs."""
    modules = [f"dovebeam.pipelines.{each}.{part}" for each in COMMANDS for part in ("command", "options")]
    code = (
        f"import sys, {', '.join(modules)}\n"
        "heavy = {'apache_beam', 'rich', 'numpy', 'msgspec', 'pycurl', 'aiohttp', 'grpc'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
