"""Other spellings of our options: camelCase, and the names of parameters of Google's Dataflow templates.

Parameters of templates are camelCase by custom, and people know some of them by heart. So each of our options is also
accepted in camelCase (`--startTime` for `--start_time`), and `GOOGLES` maps names of Google's templates to ours. Help,
messages and documentation use the snake_case names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

__all__ = ["ELSEWHERE", "GOOGLES", "MixedSpellingsError", "camel_case", "in_our_spelling", "is_flink", "spellings_of"]

GOOGLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--inputFilePattern": "--input",  # Cloud Storage text to ...
        "--inputFileSpec": "--input",  # Cloud Storage Avro to ...
        "--outputDeadletterTopic": "--rejects",  # Pub/Sub to Splunk, to Datadog
        "--outputDeadLetterPubSubTopic": "--rejects",  # those written in Beam YAML
        "--invalidOutputPath": "--rejects",  # Cloud Storage text to ...
    }
)
"""Parameters of Google's templates with our options of the same meaning; their values are the same."""

ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--deadletterTable": "rejects are not written to BigQuery; use --rejects",
        "--url": "where events go is in the configuration; write http_post_url in an event_exporter",
        "--token": "credentials are never options; write http_post_auth in an event_exporter, with a reference",
        "--tokenSource": "credentials are never options; write http_post_auth in an event_exporter, with a reference",
        "--batchCount": "how events are batched is in the configuration; see docs/http.md",
        "--outputDirectory": "where files are written is in the configuration; write file_path in an event_exporter",
        "--javascriptTextTransformGcsPath": "JavaScript is not supported; write filter and fields in a metric",
    }
)
"""Parameters of Google's templates that do not exist here, with what to use instead."""

_UNDERSCORE: Final = re.compile(r"_([a-z0-9])")


class MixedSpellingsError(ValueError):
    """One option in two spellings, or an unsupported parameter of Google's templates; the text says what to write."""


def camel_case(option: str) -> str:
    """The camelCase form of an option, with its dashes: `--startTime` of `--start_time`."""
    return _UNDERSCORE.sub(lambda match: match[1].upper(), option)


def spellings_of(options: Iterable[str]) -> dict[str, str]:
    """Other spellings of these options, each with its option."""
    ours = [option for option in options if option.startswith("--")]
    found = {camel_case(option): option for option in ours if camel_case(option) != option}
    return found | {name: option for name, option in GOOGLES.items() if option in ours}


def in_our_spelling(arguments: Sequence[str], options: Iterable[str]) -> list[str]:
    """The command line with every other spelling of `options` replaced by the option itself.

    Args:
        arguments: the command line.
        options: of a command, with their dashes.

    Raises:
        MixedSpellingsError: an option is given in two spellings, or a parameter of Google's templates does not exist
            here.
    """
    ours = set(options)
    meant = spellings_of(ours) | {option: option for option in ours}
    seen: dict[str, str] = {}
    result = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        option = meant.get(name)
        if option is None:
            if name in ELSEWHERE:
                raise MixedSpellingsError(f"{name} is not an option of dovebeam: {ELSEWHERE[name]}")
            result.append(argument)
            continue
        first = seen.setdefault(option, name)
        # Repeating one spelling is allowed (--input); of two spellings it is unclear whether the second shall override.
        if first != name:
            raise MixedSpellingsError(f"{first} and {name} are the same option; give one of them")
        result.append(option + equals + value)
    return result


def is_flink(arguments: Sequence[str]) -> bool:
    """Whether Beam's part of a command line names Flink as the runner."""
    return any(_names_flink(before, word) for before, word in zip(["", *arguments], arguments, strict=False))


def _names_flink(before: str, word: str) -> bool:
    name, _, value = word.partition("=") if before != "--runner" else (before, "", word)
    # Beam also takes the full name of a runner's class.
    return name == "--runner" and value.lower().rpartition(".")[2] in {"flink", "flinkrunner"}
