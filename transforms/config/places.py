"""Where something stands in a configuration, and the collection of everything that is wrong with it.

A configuration is read to its end whatever is wrong in it, so that an operator repairs it in one round. Dovecot stops
at the first problem; which one that is depends on the step in which Dovecot would notice it, and `Stage` keeps that
order. Each finding has Dovecot's own text, as recordings of Dovecot 2.4 show it; `dovebeam check --format json` shows
both, so that what a log of Dovecot says leads to the place and the repair.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from dovebeam.transforms.config.disclosure import MASK, mask_urls, name_chars
from dovebeam.transforms.errors import ConfigProblem

__all__ = [
    "MAX_FINDINGS",
    "Finding",
    "Place",
    "Report",
    "Shows",
    "Stage",
    "at_line",
]

MAX_FINDINGS: Final = 100
"""So many errors, and so many warnings, are kept; the rest is only counted."""


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


class Shows(enum.Enum):
    """What may be shown of a line: see `disclosure` for the rule."""

    NOTHING = "nothing"
    NAME = "its first word, if that is the name of a setting"
    ALL = "everything but its comment"


class Place(NamedTuple):
    """A position in a file: line and column count from 1, 0 means unknown; `source` is the whole line.

    As long as nobody says that it may be shown, it is not.
    """

    path: str
    line: int
    column: int
    source: str
    shows: Shows = Shows.NOTHING

    @property
    def is_public(self) -> bool:
        """Whether the line is known to hold no secret, so that messages may repeat parts of it."""
        return self.shows is Shows.ALL

    @property
    def shown(self) -> tuple[str, int]:
        """The line as it may be shown, and the column; in a line of which only the name is shown, where *** starts."""
        if self.is_public:
            source = mask_urls(self.source)
            return source, (min(self.column, len(source)) if source != self.source else self.column)
        if self.shows is Shows.NOTHING:
            return "", self.column
        end = name_chars(self.source)
        hidden = MASK if self.source[end:].strip() else ""
        return self.source[:end] + hidden, min(self.column, end + 1)

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


@dataclass(slots=True)
class Report:
    """Collects findings; never raises. Texts are masked here, in one place.

    With `strict`, what is of a later Dovecot is an error; with `elsewhere`, a file that is not on this machine is none.
    """

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    strict: bool = False
    elsewhere: bool = False
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
    ) -> None:
        """Note something that makes the configuration unusable."""
        if len(self.errors) < MAX_FINDINGS:
            self.errors.append(self._finding(place, message, suggestion, dovecot, stage))
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
    ) -> None:
        """Note something that probably isn't meant."""
        if len(self.warnings) < MAX_FINDINGS:
            self.warnings.append(self._finding(place, message, suggestion, dovecot, stage))
        else:
            self.dropped_warnings += 1

    def later(self, place: Place, message: str, *, dovecot: str = "", stage: Stage = Stage.PARSE) -> None:
        """Note something that a later Dovecot has, see `later`."""
        note = self.error if self.strict else self.warning
        note(place, message, dovecot=dovecot, stage=stage)

    def missing(self, place: Place, message: str, *, dovecot: str = "", stage: Stage = Stage.PARSE) -> None:
        """Note a file that is not on this machine."""
        if self.elsewhere:  # where Dovecot runs, it may be there
            self.warning(place, f"{message} (on this machine)")
        else:
            self.error(place, message, dovecot=dovecot, stage=stage)

    def suggest(self, number: int, suggestion: str) -> None:
        """Replace the suggestion of an error, by its place in `errors`."""
        finding = self.errors[number]
        self.errors[number] = replace(finding, problem=replace(finding.problem, suggestion=mask_urls(suggestion)))

    def in_dovecot_order(self) -> Iterator[Finding]:
        """Errors and warnings that Dovecot would notice, in the order in which it would."""
        noticed = [f for f in self.errors + self.warnings if f.problem.dovecot]
        return iter(sorted(noticed, key=lambda f: (f.stage, f.number)))

    def dovecot_error(self) -> str:
        """Of all that was found, with what Dovecot would stop first, in its words; empty if with nothing of it."""
        stopping = (f for f in self.in_dovecot_order() if f.stage <= Stage.STATS_START)
        return next((f.problem.dovecot for f in stopping), "")

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

    def _finding(self, place: Place, message: str, suggestion: str, dovecot: str, stage: Stage) -> Finding:
        source, column = place.shown
        texts = (mask_urls(text) for text in (message, suggestion, dovecot))
        problem = ConfigProblem(place.path, place.line, column, source, *texts)
        self.found += 1
        return Finding(problem, stage if dovecot else Stage.OURS, self.found)
