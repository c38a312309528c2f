"""Exporters of the model: their effective settings, and the errors that the stats process would find at startup.

Rules from Dovecot's configuration language, sections "Precedence and inheritance" and "When the stats process starts".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

from dovebeam.transforms.config.blocks import Assigned, Context
from dovebeam.transforms.config.files import beside
from dovebeam.transforms.config.levels import Expander, active_parents, layers_of, lookup, merged_blocks
from dovebeam.transforms.config.model import Exporter, SettingEntry, Settings, SourcePlace
from dovebeam.transforms.config.places import MASK, Place, Report, Stage, at_line, shown_key_path
from dovebeam.transforms.config.settings import SETTINGS, Setting, settings_of
from dovebeam.transforms.config.statements import ValueKind
from dovebeam.transforms.config.variables import VariableError, VariableSyntaxError, expand, has_variables
from dovebeam.transforms.config.written_values import Value
from dovebeam.transforms.drivers.setting import Kind, SettingValue, ValueTypeError, convert
from dovebeam.transforms.drivers.urls import http_url_error, is_url_reference, sends_no_user
from dovebeam.transforms.formats import FORMAT_NAMES, FormatName, TimeFormat
from dovebeam.transforms.local_files import is_url

__all__ = ["EntryBuilder", "build_exporters", "check_targets", "source_place"]

_NOT_EXPANDED = "a %{...} in it can't be expanded; write %%{ for a plain %{"
# Values that a file, the environment or another setting has given: no one knows what they hold.
_FROM_ELSEWHERE = frozenset({ValueKind.FILE, ValueKind.VARIABLE})
_HTTP_PREFIXES = ("http_client_", "ssl_")


def source_place(place: Place) -> SourcePlace:
    """Part of a place that the model keeps."""
    return SourcePlace(place.path, place.line)


class EntryBuilder:
    """Builder of the model's entries from assignments; reports what can't be expanded or converted."""

    def __init__(self, report: Report, expander: Expander, environ: Mapping[str, str]) -> None:
        self.report = report
        self.expander = expander
        self.environ = environ
        self.unexpanded: set[int] = set()

    def is_unknown(self, assigned: Assigned) -> bool:
        """Whether the text of an assignment is unknown because of an error that is reported already."""
        return self.expander.failed(assigned) or id(assigned) in self.unexpanded

    def entry(self, setting: Setting, contexts: list[Context], block: str) -> SettingEntry:
        """Effective value of one setting of a block.

        Args:
            setting: the setting.
            contexts: all places where the block was opened.
            block: how Dovecot's messages of the stats process begin, such as
                `stats_metric settings (filter=metric/x): `.
        """
        if setting.kind is Kind.TEXT_LIST:
            return self._texts(setting, contexts)
        # The name of the block is the default of its name setting.
        default = contexts[0].name if setting.kind is Kind.NAME else setting.default
        found = lookup(layers_of(contexts, block_only=setting.block_only), setting.name)
        if found is None:
            return SettingEntry(convert(setting, default), default, source_place(contexts[0].place), explicit=False)
        assigned, where = found
        place = source_place(assigned.value.place)
        # The file itself is read by the driver; here it is only a path.
        if setting.kind is Kind.FILE and not assigned.value.names:
            return self._file(setting, assigned, place)
        written = self.expander.text(assigned, where)
        text = None if self.expander.failed(assigned) else self.expanded(setting, assigned, written, block)
        value = None if text is None else self._converted(setting, assigned, text, written)
        # Such a setting is masked by its own rule (`Settings.shown`), which can still show the host of a URL.
        own = not setting.is_public and value is not None and assigned.value.kind not in _FROM_ELSEWHERE
        hidden = self.expander.hides(assigned) and not own
        if value is None:
            return SettingEntry(convert(setting, default), written, place, True, hidden)
        return SettingEntry(value[0], written, place, True, hidden)

    def _texts(self, setting: Setting, contexts: list[Context]) -> SettingEntry:
        """Lines of a block NAME = VALUE; of two of the same name the more specific one counts."""
        found: dict[str, str] = {}
        place = None
        for layer in layers_of(contexts, block_only=setting.block_only):
            state = layer.lists.get(setting.name)
            for name, element in state.elements.items() if state else ():
                place = place or source_place(element.place)
                if name not in found and element.value is not None:
                    assigned = Assigned(name, element.value)
                    written = self.expander.text(assigned, layer)
                    failed = self.expander.failed(assigned)
                    found[name] = ("" if failed else self.expanded(setting, assigned, written, "")) or ""
        return SettingEntry(tuple(found.items()), "", place or source_place(contexts[0].place), place is not None)

    def expanded(self, setting: Setting, assigned: Assigned, written: str, block: str) -> str | None:
        """Text with its `%{...}` expanded; `None` if that isn't possible, which is reported."""
        if not has_variables(written) or not setting.expanded:
            return written
        # Removed again if all goes well.
        self.unexpanded.add(id(assigned))
        same = written == assigned.value.text
        # Dovecot reads enums before it expands variables, so a variable there is never a valid value.
        if setting.kind is Kind.ENUM:
            shown = MASK if self.expander.hides(assigned) else written
            dovecot = f"Invalid setting {setting.name}={shown}: Invalid value: {shown}"
            message = f"{assigned.key}: variables don't work here; write one of: {', '.join(setting.choices)}"
            self.report.error(assigned.value.place, message, dovecot=dovecot, stage=Stage.STATS_START)
            return None
        try:
            text = expand(written, self.environ)
        except VariableError as error:
            reason = f"{block}Failed to parse configuration: Failed to expand {setting.name} setting variables: "
            hidden = self.expander.hides(assigned)
            dovecot = reason + (MASK if hidden else error.dovecot) if error.dovecot else ""
            place = assigned.value.place_at(error.offset) if same else assigned.value.place
            message = f"{assigned.key}: {_NOT_EXPANDED if hidden else error.message}"
            self.report.error(place, message, dovecot=dovecot, stage=Stage.STATS_START)
        except VariableSyntaxError:
            # Otherwise the syntax was reported while reading.
            if not assigned.checked:
                message = f"{assigned.key}: a %{{...}} in it is not complete"
                self.report.error(assigned.value.place, message)
        else:
            self.unexpanded.discard(id(assigned))
            return text
        return None

    def element(self, name: str, text: str, place: Place) -> str:
        """Element of a list with its `%{...}` expanded."""
        if not has_variables(text):
            return text
        return self.expanded(SETTINGS[name], Assigned(name, Value(text, ((0, place),))), text, "") or text

    def _converted(self, setting: Setting, assigned: Assigned, text: str, written: str) -> tuple[SettingValue] | None:
        """Converted value in a tuple, as it may be `None` itself; `None` if the text is invalid, which is reported."""
        try:
            return (convert(setting, text),)
        except ValueTypeError as error:
            # Everything else was checked while reading, or by `Checker`.
            if not assigned.checked and not assigned.value.names:
                hidden = self.expander.hides(assigned)
                # The expanded text may hold a secret of the environment, and the message of the error quotes it.
                reason = MASK if hidden or text != written else error.message
                message = f"{assigned.key}: {reason}; {error.advice}"
                place = assigned.value.place
                dovecot, stage = "", Stage.EXPAND
                if text != written:
                    shown = MASK if hidden else written
                    dovecot, stage = f"Invalid setting {setting.name}={shown}: {reason}", Stage.STATS_START
                if assigned.value.kind is ValueKind.FILE:
                    dovecot = at_line(place.path, place.line, f"{assigned.key}: {reason}")
                if setting.extension:
                    dovecot = ""
                self.report.error(place, message, dovecot=dovecot, stage=stage)
            return None

    def _file(self, setting: Setting, assigned: Assigned, place: SourcePlace) -> SettingEntry:
        """Setting that names a file: its absolute path. A relative one starts at the configuration file with it."""
        value = assigned.value
        path = value.file if value.kind is ValueKind.FILE else value.text
        # The content of a key, pasted or read with `<`, where its path belongs.
        if "\n" in path:
            self.report.error(value.place, f"{assigned.key}: write the path of a file, not its content")
            path = ""
        path = self.expanded(setting, assigned, path, "") or ""
        if path and value.kind is not ValueKind.FILE:
            path = beside(place.path, path)
        if is_url(path):
            message = f"{assigned.key} must name a file on the workers: write an absolute path, not a URL"
            self.report.error(value.place, message)
            path = ""
        # Absolute, because workers have other working directories.
        return SettingEntry(os.path.abspath(path) if path else "", value.text or path, place, True)


def build_exporters(root: Context, entries: EntryBuilder) -> dict[str, Exporter]:
    """Exporters that the stats process knows, by the names of their blocks."""
    made: dict[str, Exporter] = {}
    for name, contexts in merged_blocks(active_parents(root), "event_exporter").items():
        block = f"event_exporter settings (filter=event_exporter/{name}): "
        found: dict[str, SettingEntry] = {}
        for setting in settings_of("event_exporter"):
            # The driver comes first in the table, so it is known by now.
            if setting.name.startswith(_HTTP_PREFIXES) and _is_skipped(setting, contexts, found):
                default = SettingEntry(convert(setting, setting.default), setting.default, _place(contexts), False)
                found[setting.name] = default
            else:
                found[setting.name] = entries.entry(setting, contexts, block)
        settings = Settings(found)
        made[name] = Exporter(
            name=name,
            driver=settings.text("event_exporter_driver"),
            format=_known_format(settings.text("event_exporter_format")),
            time_format=cast(TimeFormat, settings.text("event_exporter_time_format")),
            settings=settings,
            place=_place(contexts),
        )
    return made


def _known_format(text: str) -> FormatName:
    """Name of a format; an empty text in place of an unknown one, which is reported already."""
    return cast(FormatName, text if text in FORMAT_NAMES else "")


def _place(contexts: list[Context]) -> SourcePlace:
    return source_place(contexts[0].place)


def _is_skipped(setting: Setting, contexts: list[Context], found: Mapping[str, SettingEntry]) -> bool:
    """Whether to leave out a value that is in a file and that only http-post needs, as root alone may read it."""
    if found["event_exporter_driver"].value == "http-post":
        return False
    assigned = lookup(layers_of(contexts), setting.name)
    return assigned is not None and assigned[0].value.kind is ValueKind.FILE


def check_targets(entries: EntryBuilder, exporter: Exporter, contexts: list[Context]) -> bool:
    """Report the target of an exporter that would lose every event; for exporters that a metric uses.

    Returns:
        Whether the target is known; not if it is missing because of an error that is reported already.
    """
    report, settings = entries.report, exporter.settings
    block = contexts[0].place
    needed = next(
        (row for row in settings_of("event_exporter") if row.required and exporter.driver in row.drivers), None
    )
    if needed is None:
        return True
    name, short = needed.name, needed.short_name
    layers = layers_of(contexts)
    found = lookup(layers, name)
    # Unknown, or written under a misspelled name: one error is enough.
    if entries.is_unknown(found[0]) if found else any(name in layer.reported for layer in layers):
        return False
    place = found[0].value.place if found else block
    target = settings.text(name)
    if exporter.driver == "http-post":
        problem = None if is_url_reference(target) else http_url_error(target)
        if problem is not None:
            message = f"event_exporter {exporter.name}: no event could be sent: Invalid HTTP URL: {problem.message}"
            suggestion = f"{problem.advice}; for example: {short} = {needed.required}"
            # The usual reason for an invalid URL of a value `<FILE`; Dovecot keeps the line end, too.
            if target.endswith("\n"):
                suggestion = "a value read with '<' keeps the line end of its file; remove it from the file"
            report.error(place, message, suggestion=suggestion)
        elif sends_no_user(target):
            message = f"event_exporter {exporter.name}: user and password in {short} are sent only together"
            report.warning(place, message, suggestion="write user:password@HOST, or neither of them")
        _check_tls_files(report, exporter, contexts)
    elif not target:
        message = f"event_exporter {exporter.name}: driver {exporter.driver} needs {short}"
        report.error(place, message, suggestion=f"write: {short} = {needed.required}")
    # Only where the example is a path: a target of syslog may be anything.
    elif needed.required.startswith("/") and not target.startswith("/") and not is_url(target):
        message = f"event_exporter {exporter.name}: {short} is relative; Dovecot resolves it in its run directory"
        report.warning(place, message)
    return True


def _check_tls_files(report: Report, exporter: Exporter, contexts: list[Context]) -> None:
    for setting in settings_of("event_exporter"):
        path = exporter.settings[setting.name] if setting.kind is Kind.FILE else ""
        if not isinstance(path, str) or not path:
            continue
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            found = lookup(layers_of(contexts), setting.name)
            place = found[0].value.place if found else contexts[0].place
            shown = path if place.is_public else shown_key_path(path)
            text = f"{setting.name}: open({shown}) failed: {error.strerror}"
            report.missing(place, text, dovecot=at_line(place.path, place.line, text), stage=Stage.EXPAND)
        except OSError:
            # Not readable for this user says nothing about the user on the workers.
            continue
