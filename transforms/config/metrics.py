"""Metrics of the model: lists, filters, groups, and the checks that the stats process makes at startup.

Rules from Dovecot's configuration language, sections "Setting tables" (metric, group_by, method) and "When the stats
process starts". `doveconf` shows none of these mistakes: all statistics and exports are missing until an operator reads
the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from dovebeam.transforms.config.blocks import Context
from dovebeam.transforms.config.build import EntryBuilder, source_place
from dovebeam.transforms.config.known_names import did_you_mean, near_miss
from dovebeam.transforms.config.levels import active_parents, layers_of, list_elements, lookup, merged_blocks
from dovebeam.transforms.config.mistakes import filter_problem
from dovebeam.transforms.config.model import Exporter, GroupBy, Method, MethodName, Metric, SettingEntry, Settings
from dovebeam.transforms.config.places import Place, Stage
from dovebeam.transforms.config.settings import SETTINGS, Setting, settings_of
from dovebeam.transforms.config.variables import has_variables
from dovebeam.transforms.drivers.setting import UINT64_MAX, ValueTypeError, convert
from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters import Filter, parse_filter
from dovebeam.transforms.formats import INCLUDE_PARTS

__all__ = ["build_metrics"]

_METHOD = "metric_group_by_method_"
# The largest powers that fit a signed 64-bit number, in which Dovecot keeps the limits of groups.
_MAX_MAGNITUDE = {2: 62, 10: 18}


def build_metrics(root: Context, entries: EntryBuilder, exporters: Mapping[str, Exporter]) -> tuple[Metric, ...]:
    """Metrics that the stats process evaluates, in its order."""
    merged = merged_blocks(active_parents(root), "metric")
    return tuple(_metric(name, contexts, entries, exporters) for name, contexts in merged.items())


def _metric(
    block_name: str, contexts: list[Context], entries: EntryBuilder, exporters: Mapping[str, Exporter]
) -> Metric:
    block = f"stats_metric settings (filter=metric/{block_name}): "
    place = contexts[0].place
    found = {
        name: entries.entry(SETTINGS[name], contexts, block)
        for name in ("metric_name", "metric_exporter", "metric_description")
    }
    settings = Settings(found)
    name, exporter = settings.text("metric_name"), settings.text("metric_exporter")
    shown = settings.shown("metric_name")
    parsed, filter_text = _filter(shown, contexts, entries, block)
    if not name:
        message = "the name of a metric must not be empty; name the block, and remove an empty 'name' setting"
        entries.report.error(place, message, dovecot="Metric name can't be empty", stage=Stage.STATS_START)
    # An exporter that does not exist is reported by `Checker`.
    if exporter in exporters:
        _check_exporter_name(shown, exporters[exporter], place, entries)
    include = _include(shown, contexts, entries, exported=bool(exporter))
    return Metric(
        name=name,
        block_name=block_name,
        filter=parsed,
        filter_text=filter_text,
        exporter=exporter,
        # Dovecot writes the parts in its own order, whatever the order of the words.
        exporter_include=tuple(part for part in INCLUDE_PARTS if part in include),
        exporter_include_written=include,
        fields=_list("metric_fields", contexts, entries),
        known_names=_list("metric_known_names", contexts, entries),
        description=settings.text("metric_description"),
        group_by=_group_by(contexts, entries),
        settings=settings,
        place=source_place(place),
    )


def _filter(name: str, contexts: list[Context], entries: EntryBuilder, block: str) -> tuple[Filter, str]:
    """Parsed filter and its text as written; a blank filter if it can't be parsed, which is reported."""
    setting = SETTINGS["metric_filter"]
    # A global metric_filter does not count, in Dovecot either.
    own = layers_of(contexts, block_only=True)
    found = lookup(own, setting.name)
    if found is None:
        return parse_filter(""), ""
    assigned, where = found
    written = entries.expander.text(assigned, where)
    text = entries.expanded(setting, assigned, written, block)
    if text is None or entries.expander.failed(assigned):
        return parse_filter(""), written
    # A variable in any setting of the block suspends the checks of `doveconf`, so they are made up for here.
    if any(has_variables(a.value.text) for layer in own for a in layer.scalars.values()):
        before = f"{block}Invalid settings: "
        public = not has_variables(written) and not entries.expander.hides(assigned)
        filter_problem(
            entries.report, assigned.value, text, name, before=before, public=public, stage=Stage.STATS_START
        )
    try:
        return parse_filter(text), written
    except FilterSyntaxError:
        return parse_filter(""), written


def _check_exporter_name(metric: str, exporter: Exporter, place: Place, entries: EntryBuilder) -> None:
    """Report an exporter that is renamed by its name setting, by which Dovecot looks for it at run time."""
    if exporter.settings.text("event_exporter_name") == exporter.name:
        return
    actual = exporter.settings.shown("event_exporter_name")
    text = f"metric {metric} refers to nonexistent exporter '{exporter.name}'"
    message = (
        f"metric {metric}: the block event_exporter {exporter.name} sets its name to '{actual}', "
        "so that Dovecot can't find it at run time; remove the name setting from the exporter"
    )
    entries.report.error(place, message, dovecot=text, stage=Stage.STATS_START)


def _list(name: str, contexts: list[Context], entries: EntryBuilder) -> tuple[str, ...]:
    default = SETTINGS[name].default.split()
    elements = list_elements(layers_of(contexts), name, default, entries.expander)
    return tuple(entries.element(name, text, contexts[0].place) for text in elements)


def _include(metric: str, contexts: list[Context], entries: EntryBuilder, *, exported: bool) -> tuple[str, ...]:
    name = "metric_exporter_include"
    elements = _list(name, contexts, entries)
    layers = layers_of(contexts)
    states = [layer.lists[name] for layer in layers if name in layer.lists]
    # Adding to the default of all five changes nothing, so this is hardly what was meant.
    if not any(state.cut for state in states):
        added = next((state.added_at for state in states if state.added_at), None)
        if added is not None:
            message = (
                f"metric {metric}: in this form the parts are added to the default, which has all five; "
                "to select parts write: exporter_include = name fields"
            )
            entries.report.warning(added, message)
    for element in elements:
        # A warning, since Dovecot ignores the word and goes on.
        if element not in INCLUDE_PARTS:
            place = next((s.elements[element].place for s in states if element in s.elements), contexts[0].place)
            message = (
                f"metric {metric}: there is no part '{element}', it is ignored; parts are {', '.join(INCLUDE_PARTS)}"
            )
            entries.report.warning(
                place,
                message,
                suggestion=did_you_mean(near_miss(element, INCLUDE_PARTS)),
                dovecot=f"Ignoring unknown exporter include '{element}'" if exported else "",
                stage=Stage.STATS_WARNING,
            )
    return elements


def _group_by(contexts: list[Context], entries: EntryBuilder) -> tuple[GroupBy, ...]:
    levels: list[GroupBy] = []
    for blocks in merged_blocks(contexts, "metric_group_by").values():
        field = str(entries.entry(SETTINGS["metric_group_by_field"], blocks, "").value)
        methods = merged_blocks(blocks, "metric_group_by_method")
        before = f"metric_group_by {field}: "
        if len(methods) > 1:
            second = list(methods.values())[1][0].place
            text = f"{before}Only one metric_group_by_method named filter is allowed"
            message = f"group_by {field}: only one method is allowed in a group_by"
            entries.report.error(second, message, dovecot=text, stage=Stage.STATS_START)
        levels.append(GroupBy(field, tuple(_method(places, entries, before) for places in methods.values())))
    return tuple(levels)


def _method(contexts: list[Context], entries: EntryBuilder, before: str) -> Method:
    method = cast(MethodName, entries.entry(SETTINGS[f"{_METHOD}method"], contexts, "").value)
    rows = [row for row in settings_of("metric_group_by_method") if row.name.startswith(f"{_METHOD}{method}_")]
    found: dict[str, SettingEntry] = {row.name: entries.entry(row, contexts, "") for row in rows}
    settings = Settings(found)
    # What is compared below would be defaults, and the message would name numbers that are not in the file.
    if not all(_is_valid(row, found[row.name].written) for row in rows):
        return Method(method, settings)
    # Only the first: Dovecot stops there, and the others often follow from it.
    for name, message, text in _wrong_parameters(method, settings):
        assigned = lookup(layers_of(contexts), name)
        place = assigned[0].value.place if assigned else contexts[0].place
        dovecot = before + text if text else ""
        entries.report.error(place, before + message, dovecot=dovecot, stage=Stage.STATS_START)
        break
    return Method(method, settings)


def _is_valid(setting: Setting, written: str) -> bool:
    """Whether a parameter has a valid value; if not, that is reported, and its default is not checked."""
    try:
        convert(setting, written)
    except ValueTypeError:
        return False
    return True


def _wrong_parameters(method: MethodName, settings: Settings) -> list[tuple[str, str, str]]:
    """Wrong parameters: setting, our message and Dovecot's, in the order of Dovecot's tests."""
    if method == "exponential":
        return _wrong_exponential(settings)
    return _wrong_linear(settings) if method == "linear" else []


def _wrong_exponential(settings: Settings) -> list[tuple[str, str, str]]:
    name = f"{_METHOD}exponential_"
    low, high = settings.number(f"{name}min_magnitude"), settings.number(f"{name}max_magnitude")
    base = settings.number(f"{name}base")
    wrong: list[tuple[str, str, str]] = []
    if base not in _MAX_MAGNITUDE:
        wrong.append((f"{name}base", f"base is {base}, it must be 2 or 10", f"{name}base must be 2 or 10"))
    # Dovecot does not notice this one, and the groups would be wrong.
    elif low > high:
        wrong.append((f"{name}min_magnitude", f"min_magnitude {low} is larger than max_magnitude {high}", ""))
    elif high > _MAX_MAGNITUDE[base]:
        limit = _MAX_MAGNITUDE[base]
        wrong.append(
            (f"{name}max_magnitude", f"max_magnitude {high} is too large for base {base}: the limit is {limit}", "")
        )
    return wrong


def _wrong_linear(settings: Settings) -> list[tuple[str, str, str]]:
    name = f"{_METHOD}linear_"
    low, high, step = (settings.number(f"{name}{part}") for part in ("min", "max", "step"))
    wrong: list[tuple[str, str, str]] = []
    if step == 0:
        wrong.append((f"{name}step", "step is missing or 0, it must be at least 1", f"{name}step must not be 0"))
    # Step, then the limits, then their sum: Dovecot's order.
    if low >= high:
        text = f"{name}min ({low}) must be smaller than {name}max ({high})"
        wrong.append((f"{name}min", f"min {low} must be smaller than max {high}", text))
    if low + step > high:
        text = f"{name}min ({low}) + {name}step ({step}) must be <= {name}max ({high})"
        # Dovecot adds 64-bit numbers, so it does not notice a sum that overflows.
        overflows = (low + step) & UINT64_MAX <= high
        wrong.append((f"{name}step", f"min {low} + step {step} is larger than max {high}", "" if overflows else text))
    return wrong
