"""Exporters and metrics with something of a later Dovecot, which are left out while everything else is done."""

from __future__ import annotations

from collections.abc import Mapping

from dovebeam.transforms.config.blocks import Context
from dovebeam.transforms.config.disclosure import MASK
from dovebeam.transforms.config.known_names import Later, is_announced, later_filter_key
from dovebeam.transforms.config.levels import active_parents, layers_of, merged_blocks
from dovebeam.transforms.config.model import Exporter, LeftOut, Metric
from dovebeam.transforms.config.places import Place, Report
from dovebeam.transforms.config.settings import SETTINGS

__all__ = ["left_out_blocks"]

_LISTS = ("event_exporter_driver", "event_exporter_format", "event_exporter_time_format")


def left_out_blocks(
    report: Report, later: Later, root: Context, exporters: Mapping[str, Exporter], metrics: tuple[Metric, ...]
) -> tuple[LeftOut, ...]:
    """The blocks that are left out, exporters before metrics; each is told once, beside its cause.

    Args:
        report: gets a warning for each.
        later: tells what a later Dovecot has.
        root: the tree of blocks.
        exporters: all of them.
        metrics: all of them.
    """
    found: list[LeftOut] = []
    blocks = merged_blocks(active_parents(root), "event_exporter")
    for name, exporter in exporters.items():
        reason = _marked(blocks[name]) or _later_value(exporter, later)
        if reason:
            found.append(LeftOut("event_exporter", name, reason))
            _tell_exporter(report, blocks[name][0].place, name, [m.name for m in metrics if m.exporter == name])
    gone = {each.name for each in found}
    blocks = merged_blocks(active_parents(root), "metric")
    for metric in metrics:
        contexts = blocks[metric.block_name]
        in_filter = later_filter_key(comparison.key for comparison in metric.filter.comparisons)
        reason = _marked(contexts) or (in_filter if metric.exporter else "")
        if metric.exporter in gone:
            found.append(LeftOut("metric", metric.block_name, f"event_exporter {metric.exporter} is left out"))
        elif reason:
            found.append(LeftOut("metric", metric.block_name, reason))
            note = in_filter or "it has what this dovebeam does not know"
            report.later(contexts[0].place, f"metric {metric.name} is left out, it exports nothing: {note}")
    return tuple(found)


def _tell_exporter(report: Report, place: Place, name: str, metrics: list[str]) -> None:
    if report.strict:
        return  # the cause is an error
    only = f", and of {'metrics' if len(metrics) > 1 else 'metric'} {', '.join(metrics)} nothing is exported"
    report.warning(place, f"event_exporter {name} is left out: nothing goes to it{only if metrics else ''}")


def _marked(contexts: list[Context]) -> str:
    return next((layer.left_out for layer in layers_of(contexts, block_only=True) if layer.left_out), "")


def _later_value(exporter: Exporter, later: Later) -> str:
    for name in _LISTS:
        written = exporter.settings.written(name)
        if written not in SETTINGS[name].choices and (reason := later.about(written, SETTINGS[name].choices)):
            # Only a word that Dovecot has announced is certainly no secret: the value may be another setting's ($SET:).
            shown = written if is_announced(written) else MASK
            return f"{name.removeprefix('event_exporter_')} '{shown}' {reason}"
    return ""
