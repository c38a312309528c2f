"""What a message may repeat of a configuration, so that no secret is ever shown.

The rule: a line is shown only if its setting is known to hold no secret. Of every other line at most the name is shown,
and `***` for the rest, whatever is wrong with the line: a misspelt name, a value that slipped into the next line, a
line that belongs to another part of Dovecot. Texts that may be shown can still hold a URL; of URLs in them neither user
information nor query is shown.
"""

from __future__ import annotations

import re
from typing import Final

from dovebeam.transforms.config.foreign import CONNECTION_BLOCKS
from dovebeam.transforms.config.hints import near_miss
from dovebeam.transforms.config.settings import BLOCKS, PLAIN_BLOCKS, SETTINGS
from dovebeam.transforms.errors import closest_name

__all__ = [
    "FREE_TEXTS",
    "MASK",
    "is_guarded_name",
    "is_name",
    "looks_like_setting",
    "mask_urls",
    "name_chars",
    "shown_header",
    "shown_key_path",
    "shown_name",
    "shown_url",
    "start_of",
]

MASK: Final = "***"
"""What stands for a text that may be a secret."""

FREE_TEXTS: Final = frozenset({"metric_filter", "metric_description"})
"""Settings whose value may have lines that begin with NAME= and are no settings."""

_WORD: Final = "[a-z]{1,20}[0-9]?[a-z]?"
_NAME = re.compile(rf"{_WORD}(?:_{_WORD})+|[a-z]{{1,20}}")
_START = re.compile(r"""[ \t\v\f\r]*"?([^\s="]*)"?[ \t\v\f\r]*(=?)[ \t\v\f\r]*""")
_SETTING = re.compile(r"""[ \t\v\f\r]*"?([^\s="]+)"?[ \t\v\f\r]*=""")
_USER_INFO = re.compile(r"://[^\n]*@")
_QUERY = re.compile(r"(://[^?\n]*\?)[^\n]+")
_PLAIN_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#@\s]*@)?((?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)(/?)([^@\s]*)"
)

_KEY_PATH = re.compile(r"/[a-z0-9._\-]{1,40}\.(?:pem|key|crt|cer)\Z")
_HEADER = re.compile(r"(?i)[a-z]+(?:-[a-z]{1,20}[0-9]{0,3})+|accept|authorization|cookie|date|from|host|origin|via")

_SHORT_NAMES: Final = frozenset(
    name.removeprefix(f"{block}_") for name in (*SETTINGS, *BLOCKS) for block in BLOCKS if name.startswith(f"{block}_")
)
_OUR_NAMES: Final = (
    frozenset({*SETTINGS, *BLOCKS, *PLAIN_BLOCKS, "dovecot_config_version", "dovecot_storage_version"}) | _SHORT_NAMES
)
_GUARDED: Final = frozenset(
    name.removeprefix(prefix)
    for name, row in SETTINGS.items()
    for prefix in ("", "event_exporter_")
    if not row.is_public
)


def is_name(word: str) -> bool:
    """Whether a word looks like the name of a setting, and not like a secret that stands in the place of one."""
    return _NAME.fullmatch(word) is not None or word in _OUR_NAMES


def shown_name(word: str) -> str:
    """A name that is not known, for a message; `***` if it does not look like one."""
    return word if is_name(word) or _is_misspelt(word) else MASK


def shown_header(name: str) -> str:
    """The name of an HTTP header; `***` if it may be a piece of a header's value."""
    return name if _HEADER.fullmatch(name) else MASK


def name_chars(source: str) -> int:
    """How many characters at the start of a line may be shown if nothing is known about its setting.

    The name, the equals sign and the spaces around it. Without an equals sign the first word may be a secret that
    belongs to another line, so it must be a name of event export.
    """
    found = _START.match(source)
    if found is None or not found[1]:
        return 0
    word = found[1]
    alone = word in _OUR_NAMES or word in CONNECTION_BLOCKS
    known = is_name(word) or shown_header(word) == word if found[2] else alone
    return found.end() if known or _is_misspelt(word) else found.start(1)


def looks_like_setting(source: str, *, free: bool) -> bool:
    """Whether a line that goes on with a value looks like a setting of its own, as after a stray backslash.

    Args:
        source: the physical line.
        free: the value is a filter or a description, whose lines may well begin with NAME=; only names of settings
            that may hold a secret count then.
    """
    name = start_of(source)
    return bool(name) and (not free or is_guarded_name(name))


def shown_key_path(path: str) -> str:
    """The path of a key's file; `***` if it may be the key itself."""
    return path if _KEY_PATH.search(path) else MASK


def start_of(source: str) -> str:
    """The name before the equals sign of a line that looks like a setting."""
    found = _SETTING.match(source)
    return found[1] if found else ""


def is_guarded_name(name: str) -> bool:
    """Whether this is the name, perhaps misspelt, of a setting that may hold a secret."""
    return name in _GUARDED or bool(closest_name(name.lower().replace("-", "_"), _GUARDED))


def mask_urls(text: str) -> str:
    """The text with `***` for user name, password and query of URLs in it.

    Both may hold any character by mistake, also a slash, a space or a question mark, so user information goes to the
    last at sign of a line, and a query to the line's end.
    """
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{MASK}", _USER_INFO.sub(f"://{MASK}@", text))


def shown_url(text: str) -> str:
    """Scheme, host and port of a URL, and `***` for what else it has; `***` alone if it is not sure which is which."""
    if not text:
        return ""
    found = _PLAIN_URL.fullmatch(text)
    if found is None:
        return MASK
    user = f"{MASK}@" if found[2] else ""
    rest = f"/{MASK}" if found[5] else found[4]
    return f"{found[1]}://{user}{found[3]}{rest}"


def _is_misspelt(word: str) -> bool:
    """Whether a word is one of our names with another case, with dashes, or with a typing error."""
    plain = word.lower().replace("-", "_")
    return _NAME.fullmatch(plain) is not None and bool(near_miss(plain, _OUR_NAMES))
