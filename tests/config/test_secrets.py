"""Secrets are never shown: not in problems, not in representations."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config.places import is_name, mask_urls, shown_header, shown_url
from dovebeam.transforms.config.settings import SETTINGS
from support.config_text import accepted, messages, metric, reading, warnings

SECRET = "hunter2"
METRIC = "metric a {\n filter = a=b\n exporter = x\n}\n"


@pytest.mark.parametrize(
    "lines",
    [
        f'http_client_proxy_password = "{SECRET}\\n"',
        f"http_client_proxy_pasword = {SECRET}",
        f"http_post_auth_tokn = {SECRET}",
        f"http_post_auth = {SECRET}",
        f"http_post_headers {{\n  X-Key = {SECRET} \\\n\n}}",
        f"http_post_headers {{\n  X-Key = \\\n  {SECRET} \\\n  # x\n}}",
        f"http_post_auth_token =\n  {SECRET}==",
        f"http_post_url = https://user:a/{SECRET}@h/#",
        f"http_post_url = https://h/x?token=a {SECRET}",
        f"http_client_proxy_url = http://user:a/{SECRET}@h/",
        f"driver = fiel # {SECRET}",
        f"http_post_auth_token = <{SECRET}",
        f"transport_args = https://h/services/{SECRET}",
        f"file_path = /x \\\n  http_post_auth_token = {SECRET}",
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


@pytest.mark.parametrize(
    ("exporter", "inner"),
    [
        (f"rname = {SECRET}", ""),
        (f"nmae = {SECRET}", f"nmae = {SECRET}"),
        (f"event_exporter_rname = {SECRET}", f"metric_rname = {SECRET}"),
        (f"name = $SET:my_secret\n}}\nmy_secret = {SECRET}\nservice x {{", ""),
        ("name = $ENV:SECRET", "name = $ENV:SECRET"),
        ("name = <secret", ""),
        ("", f"rname = {SECRET}\n exporter_include = nosuch\n exporter = y"),
        ("", f"filtr = user={SECRET} AND"),
        ("", f"feilds = {SECRET}"),
        ("", f"exportr = {SECRET}"),
        ("", f"descripton = {SECRET}"),
        ("", f"group_by a {{\n  method linear {{\n   mim = {SECRET}\n  }}\n }}"),
    ],
)
def test_misspelt_names_are_not_repeated(tmp_path: Path, exporter: str, inner: str) -> None:
    """Neither where blocks are called by their names, nor by anything else that shows what a setting says."""
    rest = METRIC.removesuffix("}\n") if "filtr" not in inner else "metric a {\n exporter = x\n"
    body = f"event_exporter x {{\n format = json\n {exporter}\n}}\n{rest} {inner}\n}}\n"
    found = reading(tmp_path, body, files={"secret": SECRET}, environ={"SECRET": SECRET})
    errors = messages(found) + [f.problem.dovecot for f in found.report.errors]
    assert errors
    assert SECRET not in "\n".join([*errors, *warnings(found)])
    if "name = $" not in inner:
        assert SECRET not in repr(found.config.metrics)


@pytest.mark.parametrize("line", [f"nmae = {SECRET}", "filtr = event=x", "exportr = nosuch", "feilds = a b"])
def test_one_error_for_a_misspelt_setting(tmp_path: Path, line: str) -> None:
    """Nothing else is said because a metric lacks what a misspelt setting was to say."""
    body = METRIC.replace(" filter = a=b\n", "" if "filtr" in line else " filter = a=b\n")
    (only,) = messages(reading(tmp_path, f"event_exporter x {{\n format = json\n}}\n{body[:-2]} {line}\n}}\n"))
    assert "unknown setting" in only


@pytest.mark.parametrize("line", [f"{SECRET} = x", f"{SECRET} x {{\n }}", f"opentelemetry_9x9{SECRET} = x"])
def test_names_of_a_later_dovecot_are_not_secrets(tmp_path: Path, line: str) -> None:
    """A name that only a later Dovecot may have is repeated if it looks like one, as other unknown names are."""
    versions = "dovecot_config_version = 2.4.9\ndovecot_storage_version = 2.4.0\n"
    body = f"{versions}event_exporter x {{\n format = json\n {line}\n}}\n{METRIC}"
    found = reading(tmp_path, body, versions=False)
    assert "is left out" in "\n".join(warnings(found))
    assert SECRET not in "\n".join([*warnings(found), *messages(found)])


@pytest.mark.parametrize("name", ["driver", "format", "time_format"])
def test_a_value_taken_for_one_of_a_later_dovecot_is_no_word_of_the_ledger(tmp_path: Path, name: str) -> None:
    """A secret that `$SET:` put where a closed list is expected is in no reason for what is left out."""
    secret = "zq7xsjzcd29x"
    versions = "dovecot_config_version = 2.4.9\ndovecot_storage_version = 2.4.0\n"
    body = f"{versions}sql_secret = {secret}\nevent_exporter x {{\n {name} = $SET:sql_secret\n}}\n{METRIC}"
    found = reading(tmp_path, body, versions=False)
    assert found.config.left_out
    assert secret not in "\n".join([*warnings(found), *messages(found), repr(found.config), repr(found.report)])


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
    assert "https://***@h/***" in repr(settings)


@pytest.mark.parametrize(
    ("line", "shown", "column"),
    [
        ("  http_post_auth_tokn = x y", "  http_post_auth_tokn = ***", 3),
        ("http_post_auth_tokn=x", "http_post_auth_tokn=***", 1),
        ("  http_post_auth_token x", "  http_post_auth_token ***", 24),
        ("  x9Kq==", "  ***", 3),
        ("  dGhlIHNlY3JldA", "  ***", 3),
        ("  frobnicate = x", "  frobnicate = ***", 3),
        ("  http_post_url = ftp://h/", "  http_post_url = ***", 19),
        ("  driver = fiel", "  driver = fiel", 12),
        ("  driver = fiel # x", "  driver = fiel #***", 12),
    ],
)
def test_shown_lines(tmp_path: Path, line: str, shown: str, column: int) -> None:
    """A line is shown if its setting is known to hold no secret; of others the name, and the caret is where *** is."""
    found = reading(tmp_path, f"event_exporter x {{\n format = json\n driver = http-post\n{line}\n}}\n{METRIC}")
    problem = next(p for p in found.report.problems(fatal=True) if p.line == 6)
    assert (problem.source.rstrip(), problem.column) == (shown, column)


def test_names_of_dovecot_are_shown() -> None:
    """Every name of a setting may be repeated, also one that nobody knows; what looks like a secret may not."""
    names = (Path(__file__).parent / "dovecot_names.txt").read_text("utf-8").split()
    assert [name for name in (*SETTINGS, *names) if not is_name(name)] == ["compress_bz2_block_size_100k", "oauth2"]
    for secret in ("hunter2", "x9Kq", "dGhlIHNlY3JldA", "SECRET", "0815", "deadbeef01", "sk_live_4eC39Hq", "a-b"):
        assert not is_name(secret)


@pytest.mark.parametrize(
    ("text", "masked", "url"),
    [
        ("https://h/", "https://h/", "https://h/"),
        ("https://h:8080", "https://h:8080", "https://h:8080"),
        ("https://h/in/secret", "https://h/in/secret", "https://h/***"),
        ("https://u:p@h/x?token=y z", "https://***@h/x?***", "***"),
        ("https://u:p/w@h/", "https://***@h/", "***"),
        ("https://u:p w?@h/", "https://***@h/", "***"),
        ("https://h/a b?c d", "https://h/a b?***", "***"),
        ("https://[::1]:9/", "https://[::1]:9/", "https://[::1]:9/"),
        ("see https://u:p@h\nand x@y", "see https://***@h\nand x@y", "***"),
        ("user=a@b", "user=a@b", "***"),
        ("", "", ""),
    ],
)
def test_urls(text: str, masked: str, url: str) -> None:
    """User information goes to the last at sign and a query to the end, whatever characters they should not have."""
    assert mask_urls(text) == masked
    assert shown_url(text) == url


@pytest.mark.parametrize(
    ("name", "shown"),
    [("X-Api-Key", "X-Api-Key"), ("Authorization", "Authorization"), ("X-Amz-Sha256", "X-Amz-Sha256"),
     ("dGhlIHNlY3JldA", "***"), ("x9", "***"), ("Bearer", "***"), ("", "***")],
)  # fmt: skip
def test_headers(name: str, shown: str) -> None:
    """The name of a header is shown, but not a word that may belong to its value."""
    assert shown_header(name) == shown


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("file_path = /x \\\n  http_post_auth_token = y", "'http_post_auth_token = ...' is a part of the value of 'file_path'"),
        ("file_path = /x \\\n  Sx9 = y", "'*** = ...' is a part of the value of 'file_path'"),
        ("http_post_auth_token = x \\\n  driver = drop", "'driver = ...' is a part of the value"),
    ],
)  # fmt: skip
def test_swallowed_settings(tmp_path: Path, lines: str, message: str) -> None:
    """A setting that a stray backslash has made a part of another one's value is an error; Dovecot says nothing."""
    (found,) = messages(reading(tmp_path, f"event_exporter x {{\n format = json\n {lines}\n}}\n"))
    assert message in found


def test_filters_go_on_with_comparisons(tmp_path: Path) -> None:
    """Lines of a filter that begin with NAME= are its own, unless the name is that of a setting for secrets."""
    assert metric(tmp_path, "metric a {\n filter = event=x AND \\\n  format=json AND \\\n  user=y\n}\n").filter_text
    body = "metric a {\n filter = event=x AND \\\n  http_post_auth_tokn=y\n}\n"
    assert "has no effect" in messages(reading(tmp_path, body))[0]
