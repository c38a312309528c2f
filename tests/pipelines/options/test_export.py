"""The options of an export."""

from __future__ import annotations

import argparse

import pytest

from dovebeam.pipelines.export.options import ExportOptions, add_arguments, parse_export
from dovebeam.pipelines.terminal.exit_codes import UsageError

NEEDED = ["--config", "c", "--input", "i"]


def parse(*arguments: str) -> ExportOptions:
    """The options of a command line that has what it needs."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return parse_export(parser, [*NEEDED, *arguments])


def test_defaults() -> None:
    """What is not said has the documented default."""
    options = parse()
    assert options == ExportOptions(config=("c",), input=("i",))
    assert options.max_line_bytes == 16 * 1024 * 1024


def test_every_option() -> None:
    """Each option arrives, repeated ones in their order, with and without an equals sign."""
    options = parse(
        *("--config=d", "--input", "j", "--input_format=tab-text", "--rejects", "r", "--ledger=l"),
        *("--start_time", "2026-11-22T08:00:00Z", "--end_time=1795335547.5", "--preview", "p"),
        *("--max_line_bytes", "512K", "--wait", "--debug"),
    )
    assert options == ExportOptions(
        config=("c", "d"),
        input=("i", "j"),
        input_format="tab-text",
        rejects="r",
        ledger="l",
        start_time=1_795_334_400_000_000,
        end_time=1_795_335_547_500_000,
        preview="p",
        max_line_bytes=512 * 1024,
        wait=True,
        debug=True,
    )


def test_rejects_as_input() -> None:
    """They are asked for by name, with a maximum of attempts."""
    assert parse("--input_format", "rejects").max_attempts == 10
    assert parse("--input_format", "rejects", "--max_attempts", "3").max_attempts == 3


def test_beams_options_pass() -> None:
    """What is not ours is left for Beam, values included, wherever it stands."""
    options = parse("--direct_num_workers=2", "--temp_location", "gs://b/t", "--rejects", "r", "--streaming")
    assert options.beam == ("--direct_num_workers=2", "--temp_location", "gs://b/t", "--streaming")
    assert options.rejects == "r"


@pytest.mark.parametrize("name", ["--project", "--parallelism"])
def test_beams_names_that_look_like_ours(name: str) -> None:
    """A real option of Beam passes although it resembles one of ours; something that is neither near passes, too."""
    assert parse(f"{name}=x").beam == (f"{name}=x",)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--inputs", "x"], "did you mean --input?"),
        (["--confg=x"], "did you mean --config?"),
        (["--reject=x"], "did you mean --rejects?"),
        (["--start-time=1"], "did you mean --start_time?"),
        (["--maxlinebytes=1"], "did you mean --max_line_bytes?"),
        (["-v"], "two dashes"),
        (["b.json"], "--input b.json"),
        (["--streaming=x", "b.json"], "--input 'events*.json'"),
        (["--start_time", "5", "--end_time", "5"], "--end_time must be after"),
        (["--rejects", ""], "--rejects is empty"),
        (["--config="], "--config is empty"),
    ],
)
def test_usage_errors(arguments: list[str], words: str) -> None:
    """A command line that cannot be meant is refused with what to write instead."""
    with pytest.raises(UsageError) as caught:
        parse(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--start_time", "yesterday"], "2026-11-22T08:00:00Z"),
        (["--start_time", "2026-11-22T08:00:00"], "has no time zone"),
        (["--start_time", "-5"], "is not a valid time"),
        (["--end_time", "99999999999999"], "is not a valid time"),
        (["--max_line_bytes", "0"], "is not a valid size"),
        (["--max_line_bytes", "-1"], "is not a valid size"),
        (["--max_line_bytes", "16MB"], "16M"),
        (["--input_format", "xml"], "tab-text"),
    ],
)
def test_values_that_are_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The parser ends with 2 and the message of the check."""
    with pytest.raises(SystemExit) as caught:
        parse(*arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "usec"),
    [
        ("0", 0),
        ("1795335547", 1_795_335_547_000_000),
        ("1795335547.000001", 1_795_335_547_000_001),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-11-22T08:19:06.820021Z", 1_795_335_546_820_021),
    ],
)
def test_times(text: str, usec: int) -> None:
    """Times are exact to the microsecond."""
    assert parse("--start_time", text).start_time == usec


@pytest.mark.parametrize("missing", ["--config", "--input"])
def test_missing(missing: str) -> None:
    """What every export needs is asked for by name."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    given = [
        argument for pair in zip(NEEDED[::2], NEEDED[1::2], strict=True) if pair[0] != missing for argument in pair
    ]
    with pytest.raises(UsageError, match=f"{missing} is missing"):
        parse_export(parser, given)
