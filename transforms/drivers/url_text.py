"""The pieces of a URL: characters, `%XX`, and the error about them. `urls` says what they are put together to."""

from __future__ import annotations

import re
import string
from typing import Final, NoReturn

from dovebeam.transforms.errors import DovebeamError

__all__ = ["PLAIN", "HttpUrlError", "bytes_of", "component_end", "escaped", "refuse", "shown"]

PLAIN: Final = r"A-Za-z0-9\-._~!$&'()*+,;="
"""The characters that every part of a URL may have, for a class in a regular expression."""

_HEX: Final = frozenset(string.hexdigits)


class HttpUrlError(DovebeamError):
    """Dovecot would refuse the URL.

    Attributes:
        message: Dovecot's words. Of the URL they repeat one character at most, or what should be an IPv6 address.
        advice: what to write instead.
    """

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(f"{message} ({advice})")
        self.message = message
        self.advice = advice


def bytes_of(text: str) -> str:
    """One character a byte, as Dovecot looks at it; bytes of a file that are not UTF-8 are those again."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:  # a half of a pair of surrogates, which no file can hold
        return text.encode("utf-8", "backslashreplace").decode("latin-1")


def component_end(text: str, at: int, plain: re.Pattern[str]) -> int:
    """Where a component ends: behind the characters that it may have, and those that are escaped.

    Raises:
        HttpUrlError: a `%` does not begin an escape.
    """
    while True:
        found = plain.match(text, at)
        at = found.end() if found else at
        if not text.startswith("%", at):
            return at
        escaped(text, at)
        at += 3


def escaped(text: str, at: int) -> int:
    """The byte that the %XX at this place stands for.

    Raises:
        HttpUrlError: it stands for none, or for NUL.
    """
    digits = text[at + 1 : at + 3]
    advice = "write %25 for a percent sign"
    if len(digits) < 2:
        refuse("Unexpected URI boundary after '%'", advice)
    for place, digit in enumerate(digits):
        if digit not in _HEX:
            refuse(f"Expecting hex digit after '%{digits[:place]}', but found {shown(digit)}", advice)
    if digits == "00":
        refuse("Percent encoding is not allowed to encode NUL character", "remove the %00")
    return int(digits, 16)


def shown(char: str) -> str:
    """A character as Dovecot's errors show it."""
    return f"'{char}'" if " " <= char <= "~" else f"<0x{ord(char):02x}>"


def refuse(message: str, advice: str) -> NoReturn:
    """Raises the error."""
    raise HttpUrlError(message, advice)
