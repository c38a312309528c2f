"""docs/http.md: its configuration works, and no setting is missing."""

from __future__ import annotations

import re
from pathlib import Path

from dovebeam.transforms.config.settings import SETTINGS
from dovebeam.transforms.drivers import HttpPostDriver, make_driver
from support.config_text import accepted

_PAGE = (Path(__file__).parents[1] / "docs" / "http.md").read_text()


def test_configuration_of_the_page(tmp_path: Path) -> None:
    """The examples, read one after the other, make a driver whose secrets are all references."""
    body = "".join(re.findall(r"^```\n(event_exporter.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL))
    config = accepted(tmp_path, f"{body}metric a {{\n filter = event=*\n exporter = datalake\n}}\n")
    driver = make_driver(config.exporters["datalake"])
    assert isinstance(driver, HttpPostDriver)
    assert driver.http_post_auth == "bearer"
    assert [name for name, _ in driver.header_secrets] == ["X-Api-Key", "X-Tenant"]
    secrets = [secret for _, secret in driver.header_secrets]
    assert not any(
        s.is_literal for s in (*secrets, driver.secret("http_post_auth_token"), driver.secret("http_post_query"))
    )


def test_every_extension_of_http_post_is_on_the_page() -> None:
    """A new setting is documented when it is made."""
    names = [n.removeprefix("event_exporter_") for n, row in SETTINGS.items() if "_http_post_" in n and row.extension]
    families = {"http_post_auth_user", "http_post_auth_password"}
    assert [name for name in names if f"`{name}`" not in _PAGE and name not in families] == []
