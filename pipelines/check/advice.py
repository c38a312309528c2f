"""Warnings of `dovebeam check` beyond those of every job: what is valid, and yet hardly what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dovebeam.pipelines.check.filter_advice import filter_advice
from dovebeam.transforms.config import DRIVER_NAMES, Config, Exporter, SourcePlace
from dovebeam.transforms.errors import ConfigProblem

__all__ = ["advice"]

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
    return [*filter_advice(config), *_unused(config), *_of_other_drivers(config)]


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
            if _driver_of(name) and exporter.settings.is_explicit(name):
                places.setdefault((name, exporter.settings.place(name)), []).append(exporter)
    for (name, place), exporters in places.items():
        if all(exporter.driver != _driver_of(name) for exporter in exporters):
            short, first = name.removeprefix(_PREFIX), exporters[0]
            message = f"event_exporter {first.name}: {short} has no effect with driver = {first.driver}"
            yield place.problem(message)


def _driver_of(setting: str) -> str:
    """The driver that a setting is for, empty if it is not for one alone."""
    rest = setting.removeprefix(_PREFIX)
    if rest == setting:
        return ""
    return next((driver for driver in DRIVER_NAMES if rest.startswith(f"{driver.replace('-', '_')}_")), "")
