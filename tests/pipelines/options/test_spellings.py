"""Other spellings of options: camelCase, and the names of Google's templates."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from dovebeam.pipelines.export.options import add_arguments, parse_export
from dovebeam.pipelines.options.beam import known_option_names
from dovebeam.pipelines.options.spellings import ELSEWHERE, GOOGLES, camel_case, spellings_of
from dovebeam.pipelines.replay.options import add_replay_arguments, parse_replay
from dovebeam.pipelines.stream.options import add_stream_arguments, parse_stream
from dovebeam.pipelines.terminal.exit_codes import UsageError

COMMANDS: dict[str, tuple[Callable[..., None], Callable[..., Any]]] = {
    "export": (add_arguments, parse_export),
    "replay": (add_replay_arguments, parse_replay),
    "stream": (add_stream_arguments, parse_stream),
}


def parse(command: str, *arguments: str) -> Any:
    """The options of a command line."""
    add, read = COMMANDS[command]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add(parser)
    return read(parser, arguments)


SUBSCRIPTION = "projects/p/subscriptions/s"

SAME = [
    ("export", ["--inputFilePattern", "i"], ["--input", "i"]),
    ("export", ["--inputFileSpec=i"], ["--input=i"]),
    ("export", ["--input=i", "--invalidOutputPath=gs://b/r"], ["--input=i", "--rejects=gs://b/r"]),
    (
        "export",
        ["--input=i", "--startTime", "5", "--maxLineBytes=1K"],
        ["--input=i", "--start_time", "5", "--max_line_bytes=1K"],
    ),
    ("export", ["--input=i", "--runId=x", "--inputFormat=avro"], ["--input=i", "--run_id=x", "--input_format=avro"]),
    ("export", ["--inputFileSpec=i", "--inputFileSpec=j"], ["--input=i", "--input=j"]),
    ("replay", ["--input=i", "--onlyExporter=x", "--dryRun"], ["--input=i", "--only_exporter=x", "--dry_run"]),
    ("replay", ["--inputFileSpec=i", "--onlyFailed=l"], ["--input=i", "--only_failed=l"]),
    (
        "stream",
        [f"--inputSubscription={SUBSCRIPTION}", "--outputDeadletterTopic=t"],
        [f"--input_subscription={SUBSCRIPTION}", "--rejects=t"],
    ),
    ("stream", ["--inputTopic=t", "--outputDeadLetterPubSubTopic", "r"], ["--input_topic=t", "--rejects", "r"]),
]


@pytest.mark.parametrize(("command", "theirs", "ours"), SAME)
def test_same(command: str, theirs: list[str], ours: list[str]) -> None:
    """A spelling is the option itself, with its value behind an equals sign or on its own."""
    assert parse(command, "--config=c", *theirs) == parse(command, "--config=c", *ours)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--inputFileSpec=i", "--input=j"], "--inputFileSpec and --input are the same option; give one of them"),
        (["--inputFileSpec=i", "--inputFilePattern=i"], "--inputFileSpec and --inputFilePattern are the same option"),
        (["--input=i", "--start_time=1", "--startTime=1"], "--start_time and --startTime are the same option"),
        (["--input=i", "--deadletterTable=p:d.t"], "rejects are not written to BigQuery"),
        (["--input=i", "--url=https://h/"], "write http_post_url"),
        (["--input=i", "--token", "s3cret"], "credentials are never options"),
        (["--inputFilePatern=i"], "did you mean --inputFilePattern?"),
        (["--inputFileSpec="], "--input is empty"),
    ],
)
def test_refused(arguments: list[str], text: str) -> None:
    """Two spellings of one option, a misspelt one, and what means nothing here."""
    with pytest.raises(UsageError) as caught:
        parse("export", "--config=c", *arguments)
    assert text in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_table(command: str) -> None:
    """Every option of a command has its camelCase form; no spelling is an option of ours or of Beam's."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    COMMANDS[command][0](parser)
    options = [option for action in parser._actions for option in action.option_strings]
    spellings = spellings_of(options)
    assert {camel_case(option) for option in options if "_" in option} <= spellings.keys()
    assert not {*spellings, *ELSEWHERE} & {*options, *known_option_names()}


def test_googles_names_mean_something_of_some_command() -> None:
    """None of them leads nowhere."""
    meant = set()
    for add, _ in COMMANDS.values():
        parser = argparse.ArgumentParser()
        add(parser)
        meant |= {option for action in parser._actions for option in action.option_strings}
    assert set(GOOGLES.values()) <= meant


def test_options_of_others_keep_their_spelling() -> None:
    """Beam's options, and those of runners that nobody here knows, pass as they were written."""
    options = parse("export", "--config=c", "--input=i", "--maxNumWorkers=3", "--flink_master=h:1")
    assert options.beam == ("--maxNumWorkers=3", "--flink_master=h:1")
