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
        example: a value, shown behind the help.
        group: heading under which it stands.
        kind: one of Dataflow's parameter types.
        regex: what a value must match; empty for no rule of its own.
        labels: of an enumeration, the labels of its values; values without one are not offered.
        parent: the parameter on which it depends, and the value of that; empty for none.
        required: the command needs it only for a job that runs elsewhere, as those of templates do.
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
    "The dovecot.conf whose metric and event_exporter blocks say what is exported where. Files that it includes are "
    "read from beside it. Secrets in it are references to Secret Manager; one that is written out is refused.",
    "gs://my-bucket/config/dovecot.conf",
    "Configuration",
    "GCS_READ_FILE",
    _GCS,
)
_INPUT: Final = Parameter(
    "inputFilePattern",
    "Input files",
    "Files of events: JSON lines, tab-text or Avro, compressed or not. '*' stops at a slash, '**' does not.",
    "gs://my-bucket/events/2026-11-25/*.json.gz",
    "Input",
    "GCS_READ_FILE",
    _GCS,
)
_ARCHIVE: Final = Parameter(
    "inputFilePattern",
    "Archive",
    "A folder that `dovebeam archive` wrote, or a pattern of files. Of an archive, only files of the time range are "
    "read.",
    "gs://my-bucket/archive/",
    "Input",
    "GCS_READ_FOLDER",
    _GCS,
)
_FORMAT: Final = Parameter(
    "inputFormat",
    "Format of the input",
    "By default detected for each file. Rejects are what earlier jobs wrote to Rejects; they are re-sent.",
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
    _FORMAT, help="By default detected for each file.", labels=_FORMAT.labels[:-1], example="avro"
)
_ATTEMPTS: Final = Parameter(
    "maxAttempts",
    "Most attempts",
    "Rejects that were tried this often, over all jobs, are not sent again.",
    "10",
    "Input",
    "NUMBER",
    "^[1-9][0-9]{0,8}$",
    parent=("inputFormat", "rejects"),
)
_REJECTS: Final = Parameter(
    "invalidOutputPath",
    "Rejects",
    "The object that gets what could not be decoded or delivered, as JSON lines. It must not exist yet.",
    "gs://my-bucket/rejects/2026-11-25.jsonl",
    "Rejects",
    "GCS_WRITE_FILE",
    _GCS,
    required=True,
)
_TOPIC: Final = Parameter(
    "outputDeadletterTopic",
    "Topic for rejects",
    "The Pub/Sub topic that gets what could not be decoded or delivered: the record as JSON, with the attributes "
    "errorMessage, timestamp, stage and exporter. It is another topic than the one that is read.",
    "projects/my-project/topics/dovecot-rejects",
    "Rejects",
    "PUBSUB_TOPIC",
    f"^projects/{_PROJECT}/topics/{_NAME}$",
)
_START: Final = Parameter(
    "startTime",
    "Events from",
    "Only events from this time on: RFC 3339 with its zone, or seconds since 1970.",
    "2026-11-25T08:00:00Z",
    "Time range",
    regex=_TIME,
)
_END: Final = Parameter(
    "endTime",
    "Events before",
    "Only events before this time, in the same form as the start.",
    "2026-11-25T09:00:00Z",
    "Time range",
    regex=_TIME,
)
_LINE: Final = Parameter(
    "maxLineBytes",
    "Longest line",
    "Longer lines are rejected, with their head. K, M and G are powers of 1024.",
    "16M",
    "Limits",
    regex="^[1-9][0-9]{0,11}[kKmMgG]?$",
)
_RUN_ID: Final = Parameter(
    "runId",
    "Name of the run",
    "Part of the names of files that are written as shards. By default the same for the same input and configuration, "
    "so that a second run replaces what a first one wrote.",
    "monday",
    "Limits",
    regex="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
)
_STREAM_ID: Final = replace(
    _RUN_ID,
    label="Name of the stream",
    help="Part of the names of files that are written as shards: the same after every start, no other stream's. By "
    "default derived from what is read and where rejects go.",
    example="datalake",
)
_RATE: Final = Parameter(
    "rate",
    "Events a second",
    "At most this many events are read in a second, by all workers together; set the maximum of workers, too. "
    "Without it there is no limit.",
    "500",
    "Limits",
    regex=r"^[0-9]{1,9}(\.[0-9]{1,6})?$",
)
_EXPORTER: Final = Parameter(
    "onlyExporter",
    "Only to exporter",
    "The one event_exporter that gets anything. Without it, all of them do.",
    "datalake",
    "Configuration",
    regex=r"^[^\x00-\x20][^\x00-\x1f]*$",
)
_SUBSCRIPTION: Final = Parameter(
    "inputSubscription",
    "Subscription to read",
    "The Pub/Sub subscription of the events; each message is one event or several, as lines. Either this or a topic.",
    "projects/my-project/subscriptions/dovecot",
    "Input",
    "PUBSUB_SUBSCRIPTION",
    f"^projects/{_PROJECT}/subscriptions/{_NAME}$",
)
_INPUT_TOPIC: Final = Parameter(
    "inputTopic",
    "Topic to read",
    "Instead of a subscription: messages that are published while the job runs; earlier and later ones are not read.",
    "projects/my-project/topics/dovecot",
    "Input",
    "PUBSUB_TOPIC",
    f"^projects/{_PROJECT}/topics/{_NAME}$",
)

TEMPLATES: Final = {
    "export": Template(
        "Dovecot events from Cloud Storage to exporters",
        "Exports files of Dovecot events as the metric and event_exporter blocks of a dovecot.conf say: over HTTP, "
        "into files, to syslog. Every event is exported, not matched, or in the rejects.",
        (_CONFIG, _INPUT, _FORMAT, _ATTEMPTS, _REJECTS, _START, _END, _LINE, _RUN_ID),
    ),
    "replay": Template(
        "Replay of Dovecot events from an archive",
        "Exports a time range of an archive again, as a dovecot.conf says, with the idempotency keys and file names "
        "that a first replay of the same range had.",
        (_CONFIG, _EXPORTER, _ARCHIVE, _EVENTS_FORMAT, _REJECTS, _START, _END, _RATE, _LINE, _RUN_ID),
    ),
    "stream": Template(
        "Dovecot events from Pub/Sub to exporters",
        "Exports Dovecot events as they come from Pub/Sub, as the metric and event_exporter blocks of a dovecot.conf "
        "say. A message is acknowledged after its events were delivered or published as rejects.",
        (_CONFIG, _SUBSCRIPTION, _INPUT_TOPIC, _TOPIC, _LINE, _STREAM_ID),
        streaming=True,
    ),
}
"""Templates by their commands."""
