"""Parser of configuration files: from statements to the tree of blocks; the main loop, includes, unclosed blocks.

Rules from Dovecot's configuration language, sections "Includes" and "Messages while parsing". The parser also decides
which lines may be shown in messages (`_as_public`): it is the first to know which setting a line is about.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from dovebeam.transforms.config.assignments import assign
from dovebeam.transforms.config.blocks import Context, ContextKind, is_in_secret_list, is_list, resolve_key
from dovebeam.transforms.config.files import ConfigFiles, TooLargeError, beside, match_files
from dovebeam.transforms.config.known_names import BUILT_IN_PATH, CONNECTION_BLOCKS, built_in_groups
from dovebeam.transforms.config.legacy import (
    VERSION_SETTINGS,
    check_first,
    check_versions_at_end,
    is_public_old_name,
    set_version,
)
from dovebeam.transforms.config.mistakes import is_ours
from dovebeam.transforms.config.opening import close_block, close_swallowed, open_block, open_group, recover
from dovebeam.transforms.config.places import FREE_TEXTS, Place, Report, Stage
from dovebeam.transforms.config.reader import WHITE_SPACE, LogicalLine, LogicalReader
from dovebeam.transforms.config.settings import BLOCKS, PLAIN_BLOCKS, SETTINGS
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import (
    Assignment,
    BlockEnd,
    BlockStart,
    Include,
    Statement,
    StatementError,
    classify,
)

__all__ = ["parse_files"]


_SKIPPED_KINDS = frozenset({ContextKind.FOREIGN, ContextKind.BROKEN})
_MAX_STRUCTURE_WORDS = 3


def parse_files(paths: Sequence[str], environ: Mapping[str, str], report: Report, files: ConfigFiles) -> ParserState:
    """Read the files in order into one tree; blocks of earlier files are continued by later ones.

    Args:
        paths: configuration files; only the first must state its versions.
        environ: for `$ENV:`.
        report: gets all errors and warnings.
        files: access to the files.

    Returns:
        The parser's state at the end.
    """
    root = Context(ContextKind.ROOT, "", "", None, Place(paths[0], 0, 0, ""), 0)
    state = ParserState(report, environ, LogicalReader(report, files), root, paths[0])
    state.others = tuple(paths[1:])
    # A reader and a stack of blocks for each file: a block cannot be open from one file of --config into the next.
    for number, path in enumerate(paths):
        state.reader = LogicalReader(report, files)
        state.frames.clear()
        report.files.setdefault(path, len(report.files))
        try:
            # A directory reads as an empty file, which suits `!include`, but not the main file.
            if os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            state.reader.open(path)
        except (OSError, TooLargeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            report.error(Place(path, 0, 0, ""), f"can't read the configuration: {reason}")
            # What was not read is not reported as missing.
            state.started = state.storage_version_set = True
            continue
        _read(state)
        if number == 0:
            check_versions_at_end(state)
        state.started = True
    return state


def _read(state: ParserState) -> None:
    previous = ""
    while (line := state.reader.next_line()) is not None:
        _report_discarded(state)
        try:
            statement = _as_public(state.context, classify(line), {label for label, _ in state.groups})
        except StatementError as error:
            line = _public_structure(state.context, line)
            _report_hashes(state, line)
            previous = recover(state, line, error, previous)
        else:
            # Before the statement is carried out: Dovecot warns while it reads the line.
            _report_hashes(state, statement.line)
            _carry_out(state, statement)
            previous = ""
        if state.full:
            break
    _report_discarded(state)
    _report_hashes(state, None)
    if not state.full:
        close_swallowed(state)
    if state.frames and not state.full:
        _report_unclosed(state)


def _carry_out(state: ParserState, statement: Statement) -> None:
    if not state.started:
        check_first(state, statement)
        if isinstance(statement, Assignment | BlockStart):
            # A byte order mark is reported once, and the name behind it is then read as it was meant.
            statement = replace(statement, key=statement.key.removeprefix("\ufeff"))
    _do(state, statement)
    # They are there as soon as the version is known, so this runs once.
    if not state.groups:
        _define_built_in(state)


def _do(state: ParserState, statement: Statement) -> None:
    if isinstance(statement, Assignment):
        if state.context.kind is ContextKind.ROOT and statement.key in VERSION_SETTINGS:
            set_version(state, statement)
        else:
            assign(state, statement)
    elif isinstance(statement, BlockStart):
        open_block(state, statement)
    elif isinstance(statement, BlockEnd):
        close_block(state, statement.line)
    elif isinstance(statement, Include):
        _include(state, statement)
    else:
        open_group(state, statement)


def _include(state: ParserState, statement: Include) -> None:
    line = statement.line
    # As in Dovecot, where an empty argument names the directory, which reads as an empty file.
    if not statement.pattern:
        return
    place = line.place(statement.pattern_at)
    pattern = beside(line.path, statement.pattern)
    try:
        paths = match_files(pattern, state.reader.files)
    except TooLargeError as error:
        state.report.error(place, str(error))
        return
    except OSError as error:
        # An error for !include_try, too: that the lookup failed does not mean that no file is there.
        state.report.error(place, f"can't look for '{pattern}': {error.strerror}")
        return
    if paths:
        state.reader.include(paths, line, optional=statement.optional)
    elif not statement.optional:
        message = f"no file matches '{pattern}'; use !include_try if it may be missing"
        state.error(line, place, "No matches", message=message)


def _define_built_in(state: ParserState) -> None:
    """Define Dovecot's own groups; they depend on the version, so this is done after the first statement."""
    # A nested run of the main loop over a text instead of a file; the state of the outer one is put back.
    reader, frames, started = state.reader, state.frames, state.started
    state.reader, state.frames = LogicalReader(state.report), []
    state.reader.open_text(BUILT_IN_PATH, built_in_groups(state.config_version))
    _read(state)
    state.reader, state.frames, state.started = reader, frames, started


def _report_hashes(state: ParserState, line: LogicalLine | None) -> None:
    """Warn about comments that start without a space before them, up to this line."""
    # The place of a hash was made before the statement was recognised; how much may be shown is known now.
    marks = {(place.path, place.line): place.shows for _, place in line.marks} if line else {}
    for place in state.reader.hashes:
        state.report.warning(
            place._replace(shows=marks.get((place.path, place.line), place.shows)),
            "'#' starts a comment here although no space is before it; "
            "put the value in quotes if the '#' belongs to it, or add a space if it doesn't",
            dovecot=f"Configuration file {place.path} line {place.line}: Ambiguous '#' character in line, "
            "treating it as comment. Add a space before it to remove this warning.",
            stage=Stage.PARSE_WARNING,
        )
    state.reader.hashes.clear()


def _report_discarded(state: ParserState) -> None:
    for dropped in state.reader.discarded:
        key = re.split(rf"[{WHITE_SPACE}=]", dropped.text, maxsplit=1)[0]
        sets = "=" in dropped.text[len(key) :].lstrip(WHITE_SPACE)[:1]
        line = dropped.as_public() if sets and _is_public_setting(state.context, key) else dropped
        message = (
            "this line ends with a backslash, but an empty or comment line or the end of the file follows; "
            "Dovecot then silently drops the whole setting"
        )
        place = line.place(0)
        # Elsewhere it may be intended, and event export works without the setting.
        if is_ours(state.context) or resolve_key(state.context, key) in SETTINGS:
            state.report.error(place, message)
        else:
            state.report.warning(place, message)
    state.reader.discarded.clear()


def _report_unclosed(state: ParserState) -> None:
    frame = state.frames[-1]
    place = frame.place
    others = len(state.frames) - 1
    message = "this block is never closed" + (f", nor are {others} around it" if others else "")
    # A metric inside a metric shows where the missing brace belongs better than the end of the file does.
    inside = [c for c in frame.context.children.values() if c.is_named("metric") or c.is_named("event_exporter")]
    if inside and is_ours(frame.context):
        first = inside[0]
        message += f"; '{first.key} {first.name}' in line {first.place.line} stands inside it"
    text = f"Error in configuration file {state.main_path}: Missing '}}' (section started at {place.path}:{place.line})"
    state.report.error(place, message, dovecot=text, stage=Stage.END_OF_INPUT)
    state.unclosed += [open_frame.context for open_frame in state.frames]


# What may be shown of a line. A block of another part of Dovecot, or one with an error, shows nothing.


def _as_public(context: Context, statement: Statement, labels: Container[str]) -> Statement:
    """Statement, marked as public if nothing in its line can be a secret.

    Args:
        context: the block around it.
        statement: the statement.
        labels: labels of the groups that are defined.
    """
    if isinstance(statement, Assignment):
        public = _is_public_assignment(context, statement, labels)
    elif isinstance(statement, BlockStart):
        public = _is_public_block(context, statement.key)
    else:
        public = not is_in_secret_list(context)
    if not public:
        return statement
    # A filter may have lines that look like settings, see `looks_like_setting`.
    free = isinstance(statement, Assignment) and resolve_key(context, statement.key) in FREE_TEXTS
    return replace(statement, line=statement.line.as_public(free=free))


def _is_public_setting(context: Context, key: str) -> bool:
    """Whether a line `key = ...` in this block holds no secret."""
    if context.kind in _SKIPPED_KINDS or is_in_secret_list(context):
        return False
    # Names of fields, and versions.
    if context.kind is ContextKind.LIST or (context.kind is ContextKind.ROOT and key in VERSION_SETTINGS):
        return True
    owner, slash, _ = key.partition("/")
    name = resolve_key(context, owner)
    if name in SETTINGS:
        return SETTINGS[name].is_public and (not slash or is_list(name))
    return not slash and (name in BLOCKS or name in PLAIN_BLOCKS or is_public_old_name(context.key, key))


def _public_structure(context: Context, line: LogicalLine) -> LogicalLine:
    """Line that is not a statement, marked as public if only the brace of a block is missing or misplaced."""
    words = line.text.replace("{", " ").replace("}", " ").split()
    if is_in_secret_list(context) or "=" in line.text or len(words) > _MAX_STRUCTURE_WORDS:
        return line
    # What follows the brace may be a setting with its value.
    if "{" in line.text and not line.text.endswith("{"):
        return line
    return line.as_public() if not words or _is_public_block(context, words[0]) else line


def _is_public_assignment(context: Context, statement: Assignment, labels: Container[str]) -> bool:
    if statement.key.startswith("@") and not statement.key_quoted:
        # An unknown label may be a secret that slipped into a line of its own.
        return statement.key[1:] in labels and not is_in_secret_list(context)
    return _is_public_setting(context, statement.key)


def _is_public_block(context: Context, key: str) -> bool:
    if context.kind in _SKIPPED_KINDS or is_in_secret_list(context):
        return False
    name = resolve_key(context, key)
    return (
        name in BLOCKS
        or name in PLAIN_BLOCKS
        or is_list(name)
        or name == "metric_filter"
        or (key in CONNECTION_BLOCKS or key == "group")
    )
