"""Which attempts are worth another one."""

from __future__ import annotations

import pytest

from dovebeam.transforms.drivers.http.outcome import Outcome, Trouble, outcome_of_error, outcome_of_status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "the target answered 404 Not Found"),
        (413, "the target answered 413 "),
        (599, "the target answered 599"),
        (100, "the target answered 100 Continue"),
        (0, "the target answered 0"),
    ],
)
def test_reason_has_the_registered_phrase(status: int, reason: str) -> None:
    """The phrase comes from the standard, never from the server."""
    assert outcome_of_status(status).reason.startswith(reason)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "Failed to connect to h port 1 after 0 ms: Could not connect",
            "Failed to connect to h port 1: Could not connect",
        ),
        ("Operation timed out after 253 milliseconds with 0 bytes received", "Operation timed out"),
        ("Operation timed out after 253 milliseconds with 4 out of 10 bytes received", "Operation timed out"),
        ("transfer closed with 96 bytes remaining to read", "transfer closed"),
        ("Recv failure: Connection reset by peer", "Recv failure: Connection reset by peer"),
    ],
)
def test_reasons_can_be_counted(text: str, kept: str) -> None:
    """What differs from request to request is left out."""
    assert outcome_of_error(999, text).reason == f"transfer failed: {kept}"


@pytest.mark.parametrize(
    ("code", "name", "retryable"),
    [
        (6, "host name lookup failed", True),
        (7, "connect failed", True),
        (28, "timed out", True),
        (52, "connection lost", True),
        (60, "the server's certificate is refused", True),
        (999, "transfer failed", False),
    ],
)
def test_errors_of_libcurl(code: int, name: str, retryable: bool) -> None:
    """The code decides, the text is passed on."""
    outcome = outcome_of_error(code, "words")
    assert outcome.reason.startswith(f"{name}: words")
    assert (outcome.retryable, outcome.status) == (retryable, None)
    assert outcome_of_error(code, "").reason.startswith(f"{name}: libcurl error {code}")


@pytest.mark.parametrize(
    ("outcome", "trouble"),
    [
        (outcome_of_error(7, ""), Trouble.UNREACHABLE),
        (outcome_of_error(35, ""), Trouble.UNREACHABLE),
        (outcome_of_error(60, ""), Trouble.UNREACHABLE),
        (outcome_of_error(28, ""), Trouble.SLOW),
        (outcome_of_error(52, ""), Trouble.LOST),
        (outcome_of_error(1, ""), Trouble.NONE),
        (outcome_of_status(429), Trouble.BUSY),
        (outcome_of_status(503), Trouble.BUSY),
        (outcome_of_status(500), Trouble.NONE),
        (outcome_of_status(404), Trouble.NONE),
    ],
)
def test_what_an_attempt_says_of_the_endpoint(outcome: Outcome, trouble: Trouble) -> None:
    """No connection, no answer in time, and a request for less are troubles of the endpoint; refusals are not."""
    assert outcome.trouble is trouble


@pytest.mark.parametrize(("code", "retryable"), [(43, True), (58, True), (77, True), (59, False), (27, False)])
def test_trouble_of_this_worker_is_no_reject(code: int, retryable: bool) -> None:
    """A file that is being replaced may be right at the next attempt; nothing else of this side changes by itself."""
    outcome = outcome_of_error(code, "words")
    assert (outcome.local, outcome.retryable, outcome.trouble) == (True, retryable, Trouble.NONE)
    assert "words" in outcome.reason
