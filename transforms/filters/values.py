"""What the value of a comparison is: number, address, literal text or pattern. Decided once, from the text alone.

Rules from Dovecot's event filter language, "For fields: the value is classified once, at parse time".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from dovebeam.transforms.events.values import INT64_MAX
from dovebeam.transforms.filters.networks import Network, parse_network
from dovebeam.transforms.filters.text import has_wildcard, unescape
from dovebeam.transforms.filters.units import parse_integer, parse_interval, parse_size

__all__ = ["Kind", "Value", "classify", "escape_value"]

Kind = Literal["literal", "integer", "ip", "ambiguous", "numeric pattern", "pattern"]

_NUMERIC_PATTERN: Final = re.compile(r"[0-9*?]+")
_NEEDS_BACKSLASH: Final = re.compile(r'[\\"*?]')


@dataclass(frozen=True, slots=True)
class Value:
    """A classified value.

    Attributes:
        kind: which tests it takes part in; sizes and intervals are integers, `1m` is ambiguous.
        text: normalised, as it is compared with text and shown in warnings; a pattern keeps its backslashes.
        number: of an integer: itself, bytes or microseconds.
        network: of an IP address or range.
    """

    kind: Kind
    text: str
    number: int = 0
    network: Network | None = None

    @property
    def is_empty(self) -> bool:
        """Whether this is the literal empty text, which is what a missing field equals."""
        return self.kind == "literal" and not self.text


def classify(text: str) -> Value:
    """Classifies the value `text` of a field comparison, backslashes still in it. Never fails."""
    number = parse_integer(text)
    if number is not None:
        return Value("integer", str(number), number)
    network = parse_network(text)
    if network is not None:
        return Value("ip", network.text, network=network)
    size = parse_size(text)
    if size is not None and text[-1:] in ("m", "M"):
        return Value("ambiguous", text)
    number = size if size is not None and size <= INT64_MAX else parse_interval(text)
    if number is not None:
        return Value("integer", str(number), number)
    if not has_wildcard(text):
        return Value("literal", unescape(text))
    return Value("numeric pattern" if _NUMERIC_PATTERN.fullmatch(text) else "pattern", text)


def escape_value(text: str) -> str:
    """Writes literal text so that a string field equals it, whatever it looks like: the inverse of `unescape`.

    The result belongs between double quotes: `f'user="{escape_value(user)}"'`. Wildcards lose their meaning; text that
    Dovecot would change because it looks like a number, an address, a size or an interval is forced to stay text.
    """
    escaped = _NEEDS_BACKSLASH.sub(r"\\\g<0>", text)
    return escaped if classify(escaped).text == text else "\\" + escaped
