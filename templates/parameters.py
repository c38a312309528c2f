"""Parameters of the Flex Templates: what Google's console shows and checks for each, in one table.

Names are those of Google's templates or camelCase forms of our options (`dovebeam.pipelines.options.spellings`).
Whether a parameter may be left out, its default and its choices are not here: `metadata` asks the command for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["TEMPLATES", "Parameter", "Template"]

_GCS: Final = r"^gs://[^\n\r]+$"
# The console refuses a value that does not match before a job is launched. The command parses it again, so a pattern
# may let a wrong value pass, but must never stop a valid one.
_TIME: Final = (
    r"^([0-9]{1,12}(\.[0-9]{1,6})?"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2}))$"
)
# Google's rules for names; a project of a domain has it before a colon.
_PROJECT: Final = r"([a-z0-9.-]{1,60}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_NAME: Final = r"[A-Za-z][A-Za-z0-9._~%+-]{2,254}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a template.

    Attributes:
        name: as it is given to the template.
        label: a few words, above its field.
        help: what it means, in whole sentences.
        example: a value, shown after the help.
        group: heading of its section in the form.
        kind: one of Dataflow's parameter types.
        regex: what a value must match; empty for no rule of its own.
        labels: of an enumeration, the labels of its values; values without one are not offered.
        parent: the parameter that it depends on, and the value of that; empty for none.
        required: mandatory in a template, although optional in the command, which needs it for remote jobs only.
    """

    name: str
    label: str
    help: str
    example: str
    group: str
    kind: str = "TEXT"
    regex: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    parent: tuple[str, str] = ("", "")
    required: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A Flex Template.

    Attributes:
        title: its name in the console.
        description: what it does.
        parameters: in their order in the console.
        streaming: whether its job runs until it is drained.
    """

    title: str
    description: str
    parameters: tuple[Parameter, ...]
    streaming: bool = False


_CONFIG: Final = Parameter(
    "config",
    "Dovecot's configuration",
    "The dovecot.conf with the metric and event_exporter blocks that select events and their targets. Put the files "
    "that it includes into the same folder. Write secrets as references to Secret Manager; a secret in plain text is "
    "refused.",
    "gs://my-bucket/config/dovecot.conf",
    "Configuration",
    "GCS_READ_FILE",
    _GCS,
)
_INPUT: Final = Parameter(
    "inputFilePattern",
    "Input files",
    "Files with events: JSON lines, tab-text or Avro, compressed or not. '*' does not match a slash, '**' does.",
    "gs://my-bucket/events/2026-11-25/*.json.gz",
    "Input",
    "GCS_READ_FILE",
    _GCS,
)
_ARCHIVE: Final = Parameter(
    "inputFilePattern",
    "Archive",
    "A folder that `dovebeam archive` wrote, or a pattern of files. From an archive, only the files of the time range "
    "are read.",
    "gs://my-bucket/archive/",
    "Input",
    "GCS_READ_FOLDER",
    _GCS,
)
_FORMAT: Final = Parameter(
    "inputFormat",
    "Format of the input",
    "Detected for each file by default. Choose rejects to re-send what earlier jobs wrote to Rejects.",
    "json",
    "Input",
    "ENUM",
    labels=(
        ("auto", "Detect automatically"),
        ("json", "JSON lines"),
        ("tab-text", "Tab-text"),
        ("avro", "Avro"),
        ("rejects", "Rejects of earlier jobs"),
    ),
)
# A replay reads events only: rejects are re-sent by the template for exports.
_EVENTS_FORMAT: Final = replace(
    _FORMAT, help="Detected for each file by default.", labels=_FORMAT.labels[:-1], example="avro"
)
_ATTEMPTS: Final = Parameter(
    "maxAttempts",
    "Maximum attempts",
    "Rejects that have reached this number of attempts, over all jobs, are not sent again.",
    "10",
    "Input",
    "NUMBER",
    "^[1-9][0-9]{0,8}$",
    parent=("inputFormat", "rejects"),
)
_REJECTS: Final = Parameter(
    "invalidOutputPath",
    "Rejects",
    "The object for rejects (dead letters): events that could not be decoded or delivered, as JSON lines. It must not "
    "exist yet.",
    "gs://my-bucket/rejects/2026-11-25.jsonl",
    "Rejects",
    "GCS_WRITE_FILE",
    _GCS,
    required=True,
)
_TOPIC: Final = Parameter(
    "outputDeadletterTopic",
    "Topic for rejects",
    "The Pub/Sub topic for rejects (dead letters): events that could not be decoded or delivered, as JSON, with the "
    "attributes errorMessage, timestamp, stage and exporter. It must not be the topic that is read.",
    "projects/my-project/topics/dovecot-rejects",
    "Rejects",
    "PUBSUB_TOPIC",
    f"^projects/{_PROJECT}/topics/{_NAME}$",
)
_START: Final = Parameter(
    "startTime",
    "Events from",
    "Start of the time range, inclusive: RFC 3339 with a time zone, or seconds since 1970.",
    "2026-11-25T08:00:00Z",
    "Time range",
    regex=_TIME,
)
_END: Final = Parameter(
    "endTime",
    "Events before",
    "End of the time range, exclusive, in the same form as the start.",
    "2026-11-25T09:00:00Z",
    "Time range",
    regex=_TIME,
)
_LINE: Final = Parameter(
    "maxLineBytes",
    "Maximum length of a line",
    "Longer lines are rejected; the reject keeps their first bytes. K, M and G are powers of 1024.",
    "16M",
    "Limits",
    regex="^[1-9][0-9]{0,11}[kKmMgG]?$",
)
_RUN_ID: Final = Parameter(
    "runId",
    "Name of the run",
    "Part of the names of files that are written as shards. By default the same input and configuration get the same "
    "name, so a second run replaces the files of the first.",
    "monday",
    "Limits",
    regex="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
)
_STREAM_ID: Final = replace(
    _RUN_ID,
    label="Name of the stream",
    help="Part of the names of files that are written as shards. Use the same name at every start, and a different "
    "one for each stream. By default derived from what is read and where rejects go.",
    example="datalake",
)
_RATE: Final = Parameter(
    "rate",
    "Events per second",
    "Rate limit: the maximum number of events read per second, by all workers together. Set the maximum number of "
    "workers, too. Unlimited by default.",
    "500",
    "Limits",
    regex=r"^[0-9]{1,9}(\.[0-9]{1,6})?$",
)
_EXPORTER: Final = Parameter(
    "onlyExporter",
    "Only this exporter",
    "Export to this event_exporter only. By default, all of them are used.",
    "datalake",
    "Configuration",
    regex=r"^[^\x00-\x20][^\x00-\x1f]*$",
)
_SUBSCRIPTION: Final = Parameter(
    "inputSubscription",
    "Subscription to read",
    "The Pub/Sub subscription with the events; a message contains one event, or several as lines. Give either this or "
    "a topic.",
    "projects/my-project/subscriptions/dovecot",
    "Input",
    "PUBSUB_SUBSCRIPTION",
    f"^projects/{_PROJECT}/subscriptions/{_NAME}$",
)
_INPUT_TOPIC: Final = Parameter(
    "inputTopic",
    "Topic to read",
    "Instead of a subscription. Only messages that are published while the job runs are read; earlier and later ones "
    "are not.",
    "projects/my-project/topics/dovecot",
    "Input",
    "PUBSUB_TOPIC",
    f"^projects/{_PROJECT}/topics/{_NAME}$",
)

TEMPLATES: Final = {
    "export": Template(
        "Dovecot events from Cloud Storage to exporters",
        "Exports files with Dovecot events over HTTP, into files or to syslog, as configured by the metric and "
        "event_exporter blocks of a dovecot.conf. Every event is accounted for: exported, unmatched or rejected.",
        (_CONFIG, _INPUT, _FORMAT, _ATTEMPTS, _REJECTS, _START, _END, _LINE, _RUN_ID),
    ),
    "replay": Template(
        "Replay of Dovecot events from an archive",
        "Re-exports a time range of an archive, as configured by a dovecot.conf. Replays of the same range have the "
        "same idempotency keys and file names, so a target can deduplicate them.",
        (_CONFIG, _EXPORTER, _ARCHIVE, _EVENTS_FORMAT, _REJECTS, _START, _END, _RATE, _LINE, _RUN_ID),
    ),
    "stream": Template(
        "Dovecot events from Pub/Sub to exporters",
        "Exports Dovecot events from Pub/Sub continuously, as configured by the metric and event_exporter blocks of a "
        "dovecot.conf. A message is acknowledged after its events were delivered or published as rejects.",
        (_CONFIG, _SUBSCRIPTION, _INPUT_TOPIC, _TOPIC, _LINE, _STREAM_ID),
        streaming=True,
    ),
}
"""Templates by their commands."""
