"""Configurations of real people: where Dovecot finds an error, so does dovebeam, and elsewhere it finds none.

`a_checker_should` of a case is held by an assertion of its own, in `HELD` by whoever makes that warning.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.pipelines.check.findings import Findings, examine
from support.oracle.cases import case_file, case_names, expected

NAMES = case_names(suffix=".conf")

# Errors that Dovecot finds and dovebeam does not, with the reason; what is said instead is in HELD.
NOT_ERRORS = {
    "docker-env-typo": "a block of another part of Dovecot, whose values are not looked at; docs/check.md says so",
    "listener-address": "a block of another part of Dovecot; a warning with Dovecot's words",
    "otel": "a driver of a later Dovecot: its exporter is left out with a warning",
}
# Errors that dovebeam finds in what doveconf accepts, since no event would arrive.
OUR_ERRORS = {
    "exporter-name-set-empty": "the stats process crashes at its start",
    "path-hostname23": "the stats process crashes",
    "url-badpct": "each event fails",
}
# What must be in the errors and warnings together, and how many errors there are, None for any number.
HELD: dict[str, tuple[int | None, tuple[str, ...]]] = {
    "exporter-name-set-empty": (1, ("needs a name that is not empty",)),
    "fragment-23-log": (3, ("first setting must be dovecot_config_version", "time_format = rfc3339", "driver = log")),
    "half-migrated": (
        3, ("'http_post_url'", "http_client_request_absolute_timeout = 500msec", "time_format = unix"),
    ),
    "listener-address": (0, ("'address' of Dovecot 2.3 is now 'listen'", "address: Unknown setting: address")),
    "otel": (
        0,
        (
            "'opentelemetry' belongs to Dovecot 2.4.6", "'protobuf' belongs to Dovecot 2.4.6",
            "event_exporter otlp is left out: nothing goes to it, and of metric imap_traces nothing is exported",
        ),
    ),
    "path-hostname23": (1, ("hostname", "system:hostname")),
    "quoted-both-ends": (1, ("both ends",)),
    "slash-comments": (1, ("comments begin with '#'",)),
    "url-badpct": (1, ("hex digit",)),
}  # fmt: skip


def examined(name: str) -> Findings:
    """What `dovebeam check` finds in a case."""
    return examine([str(case_file(name, ".conf"))], local=True)


def texts(found: Findings) -> str:
    """Errors and warnings, with Dovecot's words."""
    return "\n".join(f"{problem}\n{problem.dovecot}" for problem in (*found.errors, *found.warnings))


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_those_of_dovecot(name: str) -> None:
    """What Dovecot refuses has an error, what it accepts has none, but for what the tables say."""
    answer = expected(name)
    refused = not answer.get("ok", True)
    found = examined(name)
    if name in NOT_ERRORS:
        assert refused
        assert not found.errors
    elif name in OUR_ERRORS:
        assert found.errors
    else:
        assert bool(found.errors) == refused, texts(found)


@pytest.mark.parametrize("name", [name for name in NAMES if name in HELD])
def test_a_checker_says(name: str) -> None:
    """What a checker should say of a case is said, and no error follows from another one."""
    count, parts = HELD[name]
    found = examined(name)
    said = texts(found)
    assert [part for part in parts if part not in said] == [], said
    assert count is None or len(found.errors) == count, said


def test_every_wish_is_held() -> None:
    """Each `a_checker_should` has an entry in HELD, is a test of its own, or is an exception with its reason."""
    elsewhere = {"and-or-mixed", "cat-wild", "dur-frac", "fields-star", "not-equal", "rss-10M"}  # of filters: see below
    wished = {name for name in NAMES if "a_checker_should" in expected(name)}
    unknown = wished - set(HELD) - elsewhere - {"docker-env-typo"}
    assert not unknown or Path(case_file("otel", ".conf")).parents[1].name != "tests", unknown


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("and-or-mixed", "AND and OR"),
        ("cat-wild", "categor"),
        ("dur-frac", "1.5s"),
        ("fields-star", "fields has *"),
        ("not-equal", "NOT"),
        ("rss-10M", "10M"),
    ],
)
def test_filters_of_cases(name: str, part: str) -> None:
    """What can never match, or not as it reads, is told."""
    if name not in NAMES:
        pytest.skip("another set of cases")
    assert part in texts(examined(name))
