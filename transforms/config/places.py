"""Positions in configuration files, the report of all problems, and the masking of secrets in both.

A configuration is read to its end whatever is wrong in it, so that an operator repairs it in one round. Dovecot stops
at the first problem; which one that is depends on the step in which Dovecot would notice it, and `Stage` keeps that
order. Each finding has Dovecot's own text, as recordings of Dovecot 2.4 show it; `dovebeam check --format json` shows
both, so that a message in Dovecot's log leads to the place and the repair.

A line is hidden in messages unless its setting is known to hold no secret: `Place.shows` says how much may be shown,
and the parser raises it when it has recognised the statement.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from dovebeam.transforms.config.known_names import CONNECTION_BLOCKS, near_miss
from dovebeam.transforms.config.settings import BLOCKS, PLAIN_BLOCKS, SETTINGS
from dovebeam.transforms.errors import ConfigProblem, closest_name

__all__ = [
    "FREE_TEXTS",
    "MASK",
    "Place",
    "Report",
    "Shows",
    "Stage",
    "at_line",
    "is_guarded_name",
    "is_name",
    "looks_like_setting",
    "mask_urls",
    "shown_header",
    "shown_key_path",
    "shown_name",
    "shown_url",
    "start_of",
]


MAX_FINDINGS: Final = 100
"""Limit of the errors, and of the warnings, that are kept; the rest is only counted."""

MASK: Final = "***"
"""Replacement for a text that may be a secret."""

FREE_TEXTS: Final = frozenset({"metric_filter", "metric_description"})
"""Settings whose values may have lines that begin with NAME= and yet are part of the value."""

# Names of settings are short lower-case words joined by underscores. A password or token hardly ever is; bounded
# repetitions keep the match of an endless word cheap.
_NAME_WORD: Final = "[a-z]{1,20}[0-9]?[a-z]?"
_NAME = re.compile(rf"{_NAME_WORD}(?:_{_NAME_WORD})+|[a-z]{{1,20}}")
_FIRST_WORD = re.compile(r"""[ \t\v\f\r]*"?([^\s="]*)"?[ \t\v\f\r]*(=?)[ \t\v\f\r]*""")
_KEY_BEFORE_EQUALS = re.compile(r"""[ \t\v\f\r]*"?([^\s="]+)"?[ \t\v\f\r]*=""")
_USER_INFO = re.compile(r"://[^\n]*@")
_QUERY = re.compile(r"(://[^?\n]*\?)[^\n]+")
# Stricter than RFC 3986: with any character that could shift the border between user, host and path, all is hidden.
_PLAIN_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#@\s]*@)?((?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)(/?)([^@\s]*)"
)

_KEY_PATH = re.compile(r"/[a-z0-9._\-]{1,40}\.(?:pem|key|crt|cer)\Z")
# Words with dashes, as header names have them, or one of the few without a dash. A token has other characters.
_HEADER = re.compile(r"(?i)[a-z]+(?:-[a-z]{1,20}[0-9]{0,3})+|accept|authorization|cookie|date|from|host|origin|via")

_SHORT_NAMES: Final = frozenset(
    name.removeprefix(f"{block}_") for name in (*SETTINGS, *BLOCKS) for block in BLOCKS if name.startswith(f"{block}_")
)
_OUR_NAMES: Final = (
    frozenset({*SETTINGS, *BLOCKS, *PLAIN_BLOCKS, "dovecot_config_version", "dovecot_storage_version"}) | _SHORT_NAMES
)
# Under their full and their short names, because people write either.
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
    """Unknown name for display; `***` if it does not look like a name."""
    return word if is_name(word) or _is_misspelled(word) else MASK


def shown_header(name: str) -> str:
    """Name of an HTTP header for display; `***` if it may be a piece of a header's value."""
    return name if _HEADER.fullmatch(name) else MASK


def name_chars(source: str) -> int:
    """Length of the start of a line that may be shown if nothing is known about its setting.

    The name, the equals sign and the spaces around it. Without an equals sign the first word may be a secret that
    belongs to another line, so it must be a name of event export.
    """
    found = _FIRST_WORD.match(source)
    if found is None or not found[1]:
        return 0
    word = found[1]
    alone = word in _OUR_NAMES or word in CONNECTION_BLOCKS
    # A wrapped value (`password = abc \` and the rest below) makes a line whose first word is a piece of a secret.
    known = is_name(word) or shown_header(word) == word if found[2] else alone
    return found.end() if known or _is_misspelled(word) else found.start(1)


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
    """Path of a key file for display; `***` if it may be the key itself."""
    return path if _KEY_PATH.search(path) else MASK


def start_of(source: str) -> str:
    """The name before the equals sign of a line that looks like a setting."""
    found = _KEY_BEFORE_EQUALS.match(source)
    return found[1] if found else ""


def is_guarded_name(name: str) -> bool:
    """Whether this is the name, perhaps misspelled, of a setting that may hold a secret."""
    return name in _GUARDED or bool(closest_name(name.lower().replace("-", "_"), _GUARDED))


def mask_urls(text: str) -> str:
    """Text with `***` for user name, password and query of URLs in it.

    Both may hold any character by mistake, also a slash, a space or a question mark, so user information goes to the
    last at sign of a line, and a query to the line's end.
    """
    # Most texts have no URL; this spares them two searches.
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\1{MASK}", _USER_INFO.sub(f"://{MASK}@", text))


def shown_url(text: str) -> str:
    """Scheme, host and port of a URL, with `***` for its other parts; `***` alone if the parts are ambiguous."""
    if not text:
        return ""
    found = _PLAIN_URL.fullmatch(text)
    if found is None:
        return MASK
    user = f"{MASK}@" if found[2] else ""
    rest = f"/{MASK}" if found[5] else found[4]
    return f"{found[1]}://{user}{found[3]}{rest}"


def _is_misspelled(word: str) -> bool:
    """Whether a word is one of our names with another case, with dashes, or with a typing error."""
    plain = word.lower().replace("-", "_")
    return _NAME.fullmatch(plain) is not None and bool(near_miss(plain, _OUR_NAMES))


class Stage(enum.IntEnum):
    """Steps in which Dovecot looks at a configuration, in their order; `OURS` is for what it never notices."""

    PARSE = 1
    END_OF_INPUT = 2
    CHECK = 3
    EXPAND = 4
    STATS_START = 5
    # Above STATS_START, so that it never counts as what stops Dovecot.
    OURS = 6
    PARSE_WARNING = 7
    STATS_WARNING = 8


class Shows(enum.Enum):
    """Part of a line that messages may show."""

    NOTHING = "nothing"
    NAME = "its first word, if that is the name of a setting"
    ALL = "everything but its comment"


class Place(NamedTuple):
    """Position in a file: line and column count from 1, 0 means unknown; `source` is the whole line.

    By default nothing of the line may be shown.
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
        """The line as it may be shown, and the column; where only the name is shown, the column where *** starts."""
        if self.is_public:
            # Masking can shorten the line, and the caret must stay within it.
            source = mask_urls(self.source)
            return source, (min(self.column, len(source)) if source != self.source else self.column)
        if self.shows is Shows.NOTHING:
            return "", self.column
        end = name_chars(self.source)
        hidden = MASK if self.source[end:].strip() else ""
        return self.source[:end] + hidden, min(self.column, end + 1)

    def moved(self, columns: int) -> Place:
        """Place that many characters further in the same line."""
        return self._replace(column=self.column + columns) if columns and self.column else self


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem, the step in which Dovecot would notice it, and its number in the order of discovery."""

    problem: ConfigProblem
    stage: Stage
    number: int


def at_line(path: str, line: int, text: str) -> str:
    """Dovecot's error message for a line."""
    return f"Error in configuration file {path} line {line}: {text}"


@dataclass(slots=True)
class Report:
    """Collection of all findings; never raises. Texts are masked here, in one place.

    With `strict`, a name of a later Dovecot is an error; with `remote`, a file that is not on this machine is a
    warning. `files` numbers the files in the order of their first reading.
    """

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    strict: bool = False
    remote: bool = False
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
        """Add an error, which makes the configuration unusable."""
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
        """Add a warning: valid, but probably a mistake."""
        if len(self.warnings) < MAX_FINDINGS:
            self.warnings.append(self._finding(place, message, suggestion, dovecot, stage))
        else:
            self.dropped_warnings += 1

    def later(self, place: Place, message: str, *, dovecot: str = "", stage: Stage = Stage.PARSE) -> None:
        """Add a name or value of a later Dovecot (`known_names.Later`): a warning, an error if `strict`."""
        note = self.error if self.strict else self.warning
        note(place, message, dovecot=dovecot, stage=stage)

    def missing(self, place: Place, message: str, *, dovecot: str = "", stage: Stage = Stage.PARSE) -> None:
        """Add a file that is not on this machine: an error, a warning if `remote`."""
        # Dovecot would refuse it only where it runs, so no text of Dovecot goes with the warning.
        if self.remote:
            self.warning(place, f"{message} (on this machine)")
        else:
            self.error(place, message, dovecot=dovecot, stage=stage)

    def suggest(self, number: int, suggestion: str) -> None:
        """Replace the suggestion of an error, by its index in `errors`."""
        finding = self.errors[number]
        self.errors[number] = replace(finding, problem=replace(finding.problem, suggestion=mask_urls(suggestion)))

    def in_dovecot_order(self) -> Iterator[Finding]:
        """Errors and warnings that Dovecot would notice, in the order in which it would."""
        # Within a step Dovecot goes through the files as dovebeam does, so the number of the finding decides.
        noticed = [f for f in self.errors + self.warnings if f.problem.dovecot]
        return iter(sorted(noticed, key=lambda f: (f.stage, f.number)))

    def dovecot_error(self) -> str:
        """Message with which Dovecot would stop at this configuration; empty if it would start."""
        # Warnings come after STATS_START in the enum, since Dovecot goes on after them.
        stopping = (f for f in self.in_dovecot_order() if f.stage <= Stage.STATS_START)
        return next((f.problem.dovecot for f in stopping), "")

    def problems(self, *, fatal: bool) -> tuple[ConfigProblem, ...]:
        """Errors, or warnings, in the order of the files; the last one may say how many were left out."""
        findings = self.errors if fatal else self.warnings
        shown = [finding.problem for finding in findings]
        # Line 0 belongs to a file as a whole and comes after its lines.
        shown.sort(key=lambda p: (self.files.get(p.path, len(self.files)), p.line or 1 << 60, p.column))
        dropped = self.dropped_errors if fatal else self.dropped_warnings
        if dropped:
            kind = "errors" if fatal else "warnings"
            shown.append(ConfigProblem(shown[-1].path, 0, 0, "", f"{dropped} more {kind} are not shown"))
        return tuple(shown)

    def _finding(self, place: Place, message: str, suggestion: str, dovecot: str, stage: Stage) -> Finding:
        # The only way into the lists, so nothing reaches a message unmasked.
        source, column = place.shown
        texts = (mask_urls(text) for text in (message, suggestion, dovecot))
        problem = ConfigProblem(place.path, place.line, column, source, *texts)
        self.found += 1
        # Without a text of Dovecot there is no step in which it would notice.
        return Finding(problem, stage if dovecot else Stage.OURS, self.found)
