"""Dovecot's configuration file: `load_config("dovecot.conf")` gives its exporters and metrics."""

from dovebeam.transforms.config.loading import load_config
from dovebeam.transforms.config.model import (
    Config,
    Exporter,
    GroupBy,
    Method,
    MethodName,
    Metric,
    Settings,
    SourcePlace,
    make_driver,
)
from dovebeam.transforms.config.settings import DRIVER_NAMES, SETTINGS, Setting

__all__ = [
    "DRIVER_NAMES",
    "SETTINGS",
    "Config",
    "Exporter",
    "GroupBy",
    "Method",
    "MethodName",
    "Metric",
    "Setting",
    "Settings",
    "SourcePlace",
    "load_config",
    "make_driver",
]
