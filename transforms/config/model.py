"""What a configuration says, as values: exporters, metrics, their groups; frozen, and ready to travel to workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypeVar

from dovebeam.transforms.config.places import MASK, mask_urls, shown_header, shown_key_path, shown_url
from dovebeam.transforms.config.settings import SETTINGS, settings_of
from dovebeam.transforms.drivers import Driver, driver_class
from dovebeam.transforms.drivers.setting import Kind, SettingValue, declared
from dovebeam.transforms.errors import ConfigProblem, DriverSettingError
from dovebeam.transforms.filters import Filter
from dovebeam.transforms.formats import FormatName, IncludePart, TimeFormat

__all__ = [
    "Config",
    "Exporter",
    "GroupBy",
    "LeftOut",
    "Method",
    "MethodName",
    "Metric",
    "SettingEntry",
    "Settings",
    "SourcePlace",
    "make_driver",
]


MethodName = Literal["discrete", "exponential", "linear"]

_T = TypeVar("_T")


class SourcePlace(NamedTuple):
    """Where a block or setting stands, for errors that show up later; line 0 means a default."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path

    def problem(self, message: str) -> ConfigProblem:
        """A problem at this place; URLs in the message lose what may be secret in them."""
        return ConfigProblem(self.path, self.line, 0, "", mask_urls(message))


class SettingEntry(NamedTuple):
    """One setting.

    Attributes:
        value: typed.
        written: its text as written, or the default's.
        place: where it was set; for a default where its block is.
        explicit: whether anybody set it.
        hidden: whether the text may hold a secret although the setting is not for one: its value is wrong, or comes
            from somewhere else.
    """

    value: SettingValue
    written: str
    place: SourcePlace
    explicit: bool
    hidden: bool = False


class Settings(Mapping[str, SettingValue]):
    """The settings of a block by their full names; values are typed, times in milliseconds, sizes in bytes.

    `None` is a time or size without limit. The representation hides secrets and the user information of URLs.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, SettingEntry]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> SettingValue:
        return self._entries[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return self._entries == other._entries if isinstance(other, Settings) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._entries.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._entries,)

    def __repr__(self) -> str:
        shown = {name: _shown(name, entry) for name, entry in self._entries.items() if entry.explicit}
        return f"Settings({shown})"

    def text(self, name: str) -> str:
        """The value of a setting that is text. Raises: KeyError, TypeError: there is none, or it isn't text."""
        return _typed(name, self._entries[name].value, str)

    def flag(self, name: str) -> bool:
        """The value of a setting that is yes or no. Raises: KeyError, TypeError."""
        return _typed(name, self._entries[name].value, bool)

    def number(self, name: str) -> int:
        """The value of a setting that is a number. Raises: KeyError, TypeError."""
        return _typed(name, self._entries[name].value, int)

    def limit(self, name: str) -> int | None:
        """The value of a time (milliseconds) or size (bytes), `None` if unlimited. Raises: KeyError, TypeError."""
        value = self._entries[name].value
        return None if value is None else _typed(name, value, int)

    def written(self, name: str) -> str:
        """The text as written in the configuration, or Dovecot's default; not for display, it may be a secret."""
        return self._entries[name].written

    def shown(self, name: str) -> str:
        """The text for display: secrets are `***`, and of URLs there are scheme, host and port."""
        return _shown(name, self._entries[name])

    def is_explicit(self, name: str) -> bool:
        """Whether the configuration sets it, at any level that is honoured."""
        return self._entries[name].explicit

    def place(self, name: str) -> SourcePlace:
        """Where it is set; for a default the place of its block."""
        return self._entries[name].place


@dataclass(frozen=True, slots=True)
class Exporter:
    """An `event_exporter` block.

    Attributes:
        name: the name of the block, which metrics refer to.
        driver: how events are delivered.
        format: how events are serialised.
        time_format: how times are written.
        settings: every setting that means something for an exporter, by full name.
        place: where the block was first opened.
    """

    name: str
    driver: str
    format: FormatName
    time_format: TimeFormat
    settings: Settings
    place: SourcePlace


@dataclass(frozen=True, slots=True)
class Method:
    """How a `group_by` makes groups: `discrete`, `exponential` or `linear`, with the method's parameters."""

    method: MethodName
    settings: Settings


@dataclass(frozen=True, slots=True)
class GroupBy:
    """A `group_by` block: a field, and its method; without any it is discrete."""

    field: str
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """A `metric` block.

    Attributes:
        name: the name in statistics, which the block may override.
        block_name: the name of the block.
        filter: the parsed filter, variables expanded.
        filter_text: the filter as written, with `%{...}` in it.
        exporter: name of an exporter, or empty if nothing is exported.
        exporter_include: which parts of an event go out, in Dovecot's order.
        exporter_include_written: the words of the configuration, with those that Dovecot ignores.
        fields: field names for statistics; if there are any, only these are exported, in this order.
        description: help text.
        group_by: levels of sub-metrics.
        settings: name, exporter and description by their full names, also as they were written.
        place: where the block was first opened.
        known_names: names that `dovebeam check` does not warn about, wildcards in them.
    """

    name: str
    block_name: str
    filter: Filter
    filter_text: str
    exporter: str
    exporter_include: tuple[IncludePart, ...]
    exporter_include_written: tuple[str, ...]
    fields: tuple[str, ...]
    description: str
    group_by: tuple[GroupBy, ...]
    settings: Settings
    place: SourcePlace
    known_names: tuple[str, ...] = ()


class LeftOut(NamedTuple):
    """A block that is not part of a configuration since it has something of a later Dovecot.

    Attributes:
        kind: `event_exporter` or `metric`.
        name: the block's.
        reason: what it has.
    """

    kind: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without errors.

    Attributes:
        exporters: by block name, in the order of first opening.
        metrics: in the order in which Dovecot evaluates them.
        warnings: what is probably not meant.
        left_out: blocks that are not in here since they have something of a later Dovecot.
    """

    exporters: Mapping[str, Exporter]
    metrics: tuple[Metric, ...]
    warnings: tuple[ConfigProblem, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def metrics_of(self, exporter: str) -> tuple[Metric, ...]:
        """The metrics that one exporter writes, in the order in which Dovecot evaluates them."""
        return tuple(metric for metric in self.metrics if metric.exporter == exporter)


def _shown(name: str, entry: SettingEntry) -> str:
    setting = SETTINGS[name]
    if isinstance(entry.value, tuple):
        return ", ".join(f"{shown_header(key)} = {MASK}" for key, _ in entry.value)
    if setting.secret or entry.hidden:
        return MASK
    if setting.kind is Kind.FILE:  # what was written may be the content of a key
        return str(entry.value) if setting.is_public else shown_key_path(str(entry.value))
    if name.endswith("_url") and not setting.is_public:
        return shown_url(entry.written)
    return mask_urls(entry.written)


def _typed(name: str, value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is no {kind.__name__}")
    return value


# From an `event_exporter` block to its driver.

_FORMAT = "format"


def make_driver(exporter: Exporter) -> Driver:
    """The driver of an exporter, its settings checked as far as that is possible without the target.

    Each field of the driver that declares a setting gets its value; a field `format` gets the format of the exporter.

    Raises:
        UnknownNameError: there is no such driver.
        DriverSettingError: a setting with which nothing could ever be delivered.
    """
    cls, settings = driver_class(exporter.driver), exporter.settings
    for row in settings_of("event_exporter"):
        if row.refused and exporter.driver in row.drivers and settings[row.name]:
            raise DriverSettingError(row.name, row.refused, exporter.name)
    values: dict[str, Any] = {
        field: settings[row.name]
        for field, row in declared(cls).items()
        if row.unset is None or settings.is_explicit(row.name)
    }
    if any(field.name == _FORMAT for field in fields(cls)):  # type: ignore[arg-type]  # every driver is a dataclass
        values[_FORMAT] = exporter.format
    try:
        return cls(**values)
    except DriverSettingError as error:
        raise error.of(exporter.name) from None
