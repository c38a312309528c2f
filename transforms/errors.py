"""Every exception that dovebeam raises, and the record of one configuration problem.

    DovebeamError
    ├── ConfigError          all problems of a configuration at once, each with file:line:column
    ├── FilterSyntaxError    a filter that Dovecot would refuse, with the offset in its text
    ├── DecodeError          bytes that are not an exported event, with the offset in them
    ├── UnknownNameError     a format, driver or other registered name that does not exist
    ├── SourceError          input that is missing, unreadable or damaged (in sources.streams)
    ├── RejectedError        a reject in a job without an error handler (in error_handling)
    └── DeliveryError        a target that can take nothing at all: the bundle fails and is tried again
        └── DriverSettingError   a driver's setting that cannot work, whatever the target does

Data errors (`DecodeError`) become rejects in a pipeline; the others stop a job at launch. Anything else that
escapes from dovebeam's pure packages is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ConfigError",
    "ConfigProblem",
    "DecodeError",
    "DeliveryError",
    "DovebeamError",
    "DriverSettingError",
    "FilterSyntaxError",
    "UnknownNameError",
    "closest_name",
]

# A filter or a setting can be one line of many thousand characters; the part around the mistake fits in a terminal.
_SHOWN_LINE_CHARS = 160
_SHOWN_LEAD_CHARS = 100


class DovebeamError(Exception):
    """Base of all exceptions that dovebeam raises on purpose."""


class DecodeError(DovebeamError):
    """Bytes that cannot be read as an exported event.

    Attributes:
        reason: what is wrong and what was expected, one sentence without the position.
        offset: byte offset in the input at which it was noticed, from 0.
    """

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason} (byte {self.offset})"


class FilterSyntaxError(DovebeamError):
    """A filter that does not parse.

    Attributes:
        message: Dovecot's own message, such as "event filter: syntax error, unexpected end of file".
        text: the filter as the parser got it.
        offset: character offset in `text` of the token that does not fit; `len(text)` for the end of the filter.
        hint: what to write instead, or an empty string.
    """

    def __init__(self, message: str, text: str, offset: int, hint: str = "") -> None:
        super().__init__(message, text, offset, hint)
        self.message = message
        self.text = text
        self.offset = offset
        self.hint = hint

    def __str__(self) -> str:
        line_start = self.text.rfind("\n", 0, self.offset) + 1
        line_end = self.text.find("\n", self.offset)
        line = self.text[line_start : line_end if line_end >= 0 else len(self.text)]
        parts = [f"{self.message} (character {self.offset})", *caret_lines(line, self.offset - line_start)]
        if self.hint:
            parts.append(self.hint)
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One mistake in a configuration, with its place, so that an editor can jump to it.

    Attributes:
        path: the file as it was opened.
        line: physical line, from 1; 0 when the problem belongs to no line.
        column: character in that line, from 1; 0 when it belongs to no column.
        source: the text of the line, or an empty string.
        message: what is wrong, what was expected and how to repair it.
        suggestion: a name or lines to write instead, or an empty string.
        dovecot: what Dovecot itself prints for this problem, or an empty string if it notices nothing.
    """

    path: str
    line: int
    column: int
    source: str
    message: str
    suggestion: str = ""
    dovecot: str = ""

    def __str__(self) -> str:
        place = ":".join([self.path, *(str(n) for n in (self.line, self.column) if n)])
        parts = [f"{place}: {self.message}"]
        if self.source and self.column:
            parts.extend(caret_lines(self.source, self.column - 1))
        if self.suggestion:
            parts.append(self.suggestion)
        return "\n".join(parts)


class ConfigError(DovebeamError):
    """A configuration that cannot be used; `problems` holds all of them in the order of the files."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    # Exceptions cross processes on remote runners; pickle's default would pass `args`, which are not these parameters.
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)

    def __str__(self) -> str:
        return "\n\n".join(str(problem) for problem in self.problems)


class UnknownNameError(DovebeamError):
    """A name that a registry does not have; the text lists the names that exist and suggests the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(kind, name, self.known)

    def __str__(self) -> str:
        near = closest_name(self.name, self.known)
        hint = f"; did you mean {near!r}?" if near else ""
        return f"unknown {self.kind} {self.name!r}; supported: {', '.join(self.known)}{hint}"


class DeliveryError(DovebeamError):
    """A target that accepts nothing, for a reason that is not the payload: a full disk, a missing socket.

    It fails the bundle, so that the runner delivers it again. A payload that the target refuses is not an error but a
    `Failure`, which becomes a reject. The texts must not contain a credential, or the path or query of a URL.

    Attributes:
        message: what failed and how to repair it.
        endpoint: the target: a path, or scheme://host:port; may be empty.
        exporter: name of the event_exporter block, as far as it is known.
    """

    def __init__(self, message: str, endpoint: str = "", exporter: str = "") -> None:
        super().__init__(message, endpoint, exporter)
        self.message = message
        self.endpoint = endpoint
        self.exporter = exporter

    def __str__(self) -> str:
        where = f"event_exporter {self.exporter}: " if self.exporter else ""
        return f"{where}{self.message}"


class DriverSettingError(DeliveryError):
    """A setting with which a driver can never deliver; raised where the driver is made, at launch.

    Attributes:
        setting: the full name of Dovecot's setting, or of dovebeam's extension.
        others: further errors of the same driver, so that all can be reported at once.
    """

    def __init__(
        self, setting: str, message: str, exporter: str = "", others: Iterable[DriverSettingError] = ()
    ) -> None:
        super().__init__(message, "", exporter)
        self.setting = setting
        self.others = tuple(others)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.setting, self.message, self.exporter, self.others)

    def of(self, exporter: str) -> DriverSettingError:
        """The same error with the name of the exporter that it is about."""
        return type(self)(self.setting, self.message, exporter, [other.of(exporter) for other in self.others])

    def __str__(self) -> str:
        where = f"event_exporter {self.exporter}: " if self.exporter else ""
        return f"{where}{self.setting}: {self.message}"


def closest_name(name: str, known: Iterable[str], likeness: float = 0.75) -> str:
    """Suggestion for a name that does not exist: the entry of `known` that was probably meant, or an empty string.

    Args:
        name: what was written.
        known: the names that there are.
        likeness: the least similarity (ratio of `difflib`); higher where names that are not in `known` may be real.
    """
    # difflib takes time quadratic in the length, and `name` comes from data.
    near = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=likeness)
    return near[0] if near else ""


def caret_lines(line: str, index: int) -> list[str]:
    """The line, cut to a readable width around `index`, and below it a caret under that character."""
    start = max(0, index - _SHOWN_LEAD_CHARS) if len(line) > _SHOWN_LINE_CHARS else 0
    # A TAB would move the caret, other control characters the terminal.
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + _SHOWN_LINE_CHARS])
    return [f"  {shown}", f"  {' ' * (min(index, len(line)) - start)}^"]
