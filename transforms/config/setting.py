"""What a row of the table of settings holds; the table itself is in `settings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.config.types import Kind

__all__ = ["Setting"]

_DRIVERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "event_exporter_file_": ("file",),
        "event_exporter_unix_": ("unix",),
        "event_exporter_log_": ("log",),
        "event_exporter_http_post_": ("http-post",),
        "http_client_": ("http-post",),
        "ssl_": ("http-post", "log"),
    }
)
"""Beginnings of names, and the drivers that have such settings."""

_MAY_HOLD_SECRETS: Final = frozenset(
    {
        "event_exporter_http_post_auth",
        "event_exporter_http_post_url",
        "event_exporter_http_post_oauth2_token_url",
        "event_exporter_log_target",
        "http_client_proxy_url",
        "ssl_client_key_file",
    }
)
"""Settings that are not for secrets: URLs, and those in which people write one by mistake."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: the full name, the same in every block.
        kind: the type of its values.
        default: the value if nothing sets it, as it would be written.
        text: what it is for, one sentence without its full stop; the reference of settings is made from it.
        choices: the words of an enum, or of a list that knows only some.
        block_only: honoured only in its own block, not as a default outside.
        not_zero: what Dovecot's check prints if the value is 0, or an empty string if 0 is fine.
        secret: the value must never be shown.
        expanded: whether `%{...}` in it is expanded at start.
        extension: dovebeam has it, Dovecot refuses it.
        check: says what is wrong with a value beyond its type; an empty string is fine.
    """

    name: str
    kind: Kind
    default: str
    text: str
    choices: tuple[str, ...] = ()
    block_only: bool = False
    not_zero: str = ""
    secret: bool = False
    expanded: bool = True
    extension: bool = False
    check: Callable[[str], str] | None = None

    @property
    def drivers(self) -> tuple[str, ...]:
        """The drivers that it is for; none if it is for all, or not for exporters."""
        return next((drivers for start, drivers in _DRIVERS.items() if self.name.startswith(start)), ())

    @property
    def is_public(self) -> bool:
        """Whether its value is known to hold no secret, so that messages may repeat it, right or wrong."""
        return not self.secret and self.name not in _MAY_HOLD_SECRETS
