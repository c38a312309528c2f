"""The names of headers that users may set."""

from __future__ import annotations

import pytest

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.drivers.http.auth import header_name_problem
from dovebeam.transforms.errors import DriverSettingError


@pytest.mark.parametrize(
    ("name", "headers", "key"),
    [
        ("X-Api-Key", True, True),
        ("x!#$%&'*+.^_`|~9", True, True),
        ("x" * 200, True, True),
        ("x" * 201, False, False),
        ("", False, True),  # no key is sent
        ("X: y", False, False),
        ("X\n", False, False),
        ("Keep-Alive", False, False),
        ("date", False, False),
        ("Content-Type", False, False),
        ("Accept", True, False),
        ("Authorization", True, False),
    ],
)
def test_both_settings_have_one_rule(name: str, headers: bool, key: bool) -> None:
    """What may be a header may carry the key, unless it means something else."""
    assert (not header_name_problem(name)) is headers
    for settings, allowed in (
        ({"http_post_headers": {name: "x"}}, headers),
        ({"http_post_idempotency_header": name}, key),
    ):
        try:
            HttpPostDriver("http://h/", **settings)  # type: ignore[arg-type]
        except DriverSettingError:
            assert not allowed
        else:
            assert allowed
