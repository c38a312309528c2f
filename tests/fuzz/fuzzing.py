"""What every family of fuzz targets has in common: a target, and how inputs are made of its seeds."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple


class Target(NamedTuple):
    """One parser under test.

    Attributes:
        check: raises for a finding; dovebeam's own exceptions, where they are right, it takes itself.
        seeds: inputs that the parser reads, to be mutated; never empty.
        weight: how often its turn comes, compared to others.
    """

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    weight: int = 1


PIECES: Final = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"(",
    b")",
    b"=",
    b"<",
    b">",
    b"*",
    b"?",
    b" ",
    b"\t",
    b"\r",
    b"\n",
]
PIECES += [
    b"#",
    b"$ENV:A",
    b"$SET:metric_filter",
    b"%{env:A}",
    b"!include x",
    b"<<E",
    b"</dev/null",
    b"@a = b",
    b"group @a b {",
]
PIECES += [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"-0",
    b"9" * 30,
    b"AND",
    b"NOT",
    b"1m",
]


ODD_NUMBERS: Final = [
    b"1e9999999999999999999",
    b"-1E+99999999999999999999",
    b"1e-9999999999999999999",
    b"0e9999999999999999999",
    b"9223372036854775808",
    b"-9223372036854775807.999999",
    b"1.5e18",
    b"-0.5",
    b"0." + b"0" * 5000 + b"1",
    b"9" * 5000,
]
"""Numbers at the limits of 64 bits, of doubles, of Decimal and of Python's integers."""

_NUMBER: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")


def mutated(rng: random.Random, seed: bytes, other: bytes) -> bytes:
    """The seed with some bytes changed, cut, repeated, or replaced by what parsers find hard."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        match rng.randrange(7):
            case 6:
                replace_number(rng, data)
            case 0:
                data[at:at] = rng.choice(PIECES)
            case 1:
                del data[at : at + rng.randint(1, 8)]
            case 2:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                data[at : at + rng.randint(0, 20)] = rng.choice(PIECES)
            case 4:
                start = rng.randint(0, len(other))
                data[at:at] = other[start : start + rng.randint(1, 40)]
            case _:
                data[at:at] = data[max(0, at - rng.randint(1, 30)) : at]
    return bytes(data)


def replace_number(rng: random.Random, data: bytearray) -> None:
    """Puts an odd number in the place of one that is there: a byte here and there hardly ever makes one."""
    found = list(_NUMBER.finditer(data))
    if found:
        number = rng.choice(found)
        data[number.start() : number.end()] = rng.choice(ODD_NUMBERS)
