"""Configurations."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fuzzing import Target

from dovebeam.transforms.config import SETTINGS
from dovebeam.transforms.config.places import is_guarded_name
from dovebeam.transforms.config_files import read_config
from dovebeam.transforms.errors import ConfigError
from support.oracle.cases import case_file, case_names
from support.oracle.corpus import CORPUS

SECRET: Final = b"Zq7kEBryxH2mTK29X"
HEAD: Final = b"dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
NEWER: Final = HEAD.replace(b"config_version = 2.4.0", b"config_version = 2.4.9")
METRIC: Final = b"metric m {\n  filter = event=x\n  exporter = x\n}\n"
LATER: Final = (
    b"driver = opentelemetry",
    b"format = protobuf",
    b"event_exporter_opentelemetry_endpoint_url = http://h/",
    b"opentelemetry_timeout = 5s",
    b"driver = kafka",
    b"time_format = tai64",
    b"frobnicate x {\n  }",
)
"""Lines of exporters that only a later Dovecot has, or may have."""

_LINE_OF_SECRET = re.compile(rb"[ \t]*(?:event_exporter_)?([a-z_]+)[ \t]*=[^\\\r]*")
_CONTINUES = re.compile(rb"\\[ \t\v\f\r]*\n|<<|\r")
_LISTS = re.compile(rb"field|include|known|categor")


def targets(folder: Path) -> list[Target]:
    """Blocks of the corpus' configuration, those of real people, of a later Dovecot, and with secrets."""
    seeds = [*blocks_of_config(), *configs_of_cases(), *configs_of_later(), *configs_with_secrets()]
    return [Target(config_check(folder), seeds)]


def config_check(folder: Path) -> Callable[[bytes], None]:
    """A configuration is read or is refused with all its problems, and shows no value of a setting for secrets."""
    path = folder / "dovecot.conf"

    def check(text: bytes) -> None:
        path.write_bytes(text)
        reading = read_config([path])
        errors, warnings = (reading.report.problems(fatal=fatal) for fatal in (True, False))
        said = [repr((errors, warnings, reading.config))]
        if errors:
            error = ConfigError(errors)
            assert error.problems
            assert str(error)
            said.append(str(error))
        if SECRET in text and must_hide(text):
            assert SECRET.decode() not in "\n".join(said), "a secret is shown"

    return check


def must_hide(text: bytes) -> bool:
    """Whether the secret stands only in lines whose setting is for secrets, perhaps misspelt.

    Lines that are continued, heredocs and lists may make a piece of another value of it, so that nothing is said of them.
    """
    if _CONTINUES.search(text) or _LISTS.search(text):
        return False
    found = [_LINE_OF_SECRET.fullmatch(line) for line in text.split(b"\n") if SECRET in line]
    return all(line and is_guarded_name(line[1].decode()) for line in found)


def blocks_of_config() -> list[bytes]:
    """Parts of the real configuration, each with the lines that must come first."""
    blocks = (CORPUS / "dovecot.conf").read_bytes().split(b"\n\n")
    return [HEAD + block + b"\n" for block in blocks if b"{" in block]


def configs_of_cases() -> list[bytes]:
    """What real people wrote."""
    return [case_file(name, ".conf").read_bytes() for name in case_names(suffix=".conf")]


def configs_of_later() -> list[bytes]:
    """What a later Dovecot has, stated by its version or not."""
    return [
        b"%sevent_exporter x {\n  driver = log\n  format = json\n  %s\n}\n%s" % (head, line, METRIC)
        for head in (HEAD, NEWER)
        for line in LATER
    ] + [HEAD + METRIC.replace(b"event=x", b"log_level=info"), HEAD + b"metric_export_sample_by = 10\n" + METRIC]


def configs_with_secrets() -> list[bytes]:
    """Every setting that may hold a secret, right and misspelt."""
    names = [name.removeprefix("event_exporter_") for name, row in SETTINGS.items() if not row.is_public]
    return [
        b"%sevent_exporter x {\n  driver = http-post\n  format = json\n  %s = %s\n}\n%s"
        % (head, written.encode(), SECRET, METRIC)
        for head in (HEAD, NEWER)
        for name in names
        for written in (name, f"{name[:-2]}{name[-1]}")
    ]
