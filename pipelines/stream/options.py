"""Command-line options of `dovebeam stream`; a light module, since `--help` must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from dovebeam.pipelines.options.arguments import (
    DEFAULT_MAX_LINE_BYTES,
    add_config_argument,
    add_max_line_bytes_argument,
    check_named_run,
    check_pipes,
    checked,
    descriptor_of,
    parse_known,
    read_size,
    values_of,
)
from dovebeam.pipelines.options.spellings import is_flink
from dovebeam.pipelines.terminal.exit_codes import UsageError

__all__ = [
    "DEFAULT_MAX_QUEUE_BYTES",
    "STREAM_FORMATS",
    "StreamFormat",
    "StreamOptions",
    "add_stream_arguments",
    "parse_stream",
]

StreamFormat = Literal["auto", "json", "tab-text"]
DEFAULT_MAX_QUEUE_BYTES: Final = 1024 * 1024 * 1024
STREAM_FORMATS: Final[tuple[StreamFormat, ...]] = get_args(StreamFormat)


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Options of one `dovebeam stream`.

    Attributes:
        config: configuration files; later ones override.
        strict: whether something of a later Dovecot is an error; otherwise its block is left out.
        follow: files, directories and patterns that are followed.
        input_subscription: instead of files: full name of a Pub/Sub subscription.
        input_topic: instead of files: full name of a Pub/Sub topic.
        state: directory for the position of a stream of files, and for the queues of exporters; may be empty without
            files.
        rejects: file that rejects are appended to; for a remote stream, the topic that they are published to.
        ledger: file for the ledger as JSON, None for none.
        input_format: of the lines.
        max_line_bytes: longer lines are rejected.
        run_id: name of the stream in names of shards, the same after every start; empty for a hash.
        max_queue_bytes: size of an exporter's queue at which reading pauses.
        debug: whether errors show tracebacks, and the log everything.
        beam: options of Beam.
    """

    config: tuple[str, ...]
    follow: tuple[str, ...]
    state: str
    rejects: str
    input_subscription: str | None = None
    input_topic: str | None = None
    ledger: str | None = None
    input_format: StreamFormat = "auto"
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    run_id: str = ""
    max_queue_bytes: int = DEFAULT_MAX_QUEUE_BYTES
    debug: bool = False
    strict: bool = False
    beam: tuple[str, ...] = ()


def add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a stream."""
    add = parser.add_argument
    add_config_argument(parser)
    add(
        "--follow",
        metavar="PATH",
        action="append",
        default=[],
        help="files to follow, like `tail -F`: a file, a directory, or a pattern in quotes; can be repeated",
    )
    add(
        "--input_subscription",
        metavar="NAME",
        help="instead of files: a Pub/Sub subscription, as projects/PROJECT/subscriptions/NAME",
    )
    add(
        "--input_topic",
        metavar="NAME",
        help="instead of files: a Pub/Sub topic, as projects/PROJECT/topics/NAME; only messages that are published "
        "while the job runs are read",
    )
    add(
        "--state",
        metavar="DIR",
        help="directory for checkpoints (positions in followed files) and for queues of exporters; created if missing",
    )
    add(
        "--rejects",
        metavar="TARGET",
        help="file that rejects (dead letters) are appended to, as JSON lines; for a remote job, a Pub/Sub topic",
    )
    add("--ledger", metavar="FILE", help="file for the ledger, the account of all events, as JSON")
    add(
        "--input_format",
        choices=STREAM_FORMATS,
        default="auto",
        help="format of the lines (default: detected)",
    )
    add_max_line_bytes_argument(parser)
    add(
        "--run_id",
        metavar="NAME",
        default="",
        help="name of the stream in the names of its shards: unique, and the same after every start "
        "(default: derived from its input and --rejects)",
    )
    add(
        "--max_queue_bytes",
        metavar="SIZE",
        type=checked(read_size),
        default=DEFAULT_MAX_QUEUE_BYTES,
        help="backpressure: pause reading while this much waits on disk for one of several exporters (default: 1G)",
    )
    add("--debug", action="store_true", help="print the full log, and tracebacks of errors")


def parse_stream(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> StreamOptions:
    """The options in `arguments`, by a parser that has those of `add_stream_arguments`.

    Raises:
        UsageError: a misspelt option, one that is missing, or an argument that belongs to no option.
        SystemExit: argparse itself found an error, or printed the help.
    """
    known, beam = parse_known(parser, arguments)
    check_named_run(known.run_id)
    written = [("--ledger", known.ledger), ("--rejects", known.rejects)]
    problem = check_pipes([("--config", path) for path in known.config], written, refused=["--ledger", "--rejects"])
    if problem:
        raise UsageError(problem)
    # After a failure or a restart, files are read again from the last acknowledged position.
    for path in known.follow:
        if descriptor_of(path) is not None:
            raise UsageError(
                f"--follow {path}: a stream must be able to read again what it read; export standard input with "
                "`dovebeam export --input -`, or let `dovebeam collect` keep what comes"
            )
    if known.ledger and is_flink(beam):
        raise UsageError(
            "--ledger: Flink does not end a stream itself and has no counters of one that was ended; leave it out, "
            "the last message has the account"
        )
    sources = [name for name in _SOURCES if getattr(known, name)]
    if len(sources) > 1:
        raise UsageError(f"--{sources[0]} and --{sources[1]} are two sources; run a stream for each")
    if any(word.partition("=")[0] == "--input" for word in beam):
        raise UsageError("--input is for exports of whole files; a stream has --follow or --input_subscription")
    for name, example in _NEEDED.items():
        if not getattr(known, name) and (name not in _OF_FILES or not sources or sources == ["follow"]):
            raise UsageError(f"--{name} is missing; {example}")
    if sources != ["follow"]:
        _check_messages(known)
    return StreamOptions(**values_of(known, StreamOptions.__slots__), beam=beam)


def _check_messages(known: argparse.Namespace) -> None:
    """Refuses options that have no effect for messages of Pub/Sub."""
    if known.input_format != "auto":
        raise UsageError("--input_format is for --follow; each message tells by its first character what it is")
    known.state = known.state or ""


_SOURCES: Final = ("follow", "input_subscription", "input_topic")
_OF_FILES: Final = ("follow", "state")
_NEEDED: Final = {
    "config": "name Dovecot's configuration, as in --config /etc/dovecot/dovecot.conf",
    "follow": "name files of events that grow, as in --follow /var/spool/dovebeam, or a Pub/Sub subscription with "
    "--input_subscription",
    "state": "name a directory to remember how far the stream has come, as in --state /var/lib/dovebeam",
    "rejects": "a stream has no end at which it could fail, so it needs a place for what cannot be delivered, "
    "as in --rejects rejects.jsonl",
}
