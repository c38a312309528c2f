"""Checks of the whole configuration: those that `doveconf` makes after parsing, and some that it lacks.

Rules from Dovecot's configuration language, sections "After parsing" and "Nesting restrictions". Every block is
checked, also one that isn't active, except blocks of groups that are not included anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from dovebeam.transforms.config.blocks import Assigned, Context, ContextKind, name_of
from dovebeam.transforms.config.known_names import did_you_mean, near_miss
from dovebeam.transforms.config.levels import Expander, active_parents, layers_of, lookup
from dovebeam.transforms.config.mistakes import filter_problem, format_problem
from dovebeam.transforms.config.places import MASK, Stage, shown_name
from dovebeam.transforms.config.settings import SETTINGS
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import ValueKind
from dovebeam.transforms.config.variables import has_variables
from dovebeam.transforms.config.written_values import Value
from dovebeam.transforms.drivers.setting import Kind, ValueTypeError, convert
from dovebeam.transforms.drivers.urls import http_url_error
from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters import parse_filter

__all__ = ["Checker"]

_MAX_SHOWN_NAMES = 10
# Looking for a similar name takes time for each, and a generated file can have thousands of exporters.
_MAX_COMPARED_NAMES = 1000
# Kinds of the blocks around in which a block has an effect, and their keyword if they need one.
_EFFECTIVE_PARENTS = {
    "event_exporter": (ContextKind.ROOT, ContextKind.CONNECTION, ""),
    "metric": (ContextKind.ROOT, ContextKind.CONNECTION, ""),
    "metric_group_by": (ContextKind.NAMED, ContextKind.NAMED, "metric"),
    "metric_group_by_method": (ContextKind.NAMED, ContextKind.NAMED, "metric_group_by"),
}


class Checker:
    """Check of the tree of blocks, in the order of first opening."""

    def __init__(self, state: ParserState, expander: Expander) -> None:
        self.state = state
        self.report = state.report
        self.expander = expander
        self.before = f"Error in configuration file {state.main_path}: "
        self.active = active_parents(state.root)
        self.active_exporters = _exporter_names(self.active)

    def run(self) -> None:
        """Check every block."""
        for context in self.state.root.walk():
            # Blocks of other parts of Dovecot are not checked, but a metric in one is an error there.
            if context.kind is ContextKind.FOREIGN:
                self._check_metrics_in(context)
                continue
            self._expand_references(context)
            self._check_metrics_in(context)
            self._check_http_client(context)
            self._warn_without_effect(context)
            if context.is_named("event_exporter"):
                self._check_format(context)
            elif context.is_named("metric"):
                self._check_filter(context)

    def _expand_references(self, context: Context) -> None:
        for name, assigned in context.scalars.items():
            # Values without `$SET:` were checked while reading.
            if assigned.value.names and name in SETTINGS:
                text = self.expander.text(assigned, context)
                if not self.expander.failed(assigned) and not has_variables(text):
                    self._check_type(name, assigned, text)

    def _check_type(self, name: str, assigned: Assigned, text: str) -> None:
        setting = SETTINGS[name]
        try:
            convert(setting, text)
        except ValueTypeError as error:
            place = assigned.value.place
            shown = f"{assigned.key}: {MASK if self.expander.hides(assigned) else error.message}"
            message = f"{shown}; {error.advice}"
            dovecot = "" if setting.extension else self.before + shown
            known = setting.kind is Kind.ENUM and not (setting.extension or self.expander.hides(assigned))
            if known and (reason := self.state.later.about(text, setting.choices)):
                self.report.later(place, f"{assigned.key}: '{text}' {reason}", dovecot=dovecot, stage=Stage.EXPAND)
                return
            self.report.error(place, message, dovecot=dovecot, stage=Stage.EXPAND)

    def _check_metrics_in(self, context: Context) -> None:
        metrics = [c for c in context.children.values() if c.is_named("metric")]
        if not metrics:
            return
        exporters = self._exporters_around(context)
        for metric in metrics:
            if context.kind not in {ContextKind.ROOT, ContextKind.CONNECTION}:
                self._report_nested(context, metric)
                continue
            # Each place where a metric was opened by itself; `build_metrics` merges them later.
            found = lookup(layers_of([metric]), "metric_exporter")
            if found is None:
                continue
            assigned, where = found
            exporter = self.expander.text(assigned, where)
            if not exporter or exporter in exporters or self.expander.failed(assigned) or has_variables(exporter):
                continue
            shown = MASK if self.expander.hides(assigned) else exporter
            text = f"metric {name_of(metric)} refers to nonexistent exporter '{shown}'"
            more = ", ..." if len(exporters) > _MAX_SHOWN_NAMES else ""
            names = ", ".join(exporters[:_MAX_SHOWN_NAMES]) + more or "none"
            self.report.error(
                assigned.value.place,
                f"metric {name_of(metric)}: there is no event_exporter '{shown}'; defined are: {names}",
                dovecot=self.before + text,
                suggestion=did_you_mean(near_miss(exporter, exporters[:_MAX_COMPARED_NAMES])),
                stage=Stage.CHECK,
            )

    def _exporters_around(self, context: Context) -> list[str]:
        """Names of exporters that a metric in this block may refer to."""
        if context.is_active():
            return self.active_exporters
        # A metric for another service may also refer to exporters of the blocks around it.
        return list(dict.fromkeys(_exporter_names(context.enclosing()) + self.active_exporters))

    def _report_nested(self, context: Context, metric: Context) -> None:
        # The missing brace is reported, and is the cause.
        if context in self.state.unclosed:
            return
        text = (
            f"Failed to get metric {metric.name}: Filter metric={metric.name} unexpectedly not found "
            "(invalid userdb or -o override settings?)"
        )
        ours = context.kind is not ContextKind.FOREIGN
        around = f"{context.key} {context.name}".rstrip() if ours else shown_name(context.key)
        message = (
            f"metric {metric.name} stands inside '{around}'; close that block first, a metric belongs to the top level"
        )
        self.report.error(metric.place, message, dovecot=self.before + text, stage=Stage.CHECK)

    def _check_http_client(self, context: Context) -> None:
        for name, assigned in context.scalars.items():
            setting = SETTINGS.get(name)
            # The only settings of the HTTP client whose values Dovecot checks.
            if setting is None or setting.extension or not (setting.not_zero or name == "http_client_proxy_url"):
                continue
            if assigned.value.kind is ValueKind.FILE:
                continue
            text = self.expander.text(assigned, context)
            if self.expander.failed(assigned) or has_variables(text):
                continue
            problem = setting.not_zero if setting.not_zero and _is_zero(name, text) else ""
            wrong = http_url_error(text) if name == "http_client_proxy_url" and text else None
            if wrong is not None:
                problem = f"Invalid http_client_proxy_url: {wrong.message}"
            if problem:
                dovecot = self.before + problem
                self.report.error(assigned.value.place, problem, dovecot=dovecot, stage=Stage.CHECK)

    def _check_format(self, context: Context) -> None:
        own = layers_of([context], block_only=True)
        if _has_variables(own):
            return
        found = lookup(own, "event_exporter_format")
        if found is None:
            format_problem(self.report, context.place, "", before=self.before, public=True, later=self.state.later)
        elif not self.expander.failed(found[0]):
            text = self.expander.text(*found)
            public = not self.expander.hides(found[0])
            place, later = found[0].value.place, self.state.later
            format_problem(self.report, place, text, before=self.before, public=public, later=later)

    def _check_filter(self, context: Context) -> None:
        own = layers_of([context], block_only=True)
        found = lookup(own, "metric_filter")
        if found is None or _has_variables(own):
            return
        assigned, where = found
        if assigned.value.kind is ValueKind.FILE:
            self._report_filter_in_file(assigned.value, name_of(context))
            return
        text = self.expander.text(assigned, where)
        if not self.expander.failed(assigned) and not has_variables(text):
            public = not self.expander.hides(assigned)
            filter_problem(self.report, assigned.value, text, name_of(context), before=self.before, public=public)

    def _report_filter_in_file(self, value: Value, metric: str) -> None:
        """Report a filter in a file: Dovecot's check parses the text `<path` instead of the file's content."""
        try:
            parse_filter(f"<{value.file}")
        except FilterSyntaxError as error:
            message = (
                f"metric {metric}: Dovecot's own check (doveconf) refuses a filter that is read from a file; "
                "write it here, or as a heredoc: filter = <<END"
            )
            self.report.error(value.place, message, dovecot=self.before + error.message, stage=Stage.CHECK)

    def _warn_without_effect(self, context: Context) -> None:
        around = context.parent
        if context.kind is not ContextKind.NAMED or around is None:
            return
        *kinds, key = _EFFECTIVE_PARENTS[context.key]
        title = f"{context.key} {context.name}"
        if around.kind not in kinds or (key and around.key != key):
            # A metric in a wrong place is an error, reported in `_check_metrics_in`.
            if context.key != "metric":
                self.report.warning(context.place, f"{title} has no effect here")
        elif around.kind is ContextKind.CONNECTION and not around.is_active():
            message = (
                f"{title} has no effect inside {around.key} {around.name}: the stats process doesn't read that block"
            )
            self.report.warning(context.place, message)


def _exporter_names(places: Iterable[Context]) -> list[str]:
    """Names of the exporters in these blocks, each once."""
    found = (c.name for place in places for c in place.children.values() if c.is_named("event_exporter"))
    return list(dict.fromkeys(found))


def _is_zero(name: str, text: str) -> bool:
    try:
        return convert(SETTINGS[name], text) == 0
    except ValueTypeError:
        return False


def _has_variables(layers: list[Context]) -> bool:
    """Whether a string setting of a block has a `%{`, so that Dovecot doesn't check the block while reading."""
    return any(
        has_variables(assigned.value.text)
        for layer in layers
        for name, assigned in layer.scalars.items()
        if name in SETTINGS and SETTINGS[name].kind in {Kind.STRING, Kind.NAME}
    )
