"""Secrets are never shown: not in problems, not in representations."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config.places import is_secret_name, mask_source
from support.config_text import accepted, messages, reading, warnings

SECRET = "hunter2"


@pytest.mark.parametrize(
    "lines",
    [
        f'http_client_proxy_password = "{SECRET}\\n"',
        f"http_client_proxy_pasword = {SECRET}",
        f"http_client_proxy_password {SECRET}",
        f"http_client_proxy_password = %{{{SECRET}",
        f"ssl_client_key_password = x \\\n  {SECRET} %{{",
        f"ssl_client_key_password = x \\\n  a = {SECRET} %{{",
        f'"ssl_client_key_password" = "{SECRET}" "',
        f"http_client_proxy_password = <<E\n{SECRET}\n%{{\nE",
        f"http_client_proxy_password = <<E\n{SECRET}",
        f"http_client_proxy_password = {SECRET} \\\n",
        f"http_client_proxy_password = {SECRET}#x",
        f"http_post_url = http://user:{SECRET}@h/#",
        f"http_post_url = ftp://{SECRET}@h/",
        f"transport_args = https://user:{SECRET}@h/",
        f"http_post_ulr = http://{SECRET}@h/",
        f"http_client_proxy_url = ftp://u:{SECRET}@h/",
        f"http_client_proxy_password = %{{{SECRET}}}",
        f"ssl_client_key_password = $SET:my_secret\n}}\nmy_secret = %{{{SECRET}}} $SET:nosuch\nservice x {{",
        f"api_token = {SECRET}",
        f"http_post_url = http://h:x/?token={SECRET}",
        f"http_post_auth_token = %{{{SECRET}",
        f"http_post_headers = {SECRET}",
        f"http_post_headers {{\n  X-Key = <<E\n{SECRET}\nE\n}}",
        f'http_post_headers {{\n  X-Key = "{SECRET}\\n"\n}}',
        f"http_post_headers {{\n  X-Key = %{{{SECRET}}}\n}}",
        f"http_post_headers {{\n  X-Key = {SECRET} $SET:nosuch\n}}",
        f"http_post_headers {{\n  X {SECRET}\n}}",
    ],
)
def test_problems_show_no_secrets(tmp_path: Path, lines: str) -> None:
    """Whatever is wrong with a line that holds one."""
    exporter = f"event_exporter x {{\n format = json\n driver = http-post\n {lines}\n}}\n"
    found = reading(tmp_path, exporter + "metric a {\n filter = a=b\n exporter = x\n}\n")
    shown = messages(found) + warnings(found) + [f.problem.dovecot for f in found.report.errors]
    assert shown
    assert SECRET not in "\n".join(shown)


def test_representations_show_no_secrets(tmp_path: Path) -> None:
    """Neither the model nor its settings."""
    body = (
        f"event_exporter x {{\n format = json\n http_client_proxy_password = {SECRET}\n"
        f" http_post_url = https://joe:{SECRET}@h/x?key={SECRET}\n ssl_client_key_password = {SECRET}\n"
        f" http_post_headers {{\n  X-Key = {SECRET}\n }}\n}}\n"
    )
    config = accepted(tmp_path, body)
    settings = config.exporters["x"].settings
    assert settings.text("http_client_proxy_password") == SECRET
    assert settings["event_exporter_http_post_headers"] == (("X-Key", SECRET),)
    for shown in (repr(config), str(config), repr(settings), f"{config.exporters['x']}"):
        assert SECRET not in shown
    assert "https://***@h/x?***" in repr(settings)


@pytest.mark.parametrize(
    ("source", "secret", "shown"),
    [
        ("  password = x y", False, "  password = ***"),
        ("password=x", False, "password=***"),
        ("password x", False, "password ***"),
        ("password =", False, "password ="),
        ("  more of it", True, "***"),
        ("  a = b", True, "***"),
        ("url = http://u:p@h/ and http://h/@", False, "url = http://***@h/ and http://h/@"),
        ("url = https://h/a?token=x y=1", False, "url = https://h/a?*** y=1"),
        ("passdb x {", False, "passdb x {"),
        ("filter = user=a@b", False, "filter = user=a@b"),
    ],
)
def test_mask_source(source: str, secret: bool, shown: str) -> None:
    """What is left of a line."""
    assert mask_source(source, secret=secret) == shown


def test_secret_names() -> None:
    """Names that sound like secrets, misspelt ones too; not every name with `pass`."""
    for name in ("http_client_proxy_password", "pasword", "api_token", "client_secret", "auth_policy_hash_nonce"):
        assert is_secret_name(name)
    for name in ("passdb", "passwd_file_path", "filter", "driver", "description"):
        assert not is_secret_name(name)
