"""Other spellings of our options: the camelCase of Google's templates, and the names that these use for the same.

A template's parameters are camelCase by custom, and people know some of them by heart. Each of our options is therefore
also accepted in its own camelCase form (`--startTime` for `--start_time`), and `GOOGLES` says which names of Google's
templates mean one of ours. Everything else goes by our snake_case names: help, messages, documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

__all__ = ["ELSEWHERE", "GOOGLES", "MixedSpellingsError", "camel_case", "in_our_spelling", "spellings_of"]

GOOGLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--inputFilePattern": "--input",  # Cloud Storage text to ...
        "--inputFileSpec": "--input",  # Cloud Storage Avro to ...
        "--outputDeadletterTopic": "--rejects",  # Pub/Sub to Splunk, to Datadog
        "--outputDeadLetterPubSubTopic": "--rejects",  # those written in Beam YAML
        "--invalidOutputPath": "--rejects",  # Cloud Storage text to ...
    }
)
"""Names of parameters of Google's templates, and our option that each is; its value is the same."""

ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--deadletterTable": "rejects are not written to BigQuery; use --rejects",
        "--url": "where events go is in the configuration; write http_post_url in an event_exporter",
        "--token": "credentials are never options; write http_post_auth in an event_exporter, with a reference",
        "--tokenSource": "credentials are never options; write http_post_auth in an event_exporter, with a reference",
        "--batchCount": "how events are batched is in the configuration; see docs/http.md",
        "--outputDirectory": "where files are written is in the configuration; write file_path in an event_exporter",
        "--javascriptTextTransformGcsPath": "there are no functions in JavaScript; filters and fields are in metrics",
    }
)
"""Names of parameters of Google's templates that mean nothing here, and what to use instead."""

_UNDERSCORE: Final = re.compile(r"_([a-z0-9])")


class MixedSpellingsError(ValueError):
    """One option in two spellings, or a name from elsewhere that is no option here; the text says what to write."""


def camel_case(option: str) -> str:
    """An option's camelCase form, dashes and all: `--startTime` of `--start_time`."""
    return _UNDERSCORE.sub(lambda match: match[1].upper(), option)


def spellings_of(options: Iterable[str]) -> dict[str, str]:
    """All other spellings of these options, each with the option that it means."""
    ours = [option for option in options if option.startswith("--")]
    found = {camel_case(option): option for option in ours if camel_case(option) != option}
    return found | {name: option for name, option in GOOGLES.items() if option in ours}


def in_our_spelling(arguments: Sequence[str], options: Iterable[str]) -> list[str]:
    """The command line with every other spelling of `options` replaced by the option itself.

    Args:
        arguments: the command line.
        options: of a command, with their dashes.

    Raises:
        MixedSpellingsError: an option is given in two spellings, of which nobody can know which is meant; or a
            parameter of Google's templates is none here.
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
                raise MixedSpellingsError(f"{name} is no option here: {ELSEWHERE[name]}")
            result.append(argument)
            continue
        first = seen.setdefault(option, name)
        if first != name:
            raise MixedSpellingsError(f"{first} and {name} are the same option; give one of them")
        result.append(option + equals + value)
    return result
