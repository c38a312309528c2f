"""What runs are called if nobody said so."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

import pytest

from dovebeam.pipelines.export.options import ExportOptions, add_arguments, parse_export
from dovebeam.pipelines.jobs import configuration
from dovebeam.pipelines.jobs.configuration import restrict
from dovebeam.transforms.config import Config, load_config
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.filesystems import match_files
from dovebeam.transforms.shards.layout import check_run_id
from support.jobs.commands import exporter, metric, write_config, write_events

EVENT = b'{"event":"e"}'


def options(folder: Path, *more: str) -> ExportOptions:
    """The options of an export of all JSON files."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    command = ["--config", str(folder / "dovecot.conf"), "--input", str(folder / "*.json"), *more]
    return parse_export(parser, command)


def config(folder: Path, *settings: str, filter_: str = "event=e"):
    """A configuration of one exporter into files."""
    settings = settings or ("file_writing = shards",)
    block = exporter("x", "file", "json", f"file_path = {folder}/out/o.json", *settings)
    return load_config([write_config(folder, block, metric("m", filter_, "x"))])


def run_id_of(asked: ExportOptions, config: Config, name=configuration.run_id_of) -> str:
    """What an export is called, by its options."""
    times = TimeRange(asked.start_time, asked.end_time)
    lines = asked.max_line_bytes
    return name(config, asked.input, input_format=asked.input_format, max_line_bytes=lines, time_range=times)


def run_id_of_input(asked: ExportOptions, config: Config) -> str:
    """The same, also by the files that are there."""
    return run_id_of(asked, config, partial(configuration.run_id_of_input, find=match_files))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with one file of events."""
    write_events(tmp_path, [EVENT])
    return tmp_path


def test_same_command_on_the_same_input(folder: Path) -> None:
    """It has the same name each time, one that can be in file names."""
    first, second = (run_id_of_input(options(folder), config(folder)) for _ in range(2))
    assert first == second == check_run_id(first)


@pytest.mark.parametrize(
    ("more", "settings"),
    [
        (("--start_time", "5"), {}),
        (("--max_line_bytes", "5k"), {}),
        (("--input_format", "json"), {}),
        ((), {"filter_": "event=f"}),
    ],
)
def test_what_another_run_is(folder: Path, more: tuple[str, ...], settings: dict[str, str]) -> None:
    """Whatever decides what is written is in the name."""
    usual = run_id_of(options(folder), config(folder))
    assert run_id_of(options(folder, *more), config(folder, **settings)) != usual


@pytest.mark.parametrize(
    "setting",
    ["file_compression = gzip", "file_rotate_size = 1M", "format = tab-text", "file_path_template = {user}.json"],
)
def test_settings_that_make_another_run(folder: Path, setting: str) -> None:
    """Also those of the exporter that shape its files."""
    usual = run_id_of(options(folder), config(folder))
    assert run_id_of(options(folder), config(folder, "file_writing = shards", setting)) != usual


def test_what_makes_no_other_run(folder: Path) -> None:
    """Where rejects go, who works and what errors show is no matter."""
    usual = run_id_of_input(options(folder), config(folder))
    more = ["--rejects", str(folder / "r"), "--debug", "--direct_num_workers=2"]
    assert run_id_of_input(options(folder, *more), config(folder)) == usual


def test_run_of_some_exporters(folder: Path) -> None:
    """Has the name of the run of all, and the same with and without files: it finishes what that left undone."""
    blocks = [exporter(name, "file", "json", f"file_path = {folder}/{name}", "file_writing = shards") for name in "ab"]
    whole = load_config([write_config(folder, *blocks, metric("m", "event=e", "a"), metric("n", "event=e", "b"))])
    for part in (restrict(whole, ["a"]), restrict(restrict(whole, ["a", "b"]), ["b"])):
        assert run_id_of(options(folder), part) == run_id_of(options(folder), whole)
        assert run_id_of_input(options(folder), part) == run_id_of_input(options(folder), whole)


def test_input_that_was_replaced(folder: Path) -> None:
    """The command of every night must not replace what it wrote the night before: other files are another run."""
    names = {run_id_of_input(options(folder), config(folder))}
    write_events(folder, [EVENT, EVENT])
    names.add(run_id_of_input(options(folder), config(folder)))
    write_events(folder, [EVENT], name="more.json")
    names.add(run_id_of_input(options(folder), config(folder)))
    os.utime(folder / "events.json", ns=(1, 1))  # another file of the same size
    names.add(run_id_of_input(options(folder), config(folder)))
    assert len(names) == 4


def test_input_is_looked_at_for_shards_only(folder: Path) -> None:
    """Nothing else has the name of the run in it."""
    usual = run_id_of_input(options(folder), config(folder, "file_writing = append"))
    write_events(folder, [EVENT, EVENT])
    assert run_id_of_input(options(folder), config(folder, "file_writing = append")) == usual
