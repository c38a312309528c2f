"""A secret: a setting's value that is never shown, or a reference to where the worker finds it.

    env:NAME                                a variable of the worker's environment
    file:/PATH                              a file on the worker; one line end at the end is not a part of it
    gsm:projects/P/secrets/S/versions/V     Google Secret Manager
    type:GcpSecret;version_name:projects/P/secrets/S/versions/V     the same, as Beam spells it
    plain:TEXT                              TEXT, declared not to be secret: it travels with the job for all to see
    literal:TEXT                            TEXT, a secret, even if it begins like one of the above
    TEXT                                    a secret

References travel with a job and are looked up by the worker. The text of a secret never does: it stays in the
`vault` of the process that read the configuration, which shares it with its worker processes on the same machine.
`file_identities` tells when a file, of a secret or a certificate, has been replaced while a job runs.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dovebeam.transforms.drivers.secrets import vault
from dovebeam.transforms.drivers.secrets.secret_manager import VERSION, fetch_secret
from dovebeam.transforms.errors import DeliveryError, DriverSettingError

__all__ = ["HOW_TO_REFER", "NOTHING", "Scheme", "Secret", "file_identities", "is_reference", "secrets_in"]


HOW_TO_REFER: Final = "env:NAME, file:/PATH or gsm:projects/P/secrets/S/versions/V"
"""References that stand in for a secret in advice of errors."""

# The limit of Secret Manager, so that a secret can be moved from one place to the other.
_MAX_FILE_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
# Bounded, and with DOTALL: a broken reference must be refused as one, not be taken for a secret.
_BEAM: Final = re.compile(r"type:GcpSecret;version_name:(.{0,2000})\Z", re.IGNORECASE | re.DOTALL)
_SCHEME: Final = re.compile(r"(env|file|gsm|plain|literal):", re.IGNORECASE)


class Scheme(enum.Enum):
    """The kind of place where the text of a secret is."""

    LITERAL = "literal"
    PLAIN = "plain"
    ENVIRONMENT = "env"
    FILE = "file"
    MANAGER = "gsm"


_REFERENCES: Final = frozenset({Scheme.ENVIRONMENT, Scheme.FILE, Scheme.MANAGER})


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret value; equal to another one with the same reference, or with the same text in the same process.

    Its pickle holds `scheme` and `name`, never the text of a literal.

    Attributes:
        scheme: where the text is.
        name: variable, path, version name or public text; for a literal its id in the vault.
    """

    scheme: Scheme
    name: str

    @classmethod
    def parse(cls, setting: str, written: str | Secret) -> Secret:
        """Parses the value of a setting.

        Args:
            setting: full name of the setting, for errors, which never repeat the value.
            written: the value, in one of the spellings above; a `Secret` is returned as it is.

        Raises:
            DriverSettingError: it begins like a reference, but is not a valid one.
        """
        if isinstance(written, Secret):
            return written
        beam = _BEAM.match(written)
        if beam:
            return _secret_manager(setting, beam[1])
        scheme = _SCHEME.match(written)
        if scheme is None:
            return cls.literal(written) if written else NOTHING
        return _PARSERS[Scheme(scheme[1].lower())](setting, written[scheme.end() :])

    @classmethod
    def literal(cls, text: str) -> Secret:
        """A secret whose text is known here, and stays here."""
        return cls(Scheme.LITERAL, vault.keep(text))

    def __bool__(self) -> bool:
        return self != NOTHING

    def __repr__(self) -> str:
        return f"Secret({self.shown!r})"

    @property
    def shown(self) -> str:
        """Text for people, the reference or asterisks."""
        return "***" if self.is_literal else f"{self.scheme.value}:{self.name}"

    @property
    def is_literal(self) -> bool:
        """Whether the configuration holds its text, so that it can be used on this machine only."""
        return self.scheme is Scheme.LITERAL

    @property
    def can_change(self) -> bool:
        """Whether looking again may give another text, so that a secret can be replaced while a job runs."""
        return self.scheme in {Scheme.FILE, Scheme.MANAGER}

    @property
    def is_local(self) -> bool:
        """Whether the look-up needs no network."""
        return self.scheme in {Scheme.ENVIRONMENT, Scheme.FILE}

    def reveal(self, setting: str) -> str:
        """The text, looked up on this machine and now.

        Raises:
            DeliveryError: the look-up failed; the text names setting and reference.
        """
        match self.scheme:
            case Scheme.PLAIN:
                return self.name
            case Scheme.ENVIRONMENT:
                return _from_environment(setting, self.name)
            case Scheme.FILE:
                return _from_file(setting, self.name)
            case Scheme.MANAGER:
                return fetch_secret(setting, self.name)
        return _from_vault(setting, self.name)


NOTHING: Final = Secret(Scheme.PLAIN, "")
"""The value of a setting that was not set."""


def is_reference(written: str) -> bool:
    """Whether a text is a reference to a secret, valid or not."""
    scheme = _SCHEME.match(written)
    return bool(_BEAM.match(written)) or (scheme is not None and Scheme(scheme[1].lower()) in _REFERENCES)


def secrets_in(value: Any) -> Iterator[Secret]:
    """All secrets in a driver's description, or in a part of it, except those that are not set."""
    # Before the dataclass: a `Secret` is one as well.
    if isinstance(value, Secret):
        if value:
            yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from secrets_in(getattr(value, field.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from secrets_in(part)


def _environment(setting: str, name: str) -> Secret:
    if not _NAME.match(name):
        message = "after env: stands the name of an environment variable, of letters, digits and underscores"
        raise DriverSettingError(setting, message)
    return Secret(Scheme.ENVIRONMENT, name)


def _file(setting: str, path: str) -> Secret:
    if not path.startswith("/") or "\0" in path:
        raise DriverSettingError(setting, "after file: stands an absolute path, such as file:/run/secrets/token")
    return Secret(Scheme.FILE, path)


def _secret_manager(setting: str, version: str) -> Secret:
    if not VERSION.match(version):
        message = "write gsm:projects/PROJECT/secrets/SECRET/versions/VERSION; VERSION is a number or latest"
        raise DriverSettingError(setting, message)
    return Secret(Scheme.MANAGER, version)


def _plain(_setting: str, text: str) -> Secret:
    return Secret(Scheme.PLAIN, text)


def _literal(_setting: str, text: str) -> Secret:
    return Secret.literal(text)


_PARSERS: Final[Mapping[Scheme, Callable[[str, str], Secret]]] = {
    Scheme.ENVIRONMENT: _environment,
    Scheme.FILE: _file,
    Scheme.MANAGER: _secret_manager,
    Scheme.PLAIN: _plain,
    Scheme.LITERAL: _literal,
}


def _from_environment(setting: str, name: str) -> str:
    text = os.environ.get(name)
    if text is None:
        message = f"{setting}: the environment variable {name} is not set on this worker (set it where workers start)"
        raise DeliveryError(message)
    return text


def _from_file(setting: str, path: str) -> str:
    """The text in a file.

    Symbolic links are followed: Kubernetes mounts each secret as one, so that it can be replaced.
    """
    try:
        # Without waiting: opening a named pipe without a writer would block the worker forever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            regular = stat.S_ISREG(os.fstat(fd).st_mode)
            # One byte more than allowed, to tell a file that is too long from one that just fits.
            data = file.read(_MAX_FILE_BYTES + 1) if regular else b""
    except OSError as error:
        message = f"{setting}: open({path}) failed: {error.strerror} on this worker (provide the file, or correct it)"
        raise DeliveryError(message, path) from error
    if not regular or len(data) > _MAX_FILE_BYTES:
        wrong = f"is longer than {_MAX_FILE_BYTES} bytes" if regular else "is not a regular file"
        raise DeliveryError(f"{setting}: {path} {wrong} (put the secret alone into a file)", path)
    text = data.decode("utf-8", "surrogateescape")
    # Editors and `echo` end a file with a newline that is not a part of the secret. Only one is removed, for a secret
    # may end in one of its own.
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _from_vault(setting: str, identity: str) -> str:
    text = vault.recall(identity)
    if text is None:
        message = (
            f"{setting}: the secret was written out in the configuration and stayed on the machine that launched the "
            f"job (give it by reference: {HOW_TO_REFER})"
        )
        raise DeliveryError(message)
    return text


# Certificates and secrets are replaced while a job runs; a file's identity tells, without reading it.

Identity = tuple[int, ...]
"""Device, inode, size and times of a file, for a directory also of its entries; empty if the file does not exist."""


def file_identities(paths: Iterable[str]) -> tuple[Identity, ...]:
    """The identity of each file, which changes if it is written, renamed over, or its symbolic link is moved."""
    return tuple(_identity(path) for path in paths)


def _identity(path: str) -> Identity:
    try:
        found = os.stat(path)  # follows links: Kubernetes replaces mounted secrets by moving one
        # The time of change, too: a program that copies can set the time of modification back, but not this one.
        own = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if not os.path.isdir(path):
            return own
        return (*own, *(number for name in sorted(os.listdir(path)) for number in _entry(os.path.join(path, name))))
    except OSError:
        return ()


def _entry(path: str) -> Identity:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
