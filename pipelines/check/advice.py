"""Warnings of `dovebeam check` beyond those of every job: what is valid, and yet hardly what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from dovebeam.pipelines.terminal.tables import printable
from dovebeam.transforms.config import SETTINGS, Config, Exporter, Metric, SourcePlace
from dovebeam.transforms.errors import ConfigProblem
from dovebeam.transforms.filters import Contradiction, NeverTrue
from dovebeam.transforms.filters.facts import read_otherwise

__all__ = ["advice"]

_MAX_FOR_A_METRIC: Final = 5
_MAX_SHOWN: Final = 300
_PREFIX: Final = "event_exporter_"
_NO_EXPORTER: Final = "no metric names an exporter, so nothing will be exported"


def advice(config: Config, path: str) -> list[ConfigProblem]:
    """All warnings about a configuration without errors, in its order.

    Args:
        config: the configuration.
        path: its first file.
    """
    if not any(metric.exporter for metric in config.metrics):
        return [ConfigProblem(path, 0, 0, "", _NO_EXPORTER)]
    return [*_filter_advice(config), *_unused(config), *_of_other_drivers(config)]


def _unused(config: Config) -> Iterator[ConfigProblem]:
    used = {metric.exporter for metric in config.metrics}
    for name, exporter in config.exporters.items():
        if name not in used:
            yield exporter.place.problem(f"event_exporter {name}: no metric names it, so it gets nothing")


def _of_other_drivers(config: Config) -> Iterator[ConfigProblem]:
    """Settings that no exporter which has them uses; what stands outside of blocks may be meant for some of them."""
    places: dict[tuple[str, SourcePlace], list[Exporter]] = {}
    for exporter in config.exporters.values():
        for name in exporter.settings:
            if _drivers_of(name) and exporter.settings.is_explicit(name):
                places.setdefault((name, exporter.settings.place(name)), []).append(exporter)
    for (name, place), exporters in places.items():
        if all(exporter.driver not in _drivers_of(name) for exporter in exporters):
            short, first = name.removeprefix(_PREFIX), exporters[0]
            message = f"event_exporter {first.name}: {short} has no effect with driver = {first.driver}"
            yield place.problem(message)


def _drivers_of(setting: str) -> tuple[str, ...]:
    """The drivers that have a setting of their own; none for those of Dovecot's HTTP client and TLS, set for all."""
    return SETTINGS[setting].drivers if setting.startswith(_PREFIX) else ()


def _filter_advice(config: Config) -> Iterator[ConfigProblem]:
    """The warnings, in the order of the metrics."""
    for metric in config.metrics:
        for message in dict.fromkeys(_messages(metric)):
            yield metric.place.problem(printable(f"metric {metric.name}: {message}"))


def _messages(metric: Metric) -> Iterator[str]:
    verdict = metric.filter.verdict
    consequence = "" if verdict.can_match else "; the metric matches nothing"
    if not verdict.can_fail:
        consequence = "; the metric matches every event"
    for never in verdict.never_true[:_MAX_FOR_A_METRIC]:
        yield _never_true(never) + consequence
    for contradiction in verdict.contradictions[:_MAX_FOR_A_METRIC]:
        yield _contradiction(contradiction) + consequence
    readings = ((comparison, read_otherwise(comparison)) for comparison in metric.filter.comparisons)
    for comparison, reading in islice((pair for pair in readings if pair[1]), _MAX_FOR_A_METRIC):
        yield f"{_shortened(str(comparison))}: {_shortened(reading)}"
    if metric.filter.mixed:
        meaning = _shortened(metric.filter.explicit)
        yield f"AND and OR bind alike, from the left: this filter means {meaning}; write the parentheses you mean"
    for field in metric.fields:
        if "*" in field or "?" in field:
            yield (
                f"fields has {field}, which is the name of a field here, not a pattern, and no event has such a field; "
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
