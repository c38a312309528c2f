"""Opening and closing of blocks, recovery after lines that are not statements, and braces inside values.

Rules from Dovecot's configuration language, section "Blocks". After a mistake, reading goes on with the blocks that
were probably meant, so that one mistake is one error and not a whole cascade of them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from dovebeam.transforms.config.blocks import Context, ContextKind, is_list, resolve_key
from dovebeam.transforms.config.known_names import CONNECTION_BLOCKS
from dovebeam.transforms.config.legacy import assume_version, note_selector, suggest_filter
from dovebeam.transforms.config.mistakes import BRACE_ADVICE, COMMENT_ADVICE, FOREIGN_COMMENT, unknown_block
from dovebeam.transforms.config.places import FREE_TEXTS, Stage, looks_like_setting, shown_name, start_of
from dovebeam.transforms.config.reader import LogicalLine
from dovebeam.transforms.config.settings import BLOCKS, METHOD_NAMES, PLAIN_BLOCKS
from dovebeam.transforms.config.state import MAX_DEPTH, Brace, Frame, ParserState
from dovebeam.transforms.config.statements import Assignment, BlockStart, GroupStart, StatementError, ValueKind
from dovebeam.transforms.drivers.setting import Setting

__all__ = [
    "close_block",
    "close_swallowed",
    "note_brace",
    "open_block",
    "open_group",
    "recover",
    "report_swallowed_setting",
    "warn_about_swallowed_brace",
]


_OUTER_BLOCKS: Final = frozenset({"event_exporter", "metric"})


def open_block(state: ParserState, statement: BlockStart) -> None:
    """Enter the block that a statement opens, even if it has an error, so that its `}` finds it."""
    # These blocks stand at the top level: a `}` at the end of a value before was meant to close the open one.
    if resolve_key(state.context, statement.key) in _OUTER_BLOCKS:
        close_swallowed(state)
    context, line, key = state.context, statement.line, statement.key
    # Once only: inside the broken block the limit is not looked at again.
    if len(state.frames) == MAX_DEPTH and context.kind is not ContextKind.BROKEN:
        message = f"blocks are nested more than {MAX_DEPTH} deep; what is inside this one is not read"
        state.report.error(line.place(0), message)
        _open_broken(state, line)
        return
    if context.kind is ContextKind.BROKEN:
        _push(state, line, state.detached(context, ContextKind.BROKEN, key, "", line.place(0)))
        return
    name = resolve_key(context, key)
    if not name and key in CONNECTION_BLOCKS:
        _open_connection(state, statement)
        return
    if not name:
        meant = "" if context.kind is ContextKind.LIST and _report_in_list(state, statement) else None
        meant = unknown_block(state, context, statement) if meant is None else meant
        if meant is None:
            _push(state, line, state.child(context, ContextKind.FOREIGN, key, statement.name or "", line.place(0)))
            return
        name = meant
    made = _open_known(state, context, name, statement) if name else None
    _push(state, line, made or state.detached(context, ContextKind.BROKEN, key, "", line.place(0)))


def _open_known(state: ParserState, context: Context, name: str, statement: BlockStart) -> Context | None:
    """Context of a block of event export; `None` if it can't be opened like this, which is reported."""
    line, place, title = statement.line, statement.line.place(0), statement.name
    if name in BLOCKS:
        return _open_named(state, context, name, statement)
    if name in PLAIN_BLOCKS:
        if title is not None:
            text = f"{name} {{ }} must not have a section name"
            state.error(line, line.place(statement.name_at), text, message=f"the block '{name}' has no name")
        return state.child(context, ContextKind.PLAIN, name, "", place)
    if is_list(name):
        if title is not None:
            text = f"Setting {name} cannot have a value for the section"
            state.error(line, line.place(statement.name_at), text, message=f"the list '{name}' has no name")
        made = state.detached(context, ContextKind.LIST, name, "", place)
        made.list_of = (name, context)
        return made
    text = f"Setting {name} cannot be used as a section"
    if name != "metric_filter":
        state.error(line, place, text, message=f"'{statement.key}' is a setting, not a block")
        return None
    suggestion = 'write instead: filter = KEY="VALUE" AND KEY="VALUE"'
    message = f"'{statement.key}' is a setting, not a block as in Dovecot 2.3"
    state.error(line, place, text, message=message, suggestion=suggestion)
    # The comparisons in the block are collected, and the closing brace of the metric suggests them as one filter.
    note_selector(state, context)
    made = state.detached(context, ContextKind.BROKEN, name, "", place)
    made.list_of = (name, context)
    return made


def _open_named(state: ParserState, context: Context, name: str, statement: BlockStart) -> Context | None:
    line, title = statement.line, statement.name
    if title is None:
        text = f"{name} {{ }} is missing section name"
        state.error(
            line, line.place(statement.name_at), text, message=f"the block needs a name: {statement.key} NAME {{"
        )
        return state.detached(context, ContextKind.BROKEN, name, "", line.place(0))
    at = line.place(statement.name_at)
    # Detached: Dovecot does not create the block, but what is inside is still checked.
    if title.startswith("__"):
        text = (
            f"Failed to set {name}={title} for struct {BLOCKS[name]}: "
            f"Named list filter name must not begin with '__': {title}"
        )
        state.error(line, at, text, message="a block's name must not start with '__'")
        return state.detached(context, ContextKind.NAMED, name, title, line.place(0))
    # Dovecot panics here, and its text is one for developers; the message says it plainly.
    if name == "metric_group_by_method" and title not in METHOD_NAMES:
        text = (
            "BUG: Invalid setting definitions: Failed to set metric_group_by_method_method="
            f"{title} for struct stats_metric_group_by: Invalid value: {title}"
        )
        message = f"unknown method '{title}', with which Dovecot aborts; use one of: {', '.join(METHOD_NAMES)}"
        state.report.error(at, message, dovecot=text)
        return state.detached(context, ContextKind.BROKEN, name, title, line.place(0))
    return state.child(context, ContextKind.NAMED, name, title, line.place(0))


def _open_connection(state: ParserState, statement: BlockStart) -> None:
    context, line, key = state.context, statement.line, statement.key
    kind = ContextKind.CONNECTION
    if context.kind is ContextKind.NAMED:
        block = context.key
        text = f"{block} {{ {key} {{ .. }} }} not allowed (use {key} {{ {block} {{ .. }} }} instead)"
        state.error(line, line.place(0), text, message=f"'{key}' can't stand inside {block}; put {block} inside {key}")
        kind = ContextKind.BROKEN
    # Inside a block of another part of Dovecot it means nothing to event export.
    elif context.kind not in {ContextKind.ROOT, ContextKind.CONNECTION}:
        kind = ContextKind.FOREIGN
    _push(state, line, state.child(context, kind, key, statement.name or "", line.place(0)))


def _report_in_list(state: ParserState, statement: BlockStart) -> bool:
    line = statement.line
    text = f"Unknown section name: {shown_name(statement.key)}"
    state.error(line, line.place(0), text, message="a list has lines 'NAME = yes' or 'NAME = no' and no blocks")
    return True


def open_group(state: ParserState, statement: GroupStart) -> None:
    """Enter the definition of a group."""
    close_swallowed(state)
    context, line = state.context, statement.line
    if context.kind is not ContextKind.ROOT:
        if context.kind is not ContextKind.BROKEN:
            text = "groups must defined at top-level, not under filters"
            state.error(line, line.place(0), text, message="a group can only be defined at the top level")
        _push(state, line, state.detached(context, ContextKind.BROKEN, "group", "", line.place(0)))
        return
    group = state.groups.get((statement.label, statement.name))
    if group is None:
        group = state.detached(context, ContextKind.GROUP, statement.label, statement.name, line.place(0))
        state.groups[statement.label, statement.name] = group
    _push(state, line, group)


def _push(state: ParserState, line: LogicalLine, context: Context) -> None:
    state.frames.append(Frame(context, line.place(0)))


def close_block(state: ParserState, line: LogicalLine) -> None:
    """Leave the innermost block; a metric without a filter is reported here, as in Dovecot."""
    if not state.frames:
        message = "there is no open block that this '}' could close"
        state.error(line, line.place(0), "Unexpected '}'", message=message)
        return
    frame = state.frames.pop()
    # This '}' may have been meant to close the enclosing block.
    if state.frames:
        state.frames[-1].braces.extend(frame.braces)
    context = frame.context
    if not context.is_named("metric"):
        return
    suggest_filter(state, context)
    # As in Dovecot: a group included into the metric does not count, one that brings in the whole metric does.
    given = [context, *context.inherited]
    if context.excused or any("metric_filter" in layer.scalars or "metric_filter" in layer.reported for layer in given):
        return
    text = "Named filter metric is required to have metric_filter setting, but it is missing"
    message = f"metric {context.name} has no filter; add for example: filter = event=imap_command_finished"
    state.error(line, frame.place, text, message=message)


def close_swallowed(state: ParserState) -> None:
    """Leave the blocks that a `}` at the end of a value was meant to close, as the next block shows."""
    while state.frames and state.frames[-1].braces:
        frame = state.frames.pop()
        brace = frame.braces[-1]
        if not brace.reported:
            _report_swallowed(state, frame, brace)


def _report_swallowed(state: ParserState, frame: Frame, brace: Brace) -> None:
    """Report a `}` that is a part of a value, and go on as if it had stood on a line of its own."""
    start = frame.place
    text = f"Error in configuration file {state.main_path}: Missing '}}' (section started at {start.path}:{start.line})"
    message = f"{BRACE_ADVICE}; this one is a part of the value and closes no block"
    state.report.error(brace.place, message, dovecot=text, stage=Stage.END_OF_INPUT)
    assigned = frame.context.scalars.get(brace.setting)
    if assigned is not None:
        # Without the brace, so that its value causes no second error.
        value = replace(assigned.value, text=assigned.value.text.rstrip("} "))
        frame.context.scalars[brace.setting] = replace(assigned, value=value)


def _open_broken(state: ParserState, line: LogicalLine) -> None:
    """Enter a block of which nothing is known, so that its `}` finds it."""
    _push(state, line, state.detached(state.context, ContextKind.BROKEN, "", "", line.place(0)))


# Recovery after a line that is not a statement: the usual mistakes with braces, and what was meant.

_HEADER_WITHOUT_BRACE: Final = "\n"
"""Result of `recover` for a line that has all of a block's start but the brace."""

_ONLY_CLOSING = re.compile(r"[}\s]+\Z")


def recover(state: ParserState, line: LogicalLine, error: StatementError, previous: str) -> str:
    """Report a line that is not a statement, and open or close the blocks that were probably meant.

    Args:
        state: the parser's.
        line: the line.
        error: why it is not a statement.
        previous: result of this function for the line before, an empty string if that was a statement.
    """
    text = line.text
    state.started, first = True, not state.started
    words = text.replace("{", " { ").split()
    # A brace on a line of its own, as in C: the line before is reported and has opened the block already.
    if text == "{" and previous == _HEADER_WITHOUT_BRACE:
        return ""
    if text == "{" and previous and not previous.endswith(("{", "}")):
        _open_again(state, line, previous)
        return text
    if state.context.kind is not ContextKind.BROKEN:
        state.error(line, line.place(error.offset), error.message, message=_explain(text, error.message))
    if first:
        assume_version(state)
    if FOREIGN_COMMENT.match(text):
        return ""
    if _ONLY_CLOSING.match(text):
        # `} }` and `}}` are errors in Dovecot; here they close what they were meant to close.
        for _ in range(min(text.count("}"), len(state.frames))):
            close_block(state, line)
        return text
    if text.startswith("}") and state.frames:
        close_block(state, line)
        words = words[1:]
    if text.endswith("{") and words:
        _open_again(state, line, " ".join(words[:-1]))
    # Only names of event export: a stray word must not open a block that swallows the rest of the file.
    elif "{" not in text and "=" not in text and _is_header(state, words):
        _open_again(state, line, text)
        return _HEADER_WITHOUT_BRACE
    return text


def _is_header(state: ParserState, words: list[str]) -> bool:
    """Whether a line would open a block of event export if it had its brace."""
    name = resolve_key(state.context, words[0]) if words else ""
    return (name in BLOCKS and len(words) == 2) or ((name in PLAIN_BLOCKS or is_list(name)) and len(words) == 1)


def _open_again(state: ParserState, line: LogicalLine, header: str) -> None:
    """Open the block that `header` names, although its line has an error."""
    words = header.split()
    if 1 <= len(words) <= 2 and words[0] not in {"group", "}"} and "=" not in words[0]:
        open_block(state, BlockStart(line, words[0].strip("\"'"), words[1].strip("\"'") if words[1:] else None, 0))
        return
    _open_broken(state, line)


def _explain(text: str, message: str) -> str:
    if FOREIGN_COMMENT.match(text):
        return f"this is not a comment: {COMMENT_ADVICE}"
    if message == "Garbage after '{'":
        return "nothing may follow '{' in its line; write the contents of the block on lines of their own"
    if message == "Expecting group name":
        return "a group is defined with: group @LABEL NAME {"
    if message.startswith("Unknown escape sequence"):
        return f'{message}; in quotes only \\\\ and \\" exist'
    # After the more precise cases, for an apostrophe may stand in any line.
    if "'" in text:
        return "a name with spaces needs double quotes; single quotes mean nothing here"
    if text.startswith("}"):
        return BRACE_ADVICE
    if text.endswith("{"):
        return "'{' must follow the keyword and one name, with a space before it: KEYWORD NAME {"
    return "this is neither 'NAME = VALUE' nor 'KEYWORD NAME {'; a '{' must stand at the end of the same line"


# Parts of values that are probably mistakes: lines after a backslash, and a `}` at the end of a value. Dovecot
# accepts both silently. A setting that is lost like this is an error here: it would be missing, and its value, perhaps
# a secret, would be a part of a path or of a field's name.


def warn_about_swallowed_brace(state: ParserState, statement: Assignment) -> None:
    """Warn about a brace that closes no block because the line before ends with a backslash."""
    if _is_behind_backslash(statement):
        message = "the line before ends with a backslash, so this '}' is a part of the value and closes no block"
        state.report.warning(statement.line.marks[-1][1], message)


def _is_behind_backslash(statement: Assignment) -> bool:
    """Whether the last line of a value is a brace alone."""
    offset, _ = statement.line.marks[-1]
    return bool(offset) and statement.line.text[offset:] == "}"


def note_brace(state: ParserState, setting: str, statement: Assignment, *, reported: bool) -> None:
    """Remember a value that ends with a `}`, which is a part of the value in Dovecot."""
    text = statement.text
    if not state.frames or statement.kind is not ValueKind.LITERAL or _is_behind_backslash(statement):
        return
    # With a `{` the value is probably meant to have both, as in a URI template.
    if text.endswith("}") and "{" not in text:
        place = statement.line.place(statement.value_at + len(text) - 1)
        state.frames[-1].braces.append(Brace(place, setting, reported))


def report_swallowed_setting(state: ParserState, setting: Setting, statement: Assignment) -> None:
    """Report a value of event export that has swallowed a line with another setting."""
    # The first physical line is the setting itself.
    for _, place in statement.line.marks[1:]:
        if not looks_like_setting(place.source, free=setting.name in FREE_TEXTS):
            continue
        name = shown_name(start_of(place.source))
        message = (
            f"the line before ends with a backslash, so '{name} = ...' is a part of the value of '{statement.key}' and "
            "has no effect; remove the backslash"
        )
        state.report.error(place, message)
        return
