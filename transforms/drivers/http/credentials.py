"""The credentials of an exporter and the URLs that they are for, looked up on the worker.

An object never changes. A new one is made when a file of credentials was replaced, and when the target refuses them.
"""

from __future__ import annotations

import base64
from typing import Final

from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.drivers.secrets.secret import Scheme, Secret, file_identities, secrets_in
from dovebeam.transforms.drivers.secrets.secret_url import HttpUrl
from dovebeam.transforms.drivers.setting import setting_name
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Credentials"]

_TLS_FILES: Final = ("ssl_client_ca_file", "ssl_client_ca_dir", "ssl_client_cert_file", "ssl_client_key_file")


class Credentials:
    """The secrets of the settings as texts.

    Everything is looked up when the object is made, and stays as it is.

    Attributes:
        can_change: whether another look-up may give something else.
        url: the target.
        proxy: the proxy, None for none.
        proxy_user: user name for the proxy.
        proxy_password: password for the proxy.
        key_password: password of the client certificate's key.
        token_url: where oauth2 gets tokens.
        client_id: for oauth2.
        client_secret: for oauth2.
        headers: those of the settings, and Authorization unless it needs a token that has to be fetched.

    Raises:
        DeliveryError: a secret cannot be looked up.
    """

    def __init__(self, settings: HttpPostSettings) -> None:
        self._settings = settings
        secrets = list(secrets_in(settings))
        self.can_change = any(secret.can_change for secret in secrets)
        self._secret_files = [secret.name for secret in secrets if secret.scheme is Scheme.FILE]
        self._tls_files = (
            [path for name in _TLS_FILES if (path := getattr(settings, name))] if settings.may_use_tls else []
        )
        # Taken before the files are read, so that one that is replaced meanwhile is noticed.
        self._secret_identities = file_identities(self._secret_files)
        self._tls_identities = file_identities(self._tls_files)
        self._seen: dict[Secret, str] = {}
        self._look_up()

    def has_other_secret_files(self) -> bool:
        """Whether a secret in a file was replaced."""
        return file_identities(self._secret_files) != self._secret_identities

    def has_other_tls_files(self) -> bool:
        """Whether a certificate or key was replaced."""
        return file_identities(self._tls_files) != self._tls_identities

    def without_secrets(self, text: str) -> str:
        """The text with `***` in place of every secret."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _look_up(self) -> None:
        self.url = self._target()
        self.proxy = self._url("http_client_proxy_url")
        self.token_url = self._url("http_post_oauth2_token_url") or self.url
        # The proxy's own settings win over what is in its URL.
        user, _, password = _decoded(self.proxy).partition(":")
        self.proxy_user = self._text("http_client_proxy_username") or user
        self.proxy_password = self._text("http_client_proxy_password") or password
        self.key_password = self._text("ssl_client_key_password")
        self.client_id = self._text("http_post_oauth2_client_id")
        self.client_secret = self._text("http_post_oauth2_client_secret")
        self.headers = self._header_lines()
        self._secrets = self._known_secrets()

    def _header_lines(self) -> tuple[str, ...]:
        setting = setting_name("http_post_headers")
        lines = tuple(
            f"{name}: {_checked(f'{setting}/{name}', self._reveal(secret, f'{setting}/{name}'))}"
            for name, secret in self._settings.header_secrets
        )
        authorization = self.url.basic_authorization
        if self._settings.http_post_auth == "basic":
            authorization = self._basic()
        elif self._settings.http_post_auth == "bearer":
            authorization = (
                f"Bearer {_checked(setting_name('http_post_auth_token'), self._text('http_post_auth_token'))}"
            )
        return (f"Authorization: {authorization}", *lines) if authorization else lines

    def _basic(self) -> str:
        user, password = self._text("http_post_auth_user"), self._text("http_post_auth_password")
        # RFC 7617: a server takes the first colon for the end of the user. Here, as a reference is known only now.
        if ":" in user:
            setting = setting_name("http_post_auth_user")
            raise DeliveryError(
                f"{setting}: a user name with a colon cannot be sent (choose another)", self._settings.endpoint
            )
        pair = f"{user}:{password}".encode("utf-8", "surrogateescape")
        return f"Basic {base64.b64encode(pair).decode('ascii')}"

    def _known_secrets(self) -> list[str]:
        """Texts that no message may repeat, longest first, so that none is hidden only in part."""
        texts = {value.partition(": ")[2] for value in self.headers}
        texts |= {self.proxy_user, self.proxy_password, self.key_password, self.client_id, self.client_secret}
        for name in ("http_post_auth_user", "http_post_auth_password", "http_post_auth_token", "http_post_query"):
            texts.add(self._text(name))
        # Of a URL by reference even the host is a secret.
        if self._settings.target.visible is None:
            texts |= {self.url.host, self.url.without_credentials}
        for url in (self.url, self.proxy, self.token_url):
            if url is not None:
                texts |= {url.target, url.basic_authorization, _decoded(url), _decoded(url).partition(":")[2]}
        # A single character is in every message: hiding it would tell it, and make the message unreadable.
        return sorted((text for text in texts if len(text) > 1), key=len, reverse=True)

    def _text(self, name: str) -> str:
        return self._reveal(self._settings.secret(name), setting_name(name))

    def _reveal(self, secret: Secret, setting: str) -> str:
        """The text of a secret, which is asked for only once in a look-up; Secret Manager takes a request for each."""
        if secret not in self._seen:
            self._seen[secret] = secret.reveal(setting)
        return self._seen[secret]

    def _target(self) -> HttpUrl:
        setting, settings = setting_name("http_post_url"), self._settings
        url = settings.target.reveal(setting, self._text("http_post_query"))
        named = settings.http_post_auth != "none" or "authorization" in {
            name.lower() for name, _ in settings.header_secrets
        }
        if url.credentials is not None and named:
            # At launch this was checked for all URLs but those by reference.
            message = f"{setting}: the URL has user:password, and the settings have credentials, too (keep one of both)"
            raise DeliveryError(message, settings.endpoint)
        return url

    def _url(self, name: str) -> HttpUrl | None:
        url = self._settings.secret_url(name)
        return url.reveal(setting_name(name)) if url is not None else None


def _decoded(url: HttpUrl | None) -> str:
    return (url.credentials or b"").decode("utf-8", "surrogateescape") if url is not None else ""


def _checked(setting: str, text: str) -> str:
    """The text, if it can be the value of a header.

    Raises:
        DeliveryError: it cannot; a line break, for one, would start another header.
    """
    if not text or not text.isascii() or not text.isprintable():
        wrong = "is empty" if not text else "has a character that is not allowed in a header"
        raise DeliveryError(f"{setting}: the value {wrong} (correct it, or where it refers to)")
    return text
