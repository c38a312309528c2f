"""docs/http.md: no setting is missing."""

from __future__ import annotations

from pathlib import Path

from dovebeam.transforms.config.settings import SETTINGS

_PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def test_every_extension_of_http_post_is_on_the_page() -> None:
    """A new setting is documented when it is made."""
    names = [n.removeprefix("event_exporter_") for n, row in SETTINGS.items() if "_http_post_" in n and row.extension]
    families = {"http_post_auth_user", "http_post_auth_password"}
    assert [name for name in names if f"`{name}`" not in _PAGE and name not in families] == []
