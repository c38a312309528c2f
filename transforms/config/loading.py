"""Reading of configurations: `load_config` for use, `read_config` for checks, which also returns an unusable one.

The steps are those of Dovecot: parse all files to a tree, check the tree, build exporters and metrics of it, and check
these as the stats process does at startup. Then blocks that need a later Dovecot are left out.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from dovebeam.transforms.config.blocks import Context
from dovebeam.transforms.config.build import EntryBuilder, build_exporters, check_targets
from dovebeam.transforms.config.checks import Checker
from dovebeam.transforms.config.files import LOCAL_FILES, ConfigFiles
from dovebeam.transforms.config.known_names import Later, is_announced, later_filter_key
from dovebeam.transforms.config.levels import Expander, active_parents, layers_of, lookup, merged_blocks
from dovebeam.transforms.config.metrics import build_metrics
from dovebeam.transforms.config.mistakes import format_problem
from dovebeam.transforms.config.model import Config, Exporter, LeftOut, Metric
from dovebeam.transforms.config.parser import parse_files
from dovebeam.transforms.config.places import MASK, Place, Report, Stage
from dovebeam.transforms.config.settings import SETTINGS
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.variables import has_variables
from dovebeam.transforms.drivers.setting import convert
from dovebeam.transforms.errors import ConfigError

__all__ = ["Reading", "load_config", "read_config"]


# Settings whose words a later Dovecot may add to.
_CLOSED_LISTS = ("event_exporter_driver", "event_exporter_format", "event_exporter_time_format")


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of reading: the configuration as far as it could be understood, and all errors and warnings.

    With errors in `report` the configuration has defaults in place of wrong values and must not be used, only shown.
    `unclear` are exporters whose target is not known because of such an error.
    """

    config: Config
    report: Report
    unclear: frozenset[str] = frozenset()


def load_config(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    environ: Mapping[str, str] | None = None,
    files: ConfigFiles = LOCAL_FILES,
    strict: bool = False,
) -> Config:
    """Read a Dovecot configuration.

    Args:
        paths: one file, or several that are read in order, where later ones override. The first must be complete; the
            others need not repeat the versions. Settings that only dovebeam has belong to a later one.
        environ: for `$ENV:` and `%{env:...}`; by default that of this process.
        files: access to the files; by default those of this machine.
        strict: whether a name of a later Dovecot is an error. Otherwise its block is left out, with a warning.

    Raises:
        ConfigError: the configuration has errors; it has all of them, in the order of the files.
        ValueError: `paths` is empty.
    """
    reading = read_config(paths, environ=environ, files=files, strict=strict)
    if reading.report.errors:
        raise ConfigError(reading.report.problems(fatal=True))
    return reading.config


def read_config(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    environ: Mapping[str, str] | None = None,
    files: ConfigFiles = LOCAL_FILES,
    strict: bool = False,
    remote: bool = False,
) -> Reading:
    """Read a configuration, and return it together with its errors and warnings.

    The arguments are those of `load_config`; with `remote` the configuration is for other machines, so that a
    missing file is a warning.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not several:
        raise ValueError("no configuration file is given")
    known = os.environ if environ is None else environ
    report = Report(strict=strict, remote=remote)
    state = parse_files([os.fspath(path) for path in several], known, report, files)
    expander = Expander(report, state.main_path, files)
    Checker(state, expander).run()
    entries = EntryBuilder(report, expander, known)
    exporters = build_exporters(state.root, entries)
    metrics = build_metrics(state.root, entries, exporters)
    left_out = _left_out_blocks(report, state.later, state.root, exporters, metrics)
    # Left out before targets are checked: their settings may be of a later Dovecot, too.
    gone = {(each.kind, each.name) for each in left_out}
    exporters = {name: each for name, each in exporters.items() if ("event_exporter", name) not in gone}
    metrics = tuple(each for each in metrics if ("metric", each.block_name) not in gone)
    unclear = _check_exporters(state, entries, exporters, {metric.exporter for metric in metrics})
    _check_expanded_formats(state, entries, exporters)
    return Reading(Config(exporters, metrics, report.problems(fatal=False), left_out), report, unclear)


def _check_exporters(
    state: ParserState, entries: EntryBuilder, exporters: Mapping[str, Exporter], used: Container[str]
) -> frozenset[str]:
    """Check names, targets, and settings without effect; returns the exporters whose target is not known."""
    unclear = set[str]()
    merged = merged_blocks(active_parents(state.root), "event_exporter")
    for name, exporter in exporters.items():
        contexts = merged[name]
        if not name or not exporter.settings.text("event_exporter_name"):
            found = lookup(layers_of(contexts, block_only=True), "event_exporter_name") if name else None
            place = found[0].value.place if found else contexts[0].place
            message = "an event_exporter needs a name that is not empty; Dovecot crashes on an empty one"
            advice = f"remove the setting; the exporter is called {name}" if found else ""
            state.report.error(place, message, suggestion=advice)
        # An exporter that no metric uses opens nothing, so its target does not matter.
        if name in used:
            if not check_targets(entries, exporter, contexts):
                unclear.add(name)
            if exporter.driver == "http-post":
                _warn_without_effect(state.report, exporter, contexts)
    return frozenset(unclear)


def _check_expanded_formats(state: ParserState, entries: EntryBuilder, exporters: Mapping[str, Exporter]) -> None:
    """Check formats in blocks with variables, which Dovecot checks when the stats process starts."""
    for name, contexts in merged_blocks(active_parents(state.root), "event_exporter").items():
        own = layers_of(contexts, block_only=True)
        # Blocks without variables were checked by `Checker`, as `doveconf` does it.
        if not any(has_variables(a.value.text) for layer in own for a in layer.scalars.values()):
            continue
        found = lookup(own, "event_exporter_format")
        if name not in exporters or (found and entries.is_unknown(found[0])):
            continue
        place = found[0].value.place if found else contexts[0].place
        before = f"event_exporter settings (filter=event_exporter/{name}): Invalid settings: "
        written = exporters[name].settings.written("event_exporter_format")
        # An expanded variable may be a secret of the environment.
        public = found is None or not (has_variables(written) or entries.expander.hides(found[0]))
        text = str(exporters[name].settings["event_exporter_format"])
        format_problem(
            state.report, place, text, before=before, public=public, later=state.later, stage=Stage.STATS_START
        )


def _left_out_blocks(
    report: Report, later: Later, root: Context, exporters: Mapping[str, Exporter], metrics: tuple[Metric, ...]
) -> tuple[LeftOut, ...]:
    """Blocks that are left out, exporters before metrics; each is reported once, beside its cause.

    Args:
        report: gets a warning for each.
        later: policy for names of a later Dovecot.
        root: the tree of blocks.
        exporters: all exporters.
        metrics: all metrics.
    """
    found: list[LeftOut] = []
    blocks = merged_blocks(active_parents(root), "event_exporter")
    for name, exporter in exporters.items():
        reason = _marked(blocks[name]) or _later_value(exporter, later)
        if reason:
            found.append(LeftOut("event_exporter", name, reason))
            _warn_about_exporter(report, blocks[name][0].place, name, [m.name for m in metrics if m.exporter == name])
    gone = {each.name for each in found}
    # Exporters first, because a metric goes with its exporter.
    blocks = merged_blocks(active_parents(root), "metric")
    for metric in metrics:
        contexts = blocks[metric.block_name]
        in_filter = later_filter_key(comparison.key for comparison in metric.filter.comparisons)
        # What a filter for statistics alone would match does not matter here.
        reason = _marked(contexts) or (in_filter if metric.exporter else "")
        if metric.exporter in gone:
            found.append(LeftOut("metric", metric.block_name, f"event_exporter {metric.exporter} is left out"))
        elif reason:
            found.append(LeftOut("metric", metric.block_name, reason))
            note = in_filter or "it uses something that this dovebeam does not know"
            report.later(contexts[0].place, f"metric {metric.name} is left out, it exports nothing: {note}")
    return tuple(found)


def _warn_about_exporter(report: Report, place: Place, name: str, metrics: list[str]) -> None:
    if report.strict:
        # With `strict` the cause is an error, which is enough.
        return
    only = f", and of {'metrics' if len(metrics) > 1 else 'metric'} {', '.join(metrics)} nothing is exported"
    report.warning(place, f"event_exporter {name} is left out: nothing goes to it{only if metrics else ''}")


def _marked(contexts: list[Context]) -> str:
    return next((layer.left_out for layer in layers_of(contexts, block_only=True) if layer.left_out), "")


def _later_value(exporter: Exporter, later: Later) -> str:
    for name in _CLOSED_LISTS:
        written = exporter.settings.written(name)
        if written not in SETTINGS[name].choices and (reason := later.about(written, SETTINGS[name].choices)):
            # Only a word that Dovecot has announced is certainly no secret: the value may be another setting's ($SET:).
            shown = written if is_announced(written) else MASK
            return f"{name.removeprefix('event_exporter_')} '{shown}' {reason}"
    return ""


def _warn_without_effect(report: Report, exporter: Exporter, contexts: list[Context]) -> None:
    """Warn about settings of an http-post exporter that dovebeam accepts but ignores, if they are not the default.

    Args:
        report: gets the warnings, only one for a setting that several exporters inherit.
        exporter: the exporter.
        contexts: all places where its block was opened.
    """
    layers = layers_of(contexts)
    for setting in SETTINGS.values():
        found = lookup(layers, setting.name) if setting.no_effect else None
        if found is None or exporter.settings[setting.name] == convert(setting, setting.default):
            continue
        place = found[0].value.place
        message = f"{setting.name} has no effect in dovebeam: {setting.no_effect}"
        known = {(w.problem.message, w.problem.path, w.problem.line) for w in report.warnings}
        if (message, place.path, place.line) not in known:
            report.warning(place, message)
