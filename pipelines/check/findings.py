"""Findings about a configuration: its errors, its drivers, and warnings about what is probably a mistake; without Beam.

`examine` finds what an export would find at its launch, and adds warnings about filters that never match, exporters and
settings without effect, and names that Dovecot does not have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from msgspec import UNSET

from dovebeam.pipelines.jobs.drivers import examine_drivers
from dovebeam.pipelines.terminal.tables import printable
from dovebeam.transforms.config import SETTINGS, Config, Exporter, Metric, SourcePlace
from dovebeam.transforms.config.loading import Reading
from dovebeam.transforms.config_files import read_config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.errors import ConfigProblem, closest_name
from dovebeam.transforms.events import catalogue
from dovebeam.transforms.events.event import LOG_TYPES, Event
from dovebeam.transforms.filters import Comparison, Contradiction, Filter, NeverTrue, unescape
from dovebeam.transforms.filters.analysis import read_otherwise
from dovebeam.transforms.filters.wildcards import Budget, compile_wildcard, has_wildcard, may_share_a_text

__all__ = ["Findings", "SeenNames", "examine", "filter_advice", "name_advice", "with_name_advice"]

_MAX_OF_A_KIND: Final = 5  # warnings of one kind for a metric; a generated filter would fill screens otherwise
_MAX_SHOWN: Final = 300  # characters of a filter's text in a message
_EXPORTER_PREFIX: Final = "event_exporter_"
_NO_EXPORTER: Final = "no metric names an exporter, so nothing will be exported"
_MAX_NAME_WARNINGS: Final = 100
# Names of one or two letters are placeholders in examples and tests, and resemble everything.
_MIN_CHARS: Final = 3
# Each passdb and userdb can add fields of any name, so only a long and very similar name counts as misspelt
# (docs/decisions/configuration.md, "Unknown events get a warning, unknown fields mostly do not").
_MIN_FIELD_CHARS: Final = 5
_FIELD_LIKENESS: Final = 0.88
# Names that other parts of an event have in exports and in logs, with the key of the filter language for them.
_KEYS: Final[Mapping[str, str]] = {
    "cat": "category", "categories": "category", "event_name": "event", "source": "source_location",
}  # fmt: skip
# Services of Dovecot, whose category has the prefix "service:" in a filter.
_SERVICES: Final = frozenset(
    """
    anvil auth dict dict-async dns-client doveadm imap imap-hibernate imap-login imap-urlauth imap-urlauth-login
    imap-urlauth-worker indexer indexer-worker lda lmtp log managesieve managesieve-login pop3 pop3-login quota-status
    stats submission submission-login
    """.split()
)


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a check.

    Attributes:
        config: as far as it could be parsed.
        drivers: by exporter, of those that some metric uses.
        errors: all reasons why the configuration cannot be used.
        warnings: what is valid, but probably a mistake.
        dovecot_error: the error with which Dovecot itself would stop first, in its words; empty if there is none.
    """

    config: Config
    drivers: dict[str, Driver]
    errors: tuple[ConfigProblem, ...]
    warnings: tuple[ConfigProblem, ...]
    dovecot_error: str = ""


def examine(paths: Sequence[str], *, local: bool, strict: bool = False) -> Findings:
    """Checks configuration files as an export does at its launch, and adds warnings.

    A reference to a secret that does not exist on this machine is an error at launch, but a warning here: the machine
    that checks need not be the one that runs.

    Args:
        paths: the files; later ones override.
        local: whether the job that they are for runs on this machine.
        strict: whether something of a later Dovecot is an error.
    """
    reading = read_config(paths, strict=strict, remote=not local)
    errors = reading.report.problems(fatal=True)
    config = _usable(reading) if errors else reading.config
    found = examine_drivers(config, local=local)
    # Advice about a configuration with errors would mostly repeat them in other words.
    warnings = [*config.warnings, *found.missing, *found.warnings, *([] if errors else advice(config, paths[0]))]
    problems = (*errors, *_remote(found.errors, errors))
    return Findings(config, found.drivers, problems, tuple(warnings), reading.report.dovecot_error())


def with_name_advice(findings: Findings, seen: SeenNames) -> Findings:
    """The findings with warnings about names that neither Dovecot nor the sample events have."""
    if findings.errors:
        return findings
    return dataclasses.replace(findings, warnings=(*findings.warnings, *name_advice(findings.config, seen)))


def _usable(reading: Reading) -> Config:
    """The part of a faulty configuration that can be checked further: metrics whose exporter is understood."""
    config = reading.config
    exporters = {name for name, exporter in config.exporters.items() if exporter.format} - reading.unclear
    metrics = tuple(metric for metric in config.metrics if not metric.exporter or metric.exporter in exporters)
    return dataclasses.replace(config, metrics=metrics)


def _remote(problems: Iterable[ConfigProblem], known: Iterable[ConfigProblem]) -> list[ConfigProblem]:
    """Problems at places without a known problem."""
    # A wrong setting often makes the driver fail as well; one message for a line is enough.
    told = {(problem.path, problem.line) for problem in known}
    return [problem for problem in problems if (problem.path, problem.line) not in told]


# Warnings about filters, exporters and settings.


def advice(config: Config, path: str) -> list[ConfigProblem]:
    """Warnings about a configuration without errors, in its order.

    Args:
        config: the configuration.
        path: its first file.
    """
    # Without any exporter every other warning has this cause.
    if not any(metric.exporter for metric in config.metrics):
        return [ConfigProblem(path, 0, 0, "", _NO_EXPORTER)]
    return [*filter_advice(config), *_unused(config), *_of_other_drivers(config)]


def _unused(config: Config) -> Iterator[ConfigProblem]:
    used = {metric.exporter for metric in config.metrics}
    for name, exporter in config.exporters.items():
        if name not in used:
            yield exporter.place.problem(f"event_exporter {name}: no metric names it, so it gets nothing")


def _of_other_drivers(config: Config) -> Iterator[ConfigProblem]:
    """Warnings about settings of drivers that no exporter uses."""
    # Grouped by place: a setting outside of blocks reaches every exporter, and is right if one of them uses it.
    places: dict[tuple[str, SourcePlace], list[Exporter]] = {}
    for exporter in config.exporters.values():
        for name in exporter.settings:
            if _drivers_of(name) and exporter.settings.is_explicit(name):
                places.setdefault((name, exporter.settings.place(name)), []).append(exporter)
    for (name, place), exporters in places.items():
        if all(exporter.driver not in _drivers_of(name) for exporter in exporters):
            short, first = SETTINGS[name].short_name, exporters[0]
            message = f"event_exporter {first.name}: {short} has no effect with driver = {first.driver}"
            yield place.problem(message)


def _drivers_of(setting: str) -> tuple[str, ...]:
    """Drivers that a setting of exporters belongs to; empty for those of Dovecot's HTTP client and TLS."""
    # The latter are global settings that other parts of Dovecot use, too, so they always have an effect.
    return SETTINGS[setting].drivers if setting.startswith(_EXPORTER_PREFIX) else ()


def filter_advice(config: Config) -> Iterator[ConfigProblem]:
    """Warnings about filters and fields, in the order of the metrics."""
    for metric in config.metrics:
        for message in dict.fromkeys(_messages(metric)):
            yield metric.place.problem(printable(f"metric {metric.name}: {message}"))


def _messages(metric: Metric) -> Iterator[str]:
    verdict = metric.filter.verdict
    consequence = "" if verdict.can_match else "; the metric matches nothing"
    if not verdict.can_fail:
        consequence = "; the metric matches every event"
    for never in verdict.never_true[:_MAX_OF_A_KIND]:
        yield _never_true(never) + consequence
    for contradiction in verdict.contradictions[:_MAX_OF_A_KIND]:
        yield _contradiction(contradiction) + consequence
    readings = ((comparison, read_otherwise(comparison)) for comparison in metric.filter.comparisons)
    for comparison, reading in islice((pair for pair in readings if pair[1]), _MAX_OF_A_KIND):
        yield f"{_shortened(str(comparison))}: {_shortened(reading)}"
    if metric.filter.mixed:
        meaning = _shortened(metric.filter.explicit)
        yield f"AND and OR bind alike, from the left: this filter means {meaning}; write the parentheses you mean"
    for name in metric.fields:
        if "*" in name or "?" in name:
            yield (
                f"fields has {name}, which is the name of a field here, not a pattern, and no event has such a field; "
                "name the fields, or leave out the setting to export all of them"
            )


def _never_true(never: NeverTrue) -> str:
    if never.reason.startswith("exports hold"):
        return f"{never.comparison} is true of no exported event, since {never.reason}"
    return f"{_shortened(str(never.comparison))} is never true: {_shortened(never.reason)}"


def _contradiction(found: Contradiction) -> str:
    one, other = _shortened(str(found.first)), _shortened(str(found.second))
    if one == other:
        return f"{one} and its opposite are joined, and are never true together"
    has = "an event has one name" if found.first.key == "event" else f"an event has one {found.first.key}"
    if found.always:
        return f"NOT {one} OR NOT {other} is always true, since {has}; to exclude both write AND instead of OR"
    return f"{one} and {other} are never true together, since {has}; for either of them write OR instead of AND"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


# Warnings about names that Dovecot 2.4 does not have.


@dataclass(slots=True)
class SeenNames:
    """Names of events, fields and categories in the sample events."""

    events: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    categories: set[str] = field(default_factory=set)

    def add(self, events: Iterable[Event]) -> None:
        """Adds the names of these events."""
        # The raw members, because the properties decode every field's value.
        for event in events:
            if event.raw_name is not UNSET:
                self.events.add(event.raw_name)
            if event.raw_fields is not UNSET:
                self.fields.update(event.raw_fields)
            if event.raw_categories is not UNSET:
                self.categories.update(event.raw_categories)


def name_advice(config: Config, seen: SeenNames) -> Iterator[ConfigProblem]:
    """Warnings about unknown names, in the order of the metrics; each name once for a metric, at most 100 in all."""
    left = _MAX_NAME_WARNINGS
    for metric in config.metrics:
        for message, suggestion in dict.fromkeys(islice(_Names(metric, seen).unknown(), left)):
            problem = metric.place.problem(printable(f"metric {metric.name}: {message}"))
            yield ConfigProblem(problem.path, problem.line, 0, "", problem.message, printable(suggestion))
            left -= 1


class _Names:
    """The names in one metric."""

    def __init__(self, metric: Metric, seen: SeenNames) -> None:
        self._metric = metric
        self._seen = seen
        self._is_declared = _any_of(metric.known_names)

    def unknown(self) -> Iterator[tuple[str, str]]:
        """A message for each unknown name, with a suggestion."""
        for comparison in self._metric.filter.comparisons:
            yield from self._of_comparison(comparison)
        groups = [group.field for group in self._metric.group_by]
        for name in dict.fromkeys([*self._metric.fields, *groups]):
            if not has_wildcard(name):
                yield from self._field(name)

    def _of_comparison(self, comparison: Comparison) -> Iterator[tuple[str, str]]:
        if comparison.key == "event":
            yield from self._event(comparison.value)
        elif comparison.key == "category":
            if comparison.value not in LOG_TYPES and not has_wildcard(comparison.value):
                yield from self._category(unescape(comparison.value))
        elif comparison.key != "source_location":
            yield from self._field(comparison.key)

    def _event(self, value: str) -> Iterator[tuple[str, str]]:
        names = catalogue.EVENTS | self._seen.events
        # A pattern is unknown only if it can match neither a known name nor one that metric_known_names declares.
        if has_wildcard(value):
            matches = compile_wildcard(value, ignore_case=False)
            declared = any(may_share_a_text(value, each, Budget()) for each in self._metric.known_names)
            if not declared and len(value.strip("*?")) >= _MIN_CHARS and not any(map(matches, names)):
                yield f"no event of Dovecot 2.4 has a name such as {value}", _question(_near_pattern(value, names))
            return
        name = unescape(value)
        if name not in names:
            yield from self._told("event", name, names, catalogue.RENAMED_EVENTS)

    def _category(self, name: str) -> Iterator[tuple[str, str]]:
        names = catalogue.CATEGORIES | self._seen.categories
        if name in names or name.startswith(catalogue.CATEGORY_PREFIXES):
            return
        if name in _SERVICES and not self._is_declared(name):
            yield f"Dovecot 2.4 has no category '{name}'", f"did you mean 'service:{name}'?"
        else:
            yield from self._told("category", name, names, catalogue.RENAMED_CATEGORIES)

    def _field(self, name: str) -> Iterator[tuple[str, str]]:
        # Before the known names: Dovecot 2.4 renamed some fields for some events only, so the old name still exists.
        renamed = _renamed_here(self._metric.filter, name)
        names = catalogue.FIELDS | self._seen.fields
        if renamed and name not in self._seen.fields and not self._is_declared(name):
            yield _renamed("field", name, renamed), ""
        elif name in names or name.startswith(catalogue.FIELD_PREFIXES) or self._is_declared(name):
            return
        elif name in catalogue.RENAMED_FIELDS:
            yield _renamed("field", name, catalogue.RENAMED_FIELDS[name]), ""
        elif near := _near_field(name, names):
            yield f"Dovecot 2.4 has no field '{name}'", _question(near)

    def _told(
        self, kind: str, name: str, names: Iterable[str], renamed: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        if len(name) < _MIN_CHARS or self._is_declared(name):
            return
        if name in renamed:
            yield _renamed(kind, name, renamed[name]), ""
            return
        near = _nearest(name, names)
        hint = _question(near) or f"if a plugin or script has it, say so: metric_known_names = {name}"
        yield f"Dovecot 2.4 has no {kind} '{name}'", hint


def _renamed(kind: str, name: str, new: str) -> str:
    if not new:
        return f"the {kind} '{name}' of Dovecot 2.3 does not exist any more"
    return f"the {kind} '{name}' of Dovecot 2.3 is now '{new}'"


def _renamed_here(filter_: Filter, name: str) -> str:
    """New name of a field, if the filter asks for events that have it under the new name only; else empty."""
    if not any(name in renamed for renamed in catalogue.RENAMED_FIELDS_OF.values()):
        return ""
    wanted = filter_.event_names
    if not wanted:
        return ""
    found = {
        next(
            (
                new[name]
                for start, new in catalogue.RENAMED_FIELDS_OF.items()
                if event.startswith(start) and name in new
            ),
            "",
        )
        for event in wanted
    }
    return found.pop() if len(found) == 1 else ""


def _nearest(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant: another spelling, a longer name that begins so, or a typing error."""
    plain = {_plain(each): each for each in names}
    same = plain.get(_plain(name))
    if same:
        return same
    longer = sorted(each for each in plain.values() if each.startswith(f"{name}_"))
    # Of imap_command_started and imap_command_finished, say, people mean the latter.
    finished = f"{name}_finished"
    return finished if finished in longer else longer[0] if longer else closest_name(name, plain.values())


def _near_field(name: str, names: Iterable[str]) -> str:
    plain = {_plain(each): each for each in names}
    special = _KEYS.get(name) or next((key for key in ("event", "category", "duration") if name.lower() == key), "")
    same = special or plain.get(_plain(name), "")
    if same or len(name) < _MIN_FIELD_CHARS:
        return same
    return closest_name(name, plain.values(), _FIELD_LIKENESS)


def _near_pattern(pattern: str, names: Iterable[str]) -> str:
    """The pattern with its mistyped start corrected; empty if there is no similar name."""
    # Compared with the same number of words of each name, since a short start resembles no whole name.
    start, star, rest = pattern.partition("*")
    if not star or rest or len(start) < _MIN_CHARS:
        return ""
    pieces = start.count("_") + (not start.endswith("_"))
    starts = {
        "_".join([*name.split("_")[:pieces], ""] if start.endswith("_") else name.split("_")[:pieces]) for name in names
    }
    near = closest_name(start, starts)
    return f"{near}*" if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _question(near: str) -> str:
    return f"did you mean '{near}'?" if near else ""


def _any_of(patterns: Sequence[str]) -> Callable[[str], bool]:
    tests = [compile_wildcard(pattern, ignore_case=False) for pattern in patterns]
    return lambda name: any(test(name) for test in tests)
