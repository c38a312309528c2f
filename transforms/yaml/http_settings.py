"""From the configuration of `WriteToHttp` to a driver `http-post`; its settings are those of dovecot.conf.

Beam YAML makes the whole text of a pipeline a part of the job, for everybody to see who may look at it. So a secret can
only be a reference here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.drivers.kinds import ValueTypeError
from dovebeam.transforms.drivers.secrets.secret import HOW_TO_REFER, secrets_in
from dovebeam.transforms.drivers.secrets.secret_url import SecretUrl
from dovebeam.transforms.drivers.setting import PREFIX, Setting, convert, declared
from dovebeam.transforms.errors import DriverSettingError, UnknownNameError

__all__ = ["DEFAULTS", "make_http_driver"]

DEFAULTS: Final[Mapping[str, str]] = {
    "http_client_request_absolute_timeout": "10s",
    "http_client_request_max_attempts": "5",
}
"""Dovecot gives up after one attempt of 250 ms, since its processes cannot wait; a pipeline can."""

_OWN: Final = {"http_post_url": "url", "http_post_headers": "headers", "format": "format"}
_FIELDS: Final[Mapping[str, tuple[str, Setting]]] = {
    row.short_name: (attribute, row) for attribute, row in declared(HttpPostDriver).items() if attribute not in _OWN
}


def make_http_driver(
    url: str, headers: Mapping[str, str], settings: Mapping[str, Any], payload_format: str
) -> HttpPostDriver:
    """The driver that these describe.

    Args:
        url: the target.
        headers: values are references, or `plain:TEXT`.
        settings: of an event_exporter with this driver, by name, as numbers, booleans or the texts of dovecot.conf.
        payload_format: one of Dovecot's formats; it decides the Content-Type.

    Raises:
        ValueError: naming everything that is wrong.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in {**DEFAULTS, **settings}.items():
        try:
            values.update(_setting(name.removeprefix(PREFIX), value))
        except (ValueError, UnknownNameError) as error:
            problems.append(str(error))
    if not problems:
        shown = {name: str(value) for name, value in headers.items()}
        try:
            driver = HttpPostDriver(http_post_url=url, http_post_headers=shown, format=payload_format, **values)
        except DriverSettingError as error:
            problems += [_told(each) for each in (error, *error.others)]
        else:
            problems += _written_secrets(driver)
            if not problems:
                return driver
    raise ValueError("\n".join(problems))


def _setting(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The field of the driver that a setting fills, and its value."""
    if name in _OWN:
        raise ValueError(f"{name} has a place of its own: write it as {_OWN[name]}, beside settings")
    found = _FIELDS.get(name)
    if found is None:
        raise UnknownNameError("setting", name, _FIELDS)
    attribute, setting = found
    try:
        yield attribute, convert(setting, _text(name, value))
    except ValueTypeError as error:
        raise ValueError(f"{name}: {error.advice}") from None


def _text(name: str, value: Any) -> str:
    """What dovecot.conf would have for a value of YAML."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    raise ValueError(f"{name}: write a number, true, false or a text as in dovecot.conf")


def _told(error: DriverSettingError) -> str:
    name = error.setting.removeprefix(PREFIX)
    return f"{_OWN.get(name, name)}: {error.message.replace(PREFIX, '')}"


def _written_secrets(driver: HttpPostDriver) -> Iterator[str]:
    """What is written out and may be a secret."""
    target = driver.http_post_url
    if isinstance(target, SecretUrl) and target.user:
        yield "url: user and password in it would be seen by all; use http_post_auth: basic with references"
    if isinstance(target, SecretUrl) and target.query:
        yield "url: its query may be a secret; write it as http_post_query, by reference or as plain:TEXT"
    for name, secret in driver.header_secrets:
        if secret.is_literal:
            yield f"headers: {name}: {_refer()}"
    for name, (attribute, _) in _FIELDS.items():
        if any(secret.is_literal for secret in secrets_in(getattr(driver, attribute))):
            yield f"{name}: {_refer()}"


def _refer() -> str:
    return f"the text of a pipeline is seen by all; write {HOW_TO_REFER}, or plain:TEXT if it is no secret"
