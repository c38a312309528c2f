"""Warnings of settings of Dovecot that dovebeam accepts and that change nothing in it: each says why.

Rules from Dovecot's section "HTTP and TLS settings". What concerns requests other than POST is not in here, for it has
no effect on event export in Dovecot either.
"""

from __future__ import annotations

from dovebeam.transforms.config.blocks import Context
from dovebeam.transforms.config.levels import layers_of, lookup
from dovebeam.transforms.config.model import Exporter
from dovebeam.transforms.config.places import Report
from dovebeam.transforms.config.settings import SETTINGS
from dovebeam.transforms.drivers.setting import convert

__all__ = ["warn_without_effect"]


def warn_without_effect(report: Report, exporter: Exporter, contexts: list[Context]) -> None:
    """Warns of settings of an http-post exporter that somebody set, to something else than the default, in vain.

    Args:
        report: gets the warnings, one for a setting that several exporters inherit.
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
