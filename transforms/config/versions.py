"""The versions that a configuration must state, and the groups that Dovecot of that version brings along.

Rules from Dovecot's configuration language, section "First setting".
"""

from __future__ import annotations

from dovebeam.transforms.config.builtin import SUPPORTED_VERSIONS
from dovebeam.transforms.config.files import TooLargeError
from dovebeam.transforms.config.known_names import is_newer
from dovebeam.transforms.config.legacy import version_hint
from dovebeam.transforms.config.places import Place, Stage, at_line
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import Assignment, Statement

__all__ = ["VERSION_SETTINGS", "assume_version", "check_first", "check_versions_at_end", "set_version"]

_VERSION = "dovecot_config_version"
VERSION_SETTINGS = frozenset({_VERSION, "dovecot_storage_version"})


def check_first(state: ParserState, statement: Statement) -> None:
    """The first statement of all must be the version."""
    state.started = True
    if isinstance(statement, Assignment) and statement.key == _VERSION:
        return
    line = statement.line
    text = "The first setting must be dovecot_config_version"
    if line.text.startswith("\ufeff"):
        message = "the file starts with a byte order mark, which Dovecot takes for a part of the first name; remove it"
        state.error(line, line.place(0), text, message=message)
        if isinstance(statement, Assignment) and statement.key.removeprefix("\ufeff") == _VERSION:
            return  # what it says is looked at as if the mark were gone
    elif complete := next((path for path in state.others if _begins_with_version(state, path)), ""):
        message = (
            f"this file has no dovecot_config_version, and {complete} has it: name the complete file first, as in "
            f"--config {complete} --config {state.main_path}"
        )
        state.error(line, line.place(0), text, message=message)
    else:
        message = (
            "the first setting must be dovecot_config_version; a file without it is a Dovecot 2.3 configuration, or an "
            "included part of a larger one: then give the main file instead, or first (--config MAIN --config PART)"
        )
        state.error(line, line.place(0), text, message=message, suggestion=version_hint())
    assume_version(state)


def _begins_with_version(state: ParserState, path: str) -> bool:
    """Whether the first setting of a file is the version."""
    try:
        lines = state.reader.files.read(path).splitlines()
    except (OSError, TooLargeError):
        return False
    settings = (line.strip() for line in lines)
    return next((line for line in settings if line and not line.startswith("#")), "").startswith(_VERSION)


def set_version(state: ParserState, statement: Assignment) -> None:
    """Carry out the assignment of one of `VERSION_SETTINGS`."""
    value = state.read_value(statement, ours=True)
    if value is None:
        return
    if statement.key != _VERSION:
        state.storage_version_set = True
        return
    line = statement.line
    if is_newer(value.text) and state.config_version in {"", value.text}:
        text = f"Invalid {_VERSION}: Currently supported versions are: {' '.join(SUPPORTED_VERSIONS)}"
        message = (
            f"Dovecot {value.text} is newer than this dovebeam, which knows {SUPPORTED_VERSIONS[-2]}; "
            "what it does not know is left out and told"
        )
        number = state.reader.number
        state.report.later(value.place, message, dovecot=at_line(line.path, number, text))
    elif value.text not in SUPPORTED_VERSIONS:
        versions = " ".join(SUPPORTED_VERSIONS)
        text = f"Invalid {_VERSION}: Currently supported versions are: {versions}"
        state.error(line, value.place, text, message=f"unknown version '{value.text}'; supported are: {versions}")
    elif state.config_version and value.text != state.config_version:
        text = f"{_VERSION} value can't be changed once set"
        state.error(line, value.place, text, message=f"{text}; it is {state.config_version} already")
        return
    state.config_version = value.text


def check_versions_at_end(state: ParserState) -> None:
    """Both versions must have been stated by the end of the first file."""
    place = Place(state.main_path, 0, 0, "")
    if not state.started:
        message = "the file has no settings; dovecot_config_version must be the first one"
        text = f"Error in configuration file {state.main_path}: The first setting must be {_VERSION}"
        state.report.error(place, message, dovecot=text, suggestion=version_hint(), stage=Stage.END_OF_INPUT)
    elif not state.storage_version_set:
        text = "dovecot_storage_version setting must be set"
        state.report.error(
            place, text, dovecot=text, suggestion="write: dovecot_storage_version = 2.4.0", stage=Stage.END_OF_INPUT
        )


def assume_version(state: ParserState) -> None:
    """After a mistake about it: go on as if the oldest supported version had been stated."""
    state.config_version = state.config_version or SUPPORTED_VERSIONS[0]
    state.storage_version_set = True
