"""Names that Dovecot 2.4 does not have: a mistyped event, a field of Dovecot 2.3, a category in another case.

A name is known if Dovecot's code has it, if an event of the input has it, or if `metric_known_names` says so. A field
that is like no other is left alone, since every passdb and userdb can add fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from msgspec import UNSET

from dovebeam.pipelines.terminal.tables import printable
from dovebeam.transforms.config import Config, Metric
from dovebeam.transforms.errors import ConfigProblem, closest_name
from dovebeam.transforms.events import catalogue as known
from dovebeam.transforms.events.event import LOG_TYPES, Event
from dovebeam.transforms.filters import Comparison, Filter, unescape
from dovebeam.transforms.filters.wildcards import Budget, compile_wildcard, has_wildcard, may_share_a_text

__all__ = ["SeenNames", "name_advice"]

_MAX_WARNINGS: Final = 100
_MIN_CHARS: Final = 3  # what is shorter stands for a name
_MIN_FIELD_CHARS: Final = 5
_FIELD_LIKENESS: Final = 0.88
_KEYS: Final[Mapping[str, str]] = {
    "cat": "category", "categories": "category", "event_name": "event", "source": "source_location",
}  # fmt: skip
_SERVICES: Final = frozenset(
    """
    anvil auth dict dict-async dns-client doveadm imap imap-hibernate imap-login imap-urlauth imap-urlauth-login
    imap-urlauth-worker indexer indexer-worker lda lmtp log managesieve managesieve-login pop3 pop3-login quota-status
    stats submission submission-login
    """.split()
)


@dataclass(slots=True)
class SeenNames:
    """The names that events of the input had."""

    events: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    categories: set[str] = field(default_factory=set)

    def add(self, events: Iterable[Event]) -> None:
        """Takes the names of these events."""
        for event in events:
            if event.raw_name is not UNSET:
                self.events.add(event.raw_name)
            if event.raw_fields is not UNSET:
                self.fields.update(event.raw_fields)
            if event.raw_categories is not UNSET:
                self.categories.update(event.raw_categories)


def name_advice(config: Config, seen: SeenNames) -> Iterator[ConfigProblem]:
    """The warnings, in the order of the metrics; each name once for a metric, and no more than anybody reads."""
    left = _MAX_WARNINGS
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
        """A message for each name that nobody knows, and what to write instead."""
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
        names = known.EVENTS | self._seen.events
        if has_wildcard(value):
            matches = compile_wildcard(value, ignore_case=False)
            declared = any(may_share_a_text(value, each, Budget()) for each in self._metric.known_names)
            if not declared and len(value.strip("*?")) >= _MIN_CHARS and not any(map(matches, names)):
                yield f"no event of Dovecot 2.4 has a name such as {value}", _question(_near_pattern(value, names))
            return
        name = unescape(value)
        if name not in names:
            yield from self._told("event", name, names, known.RENAMED_EVENTS)

    def _category(self, name: str) -> Iterator[tuple[str, str]]:
        names = known.CATEGORIES | self._seen.categories
        if name in names or name.startswith(known.CATEGORY_PREFIXES):
            return
        if name in _SERVICES and not self._is_declared(name):
            yield f"Dovecot 2.4 has no category '{name}'", f"did you mean 'service:{name}'?"
        else:
            yield from self._told("category", name, names, known.RENAMED_CATEGORIES)

    def _field(self, name: str) -> Iterator[tuple[str, str]]:
        renamed = _renamed_here(self._metric.filter, name)
        names = known.FIELDS | self._seen.fields
        if renamed and name not in self._seen.fields and not self._is_declared(name):
            yield _renamed("field", name, renamed), ""
        elif name in names or name.startswith(known.FIELD_PREFIXES) or self._is_declared(name):
            return
        elif name in known.RENAMED_FIELDS:
            yield _renamed("field", name, known.RENAMED_FIELDS[name]), ""
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
    """The new name of a field that other events still have, if the filter is only for events that do not."""
    if not any(name in renamed for renamed in known.RENAMED_FIELDS_OF.values()):
        return ""
    wanted = filter_.event_names
    if not wanted:
        return ""
    found = {
        next(
            (new[name] for start, new in known.RENAMED_FIELDS_OF.items() if event.startswith(start) and name in new), ""
        )
        for event in wanted
    }
    return found.pop() if len(found) == 1 else ""


def _nearest(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant: in another spelling, without its end, or with a typing error."""
    plain = {_plain(each): each for each in names}
    same = plain.get(_plain(name))
    if same:
        return same
    longer = sorted(each for each in plain.values() if each.startswith(f"{name}_"))
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
    """The pattern as it would fit, where only its beginning is mistyped."""
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
