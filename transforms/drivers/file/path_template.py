"""Path templates, such as `%Y/%m/%d/{user}.json`.

    template  = component *( "/" component )
    component = 1*( text / "%" code / "%%" / "{" field "}" / "{{" / "}}" )

Codes are those of strftime that mean the same everywhere and sort: Y m d j H M S, and G V u for weeks. The others
depend on a language or leave something out, and are refused. So is a code without the coarser one that it needs:
`%Y/%M` is a minute where a month was meant. `{event}` and `{hostname}` are parts of the event, every other name is a
field. Every error shows the place in the template.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers.file.names import split_suffix
from dovebeam.transforms.errors import caret_lines

__all__ = [
    "CODES",
    "Code",
    "Component",
    "Field",
    "PathTemplate",
    "TemplateError",
    "finest_step_secs",
    "parse_template",
]


# The codes of times.

# Not by `strftime`: its %Y writes the year 999 with three digits on Linux, and such names do not sort.
CODES: Final[Mapping[str, Callable[[dt.datetime], str]]] = MappingProxyType(
    {
        "Y": lambda time: f"{time.year:04d}",
        "m": lambda time: f"{time.month:02d}",
        "d": lambda time: f"{time.day:02d}",
        "j": lambda time: f"{time.timetuple().tm_yday:03d}",
        "H": lambda time: f"{time.hour:02d}",
        "M": lambda time: f"{time.minute:02d}",
        "S": lambda time: f"{time.second:02d}",
        "G": lambda time: f"{time.isocalendar().year:04d}",
        "V": lambda time: f"{time.isocalendar().week:02d}",
        "u": lambda time: str(time.isoweekday()),
    }
)
"""The text of each code for a time; as strftime, but with four digits for every year."""

_WORDS: Final = MappingProxyType(
    {
        "Y": "year", "m": "month", "d": "day of the month", "j": "day of the year", "H": "hour", "M": "minute",
        "S": "second", "G": "year of the week", "V": "week", "u": "day of the week",
    }
)  # fmt: skip
# Of each code the coarser ones of which one must be there too, or one name would mean several times.
_NEEDS: Final = MappingProxyType(
    {"m": "Y", "d": "m", "j": "Y", "H": "dju", "M": "H", "S": "M", "G": "V", "V": "G", "u": "V"}
)
# Advice for the codes of strftime that are refused.
_REFUSED: Final = MappingProxyType(
    {
        "D": "%D has slashes and two digits of the year; write %Y/%m/%d, or %j for the day of the year",
        "F": "%F is not known; write %Y-%m-%d",
        "I": "%I counts the hours to twelve, so one name means two hours; write %H",
        "T": "%T has colons; write %H%M%S",
        "s": "%s is a count of seconds since 1970, which is hard to read; write %Y%m%dT%H%M%S",
        "y": "%y has two digits of the year; write %Y",
        **dict.fromkeys("UWC", "weeks and centuries counted this way are ambiguous; write %G and %V, or %Y"),
        **dict.fromkeys("aAbBhcpPrxX", "it depends on a language; write numbers, such as %Y-%m-%d"),
        **dict.fromkeys("zZ", "times are in UTC, which no name needs to say; leave it out"),
        **dict.fromkeys("ekl", "it has spaces in it; write %d or %H"),
    }
)
_STEPS_SECS: Final = MappingProxyType({"S": 1, "M": 60, "H": 3600})
# The step of all other codes: weeks, months and years begin with a day, though not all of them are of one length.
_DAY_SECS: Final = 86_400


def code_problem(letter: str, letters: frozenset[str]) -> str:
    """Why a code cannot stand in a template, or an empty string.

    Args:
        letter: of the code; empty at the end of the template.
        letters: of all codes in the template.
    """
    if letter not in CODES:
        known = f"there are {', '.join(f'%{each}' for each in CODES)}, and %% for a percent sign"
        return _REFUSED.get(letter, f"'%{letter}' is not a code for a time; {known}")
    needed = _NEEDS.get(letter, "")
    if needed and not letters & frozenset(needed):
        other = needed[0]
        return f"%{letter} is the {_WORDS[letter]}, which needs %{other}, the {_WORDS[other]}, to mean one time only"
    return ""


def finest_step_secs(letters: frozenset[str]) -> int:
    """Length of the steps in which the text of these codes changes, aligned to midnight UTC; at most a day."""
    return min((_STEPS_SECS.get(letter, _DAY_SECS) for letter in letters), default=_DAY_SECS)


# Parsing a template.

# A longer "suffix" is a part of a name with a dot in it, and must count for the length of the name.
_MAX_SUFFIX_CHARS: Final = 32
_UNSAFE: Final = MappingProxyType(
    {
        "~": "it marks numbers and hashes that dovebeam adds to names, and no shell expands it here",
        "\\": "it separates names on some systems",
        **dict.fromkeys("*?[]", "it is a wildcard where files are listed"),
    }
)


class TemplateError(ValueError):
    """A mistake in a template; the text shows the place and says what to write."""

    def __init__(self, text: str, offset: int, message: str) -> None:
        super().__init__("\n".join([f"{message} (character {offset})", *caret_lines(text, offset)]))
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Code:
    """A part of the event's time; `letter` is that of strftime."""

    letter: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the event, or one of the parts `event` and `hostname`."""

    name: str


Piece = str | Code | Field


@dataclass(frozen=True, slots=True)
class Component:
    """One name of the path: its pieces and its suffix, which is the last dot in its last text and what follows."""

    pieces: tuple[Piece, ...]
    suffix: str


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed template; the last component names the file."""

    components: tuple[Component, ...]

    @property
    def codes(self) -> frozenset[str]:
        """The letters of its codes."""
        return frozenset(piece.letter for each in self.components for piece in each.pieces if isinstance(piece, Code))


def parse_template(text: str) -> PathTemplate:
    """Parses a template.

    Raises:
        TemplateError: it has a mistake, or could name something outside of its directory.
    """
    components: list[list[tuple[int, Piece]]] = [[]]
    for offset, piece in _pieces(text):
        if piece == "/":
            _check_component(text, offset, components[-1])
            components.append([])
        else:
            components[-1].append((offset, piece))
    _check_component(text, len(text), components[-1])
    _check_codes(text, [(at, piece.letter) for each in components for at, piece in each if isinstance(piece, Code)])
    return PathTemplate(tuple(_component([piece for _, piece in each]) for each in components))


def _pieces(text: str) -> Iterator[tuple[int, Piece]]:
    """Separators, codes, fields and single characters of texts, each with its offset."""
    at = 0
    while at < len(text):
        pair = text[at : at + 2]
        if pair in {"%%", "{{", "}}"}:
            yield at, pair[0]
            at += 2
        elif pair[0] == "%":
            if pair == "%{":
                raise TemplateError(text, at, "Dovecot's variables are not expanded here; write {NAME} without the %")
            yield at, Code(pair[1:])
            at += 2
        elif pair[0] == "{":
            end = _end_of_field(text, at)
            yield at, Field(text[at + 1 : end])
            at = end + 1
        else:
            yield at, _checked(text, at)
            at += 1


def _end_of_field(text: str, at: int) -> int:
    end = text.find("}", at)
    if end < 0:
        raise TemplateError(text, at, "this brace is never closed; write {NAME}, or {{ for a brace")
    name = text[at + 1 : end]
    if not name:
        raise TemplateError(text, at, "there is no name in the braces; write a field, such as {user}")
    if "{" in name or not name.isprintable() or name != name.strip():
        raise TemplateError(text, at, "a field's name has no brace, no control character and no space around it")
    return end


def _checked(text: str, at: int) -> str:
    """The character at an offset, if it may be in a name."""
    character = text[at]
    if character == "}":
        raise TemplateError(text, at, "this brace was never opened; write }} for a brace")
    if character in _UNSAFE:
        raise TemplateError(text, at, f"{character!r} cannot be in a name: {_UNSAFE[character]}; leave it out")
    if not character.isprintable():
        raise TemplateError(text, at, "a name has no control character; remove it")
    return character


def _check_component(text: str, end: int, pieces: list[tuple[int, Piece]]) -> None:
    if not pieces:
        advice = "begin with a name; the path is relative to the directory file_path" if end == 0 else "write a name"
        raise TemplateError(text, end, f"there is no name before this place; {advice}")
    at, first = pieces[0]
    # A value at the beginning cannot lead up: `encode_value` escapes leading dots.
    if first == ".":
        raise TemplateError(text, at, "a name cannot begin with a dot, so that no path leads up or is hidden")
    # One character a piece, so that an index into `words` is one into `pieces`.
    words = "".join(piece if isinstance(piece, str) else "\0" for _, piece in pieces)
    for wrong in ("YYYY", "yyyy"):
        if wrong in words:
            at = pieces[words.index(wrong)][0]
            raise TemplateError(text, at, f"{wrong} is only text; the year is %Y, the month %m, the day %d")


def _check_codes(text: str, codes: list[tuple[int, str]]) -> None:
    letters = frozenset(letter for _, letter in codes)
    for at, letter in codes:
        problem = code_problem(letter, letters)
        if problem:
            raise TemplateError(text, at, problem)


def _component(pieces: list[Piece]) -> Component:
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    last = merged[-1]
    # A dot in a value is a part of the value: `{user}` of joe@example.org has no suffix `.org`.
    if not isinstance(last, str):
        return Component(tuple(merged), "")
    # With a field before it even a text that is nothing but ".json" is a suffix.
    lead = "" if len(merged) == 1 else "x"
    suffix = split_suffix(lead + last)[1]
    if len(suffix) > _MAX_SUFFIX_CHARS:
        suffix = ""
    rest = last.removesuffix(suffix)
    return Component((*merged[:-1], rest) if rest else tuple(merged[:-1]), suffix)
