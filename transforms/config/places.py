"""Where something stands in a configuration, and the collection of everything that is wrong with it.

A configuration is read to its end whatever is wrong in it, so that an operator repairs it in one round. Dovecot stops
at the first problem; which one that is depends on the step in which Dovecot would notice it, and `Stage` keeps that
order.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dovebeam.transforms.errors import ConfigProblem

__all__ = [
    "MAX_FINDINGS",
    "Finding",
    "Place",
    "Report",
    "Stage",
    "at_line",
    "is_secret_name",
    "mask_source",
    "mask_urls",
]

MAX_FINDINGS: Final = 100
"""So many errors, and so many warnings, are kept; the rest is only counted."""

_MASK: Final = "***"
_SECRET_NAME = re.compile(
    r"(?i)pass(?!db|wd_file|word_scheme)|pasw|psw|pwd|secret|token|credential|nonce|salt|api_?key|priv|post_query|auth_user|client_id"
)
_USER_INFO = re.compile(r"://[^/?#\s\"']*@")
_QUERY = re.compile(r"(://[^?\s\"']*\?)[^\s\"']+")
_KEY = re.compile(r"\s*\"?([^\s=\"]*)\"?[ \t]*=?[ \t]*")


class Stage(enum.IntEnum):
    """The steps in which Dovecot looks at a configuration, in their order; `OURS` is what it never notices."""

    PARSE = 1
    END_OF_INPUT = 2
    CHECK = 3
    EXPAND = 4
    STATS_START = 5
    OURS = 6
    PARSE_WARNING = 7
    STATS_WARNING = 8


class Place(NamedTuple):
    """A position in a file: line and column count from 1, 0 means unknown; `source` is the whole line."""

    path: str
    line: int
    column: int
    source: str

    def moved(self, columns: int) -> Place:
        """The place so many characters further in the same line."""
        return self._replace(column=self.column + columns) if columns and self.column else self


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem, the step in which Dovecot would notice it, and how many were found before it."""

    problem: ConfigProblem
    stage: Stage
    number: int


def at_line(path: str, line: int, text: str) -> str:
    """Dovecot's form of a message that belongs to a line."""
    return f"Error in configuration file {path} line {line}: {text}"


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name, or a misspelt one that looks like it, may hold a secret."""
    return _SECRET_NAME.search(name) is not None


def mask_source(source: str, *, secret: bool = False) -> str:
    """The line as it may be shown: without a secret setting's value, without user information and query of URLs.

    Args:
        source: a physical line.
        secret: the line belongs to a secret setting, so it may be the middle of a secret that goes over several lines.
    """
    found = _KEY.match(source)
    key = found[1] if found else ""
    if is_secret_name(key) and found and found.end() < len(source):
        return source[: found.end()] + _MASK
    if secret:
        return _MASK
    return mask_urls(source)


def mask_urls(text: str) -> str:
    """The text with `***` for user name, password and query of every URL in it."""
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{_MASK}", _USER_INFO.sub(f"://{_MASK}@", text))


@dataclass(slots=True)
class Report:
    """Collects findings; never raises. Texts are masked here, in one place."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    found: int = 0
    dropped_errors: int = 0
    dropped_warnings: int = 0

    def error(
        self,
        place: Place,
        message: str,
        *,
        dovecot: str = "",
        suggestion: str = "",
        stage: Stage = Stage.PARSE,
        secret: bool = False,
    ) -> None:
        """Note something that makes the configuration unusable."""
        if len(self.errors) < MAX_FINDINGS:
            self.errors.append(self._finding(place, message, suggestion, dovecot, stage=stage, secret=secret))
        else:
            self.dropped_errors += 1

    def warning(
        self,
        place: Place,
        message: str,
        *,
        dovecot: str = "",
        suggestion: str = "",
        stage: Stage = Stage.PARSE_WARNING,
        secret: bool = False,
    ) -> None:
        """Note something that probably isn't meant."""
        if len(self.warnings) < MAX_FINDINGS:
            self.warnings.append(self._finding(place, message, suggestion, dovecot, stage=stage, secret=secret))
        else:
            self.dropped_warnings += 1

    def in_dovecot_order(self) -> Iterator[Finding]:
        """Errors and warnings that Dovecot would notice, in the order in which it would."""
        noticed = [f for f in self.errors + self.warnings if f.problem.dovecot]
        return iter(sorted(noticed, key=lambda f: (f.stage, f.number)))

    def problems(self, *, fatal: bool) -> tuple[ConfigProblem, ...]:
        """Errors, or warnings, in the order of the files; the last one may say how many were left out."""
        findings = self.errors if fatal else self.warnings
        shown = [finding.problem for finding in findings]
        shown.sort(key=lambda p: (self.files.get(p.path, len(self.files)), p.line or 1 << 60, p.column))
        dropped = self.dropped_errors if fatal else self.dropped_warnings
        if dropped:
            kind = "errors" if fatal else "warnings"
            shown.append(ConfigProblem(shown[-1].path, 0, 0, "", f"{dropped} more {kind} are not shown"))
        return tuple(shown)

    def _finding(
        self, place: Place, message: str, suggestion: str, dovecot: str, *, stage: Stage, secret: bool
    ) -> Finding:
        source = mask_source(place.source, secret=secret)
        column = min(place.column, len(source)) if source != place.source else place.column
        problem = ConfigProblem(
            place.path,
            place.line,
            column,
            source,
            mask_urls(message),
            mask_urls(suggestion),
            mask_urls(dovecot),
        )
        self.found += 1
        return Finding(problem, stage if dovecot else Stage.OURS, self.found)
