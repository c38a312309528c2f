"""Configuration as values: exporters, metrics and their groups, and the driver of an exporter.

All of them are frozen and can be pickled, since they travel to workers.
"""

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

_FORMAT_FIELD = "format"


class SourcePlace(NamedTuple):
    """File and line of a block or setting, for errors that show up later; line 0 means a default."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path

    def problem(self, message: str) -> ConfigProblem:
        """Problem at this place; in URLs of the message, what may be secret is masked."""
        # Without a column and the source line: the model does not keep them.
        return ConfigProblem(self.path, self.line, 0, "", mask_urls(message))


class SettingEntry(NamedTuple):
    """Value of one setting, with its text and place.

    Attributes:
        value: the typed value.
        written: its text as written, or the default's.
        place: where it was set; for a default where its block is.
        explicit: whether the configuration sets it.
        hidden: whether the text may hold a secret although the setting is not for one: its value is wrong, or comes
            from somewhere else.
    """

    value: SettingValue
    written: str
    place: SourcePlace
    explicit: bool
    hidden: bool = False


class Settings(Mapping[str, SettingValue]):
    """Settings of a block by their full names; values are typed, times in milliseconds, sizes in bytes.

    `None` is a time or size without limit. The representation hides secrets and the user information of URLs.
    """

    # A Mapping of its own and not a dict: frozen, hashable, and a stray repr() shows no secret.
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
        # Defaults are left out: an http-post exporter has several dozen of them.
        shown = {name: _shown(name, entry) for name, entry in self._entries.items() if entry.explicit}
        return f"Settings({shown})"

    def text(self, name: str) -> str:
        """Value of a text setting. Raises: KeyError: unknown setting; TypeError: the value is not text."""
        return _typed(name, self._entries[name].value, str)

    def flag(self, name: str) -> bool:
        """Value of a yes/no setting. Raises: KeyError, TypeError."""
        return _typed(name, self._entries[name].value, bool)

    def number(self, name: str) -> int:
        """Value of a numeric setting. Raises: KeyError, TypeError."""
        return _typed(name, self._entries[name].value, int)

    def limit(self, name: str) -> int | None:
        """Value of a time (milliseconds) or size (bytes), `None` if unlimited. Raises: KeyError, TypeError."""
        value = self._entries[name].value
        return None if value is None else _typed(name, value, int)

    def written(self, name: str) -> str:
        """Text as written in the configuration, or Dovecot's default; not for display, it may be a secret."""
        return self._entries[name].written

    def shown(self, name: str) -> str:
        """Text for display: secrets are `***`; of URLs only scheme, host and port are shown."""
        return _shown(name, self._entries[name])

    def is_explicit(self, name: str) -> bool:
        """Whether the configuration sets it, at any level that is honoured."""
        return self._entries[name].explicit

    def place(self, name: str) -> SourcePlace:
        """Place where it is set; for a default the place of its block."""
        return self._entries[name].place


@dataclass(frozen=True, slots=True)
class Exporter:
    """An `event_exporter` block.

    Attributes:
        name: the name of the block, which metrics refer to.
        driver: how events are delivered.
        format: how events are serialised.
        time_format: how times are written.
        settings: every setting that applies to an exporter, by full name.
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
    """Grouping method of a `group_by`: `discrete`, `exponential` or `linear`, with its parameters."""

    method: MethodName
    settings: Settings


@dataclass(frozen=True, slots=True)
class GroupBy:
    """A `group_by` block: a field and its method, by default discrete."""

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
        exporter_include: the parts of an event that are exported, in Dovecot's order.
        exporter_include_written: the words of the configuration, with those that Dovecot ignores.
        fields: if not empty, only these fields are exported, in this order; Dovecot also keeps statistics on them.
        description: text that describes the metric in statistics.
        group_by: levels of sub-metrics.
        settings: name, exporter and description by their full names, also as they were written.
        place: where the block was first opened.
        known_names: names that `dovebeam check` does not warn about, with wildcards.
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
    """Block that is left out of a configuration because it needs a later Dovecot.

    Attributes:
        kind: `event_exporter` or `metric`.
        name: name of the block.
        reason: the name or value that only a later Dovecot knows.
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
        warnings: what is valid, but probably a mistake.
        left_out: blocks that are not included because they need a later Dovecot.
    """

    exporters: Mapping[str, Exporter]
    metrics: tuple[Metric, ...]
    warnings: tuple[ConfigProblem, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def metrics_of(self, exporter: str) -> tuple[Metric, ...]:
        """The metrics that one exporter writes, in the order in which Dovecot evaluates them."""
        return tuple(metric for metric in self.metrics if metric.exporter == exporter)


def make_driver(exporter: Exporter) -> Driver:
    """Driver of an exporter; its settings are checked as far as that is possible without the target.

    Each field of the driver that declares a setting gets its value; a field `format` gets the format of the exporter.

    Raises:
        UnknownNameError: no driver has this name.
        DriverSettingError: a setting with which nothing could ever be delivered.
    """
    cls, settings = driver_class(exporter.driver), exporter.settings
    for row in settings_of("event_exporter"):
        # A driver has no field for these settings, so nothing else would notice that they are ignored.
        if row.refused and exporter.driver in row.drivers and settings[row.name]:
            raise DriverSettingError(row.name, row.refused, exporter.name)
    values: dict[str, Any] = {
        field: settings[row.name]
        for field, row in declared(cls).items()
        # `unset` marks a field whose own default differs from the default in Dovecot's table; it is left alone.
        if row.unset is None or settings.is_explicit(row.name)
    }
    if any(field.name == _FORMAT_FIELD for field in fields(cls)):  # type: ignore[arg-type]  # every driver is a dataclass
        values[_FORMAT_FIELD] = exporter.format
    try:
        return cls(**values)
    except DriverSettingError as error:
        # The driver knows its field, the caller the exporter: the message names both.
        raise error.of(exporter.name) from None


def _shown(name: str, entry: SettingEntry) -> str:
    setting = SETTINGS[name]
    if isinstance(entry.value, tuple):
        # Headers and form fields: their names help to find a mistake, their values are often tokens.
        return ", ".join(f"{shown_header(key)} = {MASK}" for key, _ in entry.value)
    if setting.secret or entry.hidden:
        return MASK
    if setting.kind is Kind.FILE:  # what was written may be the content of a key
        return str(entry.value) if setting.is_public else shown_key_path(str(entry.value))
    # Every other text may still quote a URL, with a user or a query in it.
    if name.endswith("_url") and not setting.is_public:
        return shown_url(entry.written)
    return mask_urls(entry.written)


def _typed(name: str, value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is not of type {kind.__name__}: {type(value).__name__}")
    return value
