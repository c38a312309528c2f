"""The settings of `http-post` for URL, headers and authentication, and their checks at launch.

Dovecot has user and password in the URL, proxy credentials and a client certificate; the rest is dovebeam's. All
credentials are `Secret`s in the driver's description, so that it can travel and be shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Final

from dovebeam.transforms.drivers.secrets.secret import Scheme, Secret
from dovebeam.transforms.drivers.secrets.secret_url import SecretUrl
from dovebeam.transforms.drivers.setting import Kind, declared, setting, setting_name
from dovebeam.transforms.drivers.tls_settings import TlsSettings
from dovebeam.transforms.drivers.urls import http_query_error
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["AUTH_METHODS", "AuthSettings", "header_name_problem"]


# A token of RFC 9110, section 5.6.2; servers limit the length of header lines to some thousand bytes.
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,200}\Z")
# Headers that the driver makes itself, with the setting that decides about each; two of a kind would be ambiguous.
_OWN: Final[Mapping[str, str]] = {
    "content-type": "use http_post_content_type",
    "content-encoding": "use http_post_compression",
    "user-agent": "use http_client_user_agent",
    "proxy-authorization": "use http_client_proxy_username and http_client_proxy_password",
    **dict.fromkeys(
        (
            "connection content-length date expect host keep-alive proxy-connection te trailer transfer-encoding "
            "upgrade"
        ).split(),
        "the driver writes it itself",
    ),
}
_WITH_A_MEANING: Final = frozenset({"accept", "authorization"})


def header_name_problem(name: str, *, for_key: bool = False) -> str:
    """Error and advice for a header that cannot be set; empty if it can.

    Args:
        name: the header's name.
        for_key: whether it is for the idempotency key, and so must not be one that has a meaning for servers.
    """
    if not _NAME.match(name):
        return "its name is empty, too long, or has characters that are not allowed; correct it"
    lower = name.lower()
    if lower in _OWN:
        return f"it cannot be set like this; {_OWN[lower]}"
    if for_key and lower in _WITH_A_MEANING:
        return "it means something else; write for example Idempotency-Key"
    return ""


AUTH_METHODS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "none": ((), ()),
    "basic": (("http_post_auth_user", "http_post_auth_password"), ()),
    "bearer": (("http_post_auth_token",), ()),
    "oauth2": (
        ("http_post_oauth2_token_url", "http_post_oauth2_client_id", "http_post_oauth2_client_secret"),
        ("http_post_oauth2_scope", "http_post_oauth2_audience"),
    ),
    "google-id-token": ((), ("http_post_google_audience",)),
}
"""The values of `http_post_auth`, each with the settings that it requires, and those that it allows."""

_OF_METHODS: Final = tuple(dict.fromkeys(name for both in AUTH_METHODS.values() for names in both for name in names))


@dataclass(frozen=True, slots=True)
class AuthSettings(TlsSettings):
    """The settings of an `http-post` exporter for URL, headers, authentication and TLS."""

    # First, and the only field that is not keyword-only: `HttpPostDriver("https://...")`.
    http_post_url: str | SecretUrl = setting(
        Kind.STRING,
        "",
        "the URL that events are posted to, `http://` or `https://`; `user:password@` in it is sent as Basic "
        "authentication. In dovebeam, it can also be a reference to the URL, such as `env:NAME`",
        dovecot=True,
        guarded=True,
        shown=False,
        required="https://HOST/PATH",
    )
    _: KW_ONLY
    http_post_query: str | Secret = setting(
        Kind.STRING, "", "the query of the URL, without the question mark", secret=True
    )
    http_post_headers: Mapping[str, str | Secret] | tuple[tuple[str, str | Secret], ...] = setting(
        Kind.TEXT_LIST, "", "additional headers of each request, with their values", secret=True
    )
    http_post_auth: str = setting(
        Kind.ENUM, "none", "how requests are authenticated", tuple(AUTH_METHODS), guarded=True
    )
    http_post_auth_user: str | Secret = setting(Kind.STRING, "", "the user name for `basic`", secret=True)
    http_post_auth_password: str | Secret = setting(Kind.STRING, "", "the password for `basic`", secret=True)
    http_post_auth_token: str | Secret = setting(Kind.STRING, "", "the token for `bearer`", secret=True)
    http_post_oauth2_token_url: str | SecretUrl = setting(
        Kind.STRING, "", "token endpoint for `oauth2`, with the client credentials grant", guarded=True, shown=False
    )
    http_post_oauth2_client_id: str | Secret = setting(Kind.STRING, "", "client ID for `oauth2`", secret=True)
    http_post_oauth2_client_secret: str | Secret = setting(Kind.STRING, "", "client secret for `oauth2`", secret=True)
    http_post_oauth2_scope: str = setting(Kind.STRING, "", "scope that `oauth2` requests, if the server needs one")
    http_post_oauth2_audience: str = setting(
        Kind.STRING, "", "audience that `oauth2` requests, if the server needs one"
    )
    http_post_google_audience: str = setting(
        Kind.STRING, "", "audience of the `google-id-token`; empty for the scheme and host of the URL"
    )

    def seal(self) -> None:
        """Replaces the texts of secrets by `Secret`s; for `__post_init__`.

        Raises:
            DriverSettingError: the first error; its `others` are the rest.
        """
        problems = [problem for name in (*self._secrets(), *_URLS) for problem in self._seal_field(name)]
        problems += self._seal_headers()
        # Only on sound fields: a value that could not be read would be reported as missing as well.
        problems += self._wrong_auth() if not problems else []
        if problems:
            raise DriverSettingError(problems[0].setting, problems[0].message, others=problems[1:])

    def secret_url(self, name: str) -> SecretUrl | None:
        """The URL of this field; None if it is not set."""
        value = getattr(self, name)
        return value if isinstance(value, SecretUrl) else None

    @property
    def header_secrets(self) -> tuple[tuple[str, Secret], ...]:
        """Names and values of `http_post_headers`."""
        pairs = self.http_post_headers if isinstance(self.http_post_headers, tuple) else ()
        return tuple((name, value) for name, value in pairs if isinstance(value, Secret))

    def _secrets(self) -> list[str]:
        return [name for name, row in declared(type(self)).items() if row.secret and row.kind is Kind.STRING]

    def _seal_field(self, name: str) -> Iterator[DriverSettingError]:
        """Replaces the value of a field; yields an error instead of raising it, so that all are reported at once."""
        setting, value = setting_name(name), getattr(self, name)
        try:
            if name not in _URLS:
                sealed: Secret | SecretUrl | str = Secret.parse(setting, value)
                _refuse_control_characters(setting, sealed)
                if name == "http_post_query":
                    _refuse_wrong_query(setting, sealed)
            else:
                # Only the target may be a reference as a whole, and only of the token's URL the query is shown.
                public, target = name == "http_post_oauth2_token_url", name == "http_post_url"
                needed = bool(value) or target
                sealed = SecretUrl.parse(setting, value, public_query=public, by_reference=target) if needed else ""
        except DriverSettingError as error:
            yield error
        else:
            object.__setattr__(self, name, sealed)

    def _seal_headers(self) -> list[DriverSettingError]:
        given = self.http_post_headers
        pairs = tuple(given.items() if isinstance(given, Mapping) else given)
        sealed, problems = [], []
        for name, value in pairs:
            try:
                sealed.append((name, _header(name, value)))
            except DriverSettingError as error:
                problems.append(error)
        names = [name.lower() for name, _ in pairs]
        problems += [_header_error(n, "it is set twice; keep one") for n in sorted(set(names)) if names.count(n) > 1]
        if self._key_header().lower() in names:
            problems.append(_header_error(self._key_header(), "http_post_idempotency_header sends it; keep one"))
        if "authorization" in names and (self.http_post_auth != "none" or self._has_user()):
            problems.append(
                _header_error("Authorization", "the URL's user or http_post_auth sends it already; keep one")
            )
        object.__setattr__(self, "http_post_headers", tuple(sealed))
        return problems

    def _key_header(self) -> str:
        # A field of the subclass `HttpPostSettings`, for it is not about authentication.
        return str(getattr(self, "http_post_idempotency_header", ""))

    def _wrong_auth(self) -> list[DriverSettingError]:
        if self.http_post_auth not in AUTH_METHODS:
            return []  # `check_values` reports it, as it does for every setting with choices
        needed, taken = AUTH_METHODS[self.http_post_auth]
        problems = [
            DriverSettingError(setting_name(name), f"http_post_auth = {self.http_post_auth} needs it; set it")
            for name in needed
            if not getattr(self, name)
        ]
        for name in _OF_METHODS:
            if getattr(self, name) and name not in needed + taken:
                wanted = next(method for method, both in AUTH_METHODS.items() if name in both[0] + both[1])
                message = (
                    f"http_post_auth is {self.http_post_auth}, which does not use it; write http_post_auth = {wanted}"
                )
                problems.append(DriverSettingError(setting_name(name), message))
        if self.http_post_auth != "none" and self._has_user():
            message = "the URL has user:password, which is an authentication of its own; keep one of the two"
            problems.append(DriverSettingError(setting_name("http_post_auth"), message))
        target = self.secret_url("http_post_url")
        if target is not None and target.query and self.http_post_query:
            message = "the URL has a query of its own; write the whole query here and none in the URL"
            problems.append(DriverSettingError(setting_name("http_post_query"), message))
        return problems

    def _has_user(self) -> bool:
        target = self.secret_url("http_post_url")
        return target is not None and bool(target.user)


_URLS: Final = ("http_post_url", "http_client_proxy_url", "http_post_oauth2_token_url")


def _header(name: str, value: str | Secret) -> Secret:
    problem = header_name_problem(name)
    if problem:
        raise _header_error(name[:40] if name.isprintable() else "", problem)
    try:
        secret = Secret.parse("", value)
        _refuse_control_characters("", secret)
    except DriverSettingError as error:
        raise _header_error(name, error.message) from None
    if not secret:
        raise _header_error(name, "it is empty; remove it, or give it a value")
    return secret


def _header_error(name: str, message: str) -> DriverSettingError:
    return DriverSettingError(setting_name("http_post_headers"), f"header {name}: {message}")


def _refuse_control_characters(setting: str, secret: Secret | SecretUrl | str) -> None:
    """Refuses control characters in a secret whose text is known at launch; the worker checks those by reference."""
    if isinstance(secret, Secret) and secret.scheme in {Scheme.LITERAL, Scheme.PLAIN}:
        text = secret.reveal(setting)
        if any(c < " " or c == "\x7f" for c in text):
            raise DriverSettingError(setting, "it has a control character; remove it")


def _refuse_wrong_query(setting: str, secret: Secret | SecretUrl | str) -> None:
    """The same, for a text that cannot be the query of a URL."""
    if isinstance(secret, Secret) and secret.scheme in {Scheme.LITERAL, Scheme.PLAIN}:
        problem = http_query_error(secret.reveal(setting).removeprefix("?"))
        if problem is not None:
            raise DriverSettingError(setting, f"it cannot be a query: {problem}")
