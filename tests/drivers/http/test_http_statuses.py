"""The lists of statuses, and what each status means for a request."""

from __future__ import annotations

import pytest

from dovebeam.transforms.drivers.http.outcome import StatusRules, Verdict, parse_statuses
from dovebeam.transforms.errors import DriverSettingError


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
def test_retried_statuses(status: int) -> None:
    """Time-outs, "too early", rate limits and server errors may pass, however large the body."""
    assert {StatusRules.parse().verdict(status, events) for events in (1, 2, 500)} == {Verdict.RETRY}


@pytest.mark.parametrize("status", [0, 100, 301, 304, 400, 401, 403, 404, 409, 413, 415, 422, 501, 999])
def test_final_statuses(status: int) -> None:
    """What will be the same next time is not tried again."""
    assert StatusRules.parse().verdict(status, 1) is Verdict.FINAL


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.SUCCESS),
        (299, Verdict.SUCCESS),
        (400, Verdict.SEARCH),
        (422, Verdict.SEARCH),
        (413, Verdict.SPLIT),
        (401, Verdict.FINAL),
        (403, Verdict.FINAL),
        (404, Verdict.FINAL),
        (501, Verdict.FINAL),
    ],
)
def test_batches(status: int, verdict: Verdict) -> None:
    """Of several events the culprit is searched; refusals that concern all of them are final."""
    assert StatusRules.parse().verdict(status, 2) is verdict


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("", set()),
        ("429", {429}),
        ("408 425 429", {408, 425, 429}),
        ("408, 425,429", {408, 425, 429}),
        ("500-503 200", {200, 500, 501, 502, 503}),
        ("  599-599\t", {599}),
        ("429 429 428-430", {428, 429, 430}),
    ],
)
def test_lists(text: str, statuses: set[int]) -> None:
    """Statuses and ranges, apart by spaces or commas."""
    assert parse_statuses("s", text) == statuses


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("20", "20"),
        ("2xx", "2xx"),
        ("100", "100"),
        ("199-200", "199-200"),
        ("600", "600"),
        ("500-600", "500-600"),
        ("503-500", "503-500"),
        ("500 - 503", "-"),
        ("200;201", "200;201"),
        ("5000", "5000"),
        ("٥٠٠", "٥٠٠"),
        ("200 " + "9" * 1000, "9" * 20),
    ],
)
def test_wrong_lists(text: str, item: str) -> None:
    """The error names the setting, the item that is none, and an example."""
    with pytest.raises(DriverSettingError, match="write for example 429 500-599") as caught:
        parse_statuses("s", text)
    assert caught.value.setting == "s"
    assert f"'{item}' is not a status" in str(caught.value)


@pytest.mark.parametrize(
    ("lists", "shared"),
    [
        ({"retry": "500-504", "reject": "503"}, "503"),
        ({"success": "200 409", "reject": "409 410"}, "409"),
        ({"success": "200-404", "retry": "404"}, "404"),
    ],
)
def test_overlaps(lists: dict[str, str], shared: str) -> None:
    """Two written lists must not give one status two meanings."""
    with pytest.raises(DriverSettingError, match=f"{shared} is in event_exporter_http_post_"):
        StatusRules.parse(**lists)


@pytest.mark.parametrize(
    ("lists", "status", "verdict"),
    [
        ({"success": "200-299 409"}, 409, Verdict.SUCCESS),
        ({"success": "200"}, 204, Verdict.FINAL),
        ({"success": "200-299 503"}, 503, Verdict.SUCCESS),
        ({"retry": "403"}, 403, Verdict.RETRY),
        ({"retry": "403"}, 500, Verdict.FINAL),
        ({"retry": "202"}, 202, Verdict.RETRY),
        ({"reject": "503"}, 503, Verdict.FINAL),
        ({"reject": "400"}, 400, Verdict.FINAL),
        ({"reject": "413"}, 413, Verdict.FINAL),
        ({"retry": "400"}, 400, Verdict.RETRY),
    ],
)
def test_what_is_written_goes_before_defaults(lists: dict[str, str], status: int, verdict: Verdict) -> None:
    """A status in a written list leaves the defaults of the others, and loses its own rule."""
    assert StatusRules.parse(**lists).verdict(status, 2) is verdict


def test_something_must_be_success() -> None:
    """Without any success nothing would ever be delivered."""
    with pytest.raises(DriverSettingError, match="no status would be success"):
        StatusRules.parse(success=" ")
