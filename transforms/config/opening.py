"""Opening and closing blocks: which context a `{` enters, and what must hold at its `}`.

Rules from Dovecot's configuration language, section "Blocks".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dovebeam.transforms.config.blocks import Context, ContextKind, is_list, resolve_key
from dovebeam.transforms.config.disclosure import shown_name
from dovebeam.transforms.config.foreign import CONNECTION_BLOCKS
from dovebeam.transforms.config.mistakes import unknown_block
from dovebeam.transforms.config.old_selectors import note_selector, suggest_filter
from dovebeam.transforms.config.places import Stage
from dovebeam.transforms.config.reader import LogicalLine
from dovebeam.transforms.config.settings import BLOCKS, METHOD_NAMES, PLAIN_BLOCKS
from dovebeam.transforms.config.state import MAX_DEPTH, Brace, Frame, ParserState
from dovebeam.transforms.config.statements import BlockStart, GroupStart
from dovebeam.transforms.config.wrong_values import ALONE

__all__ = ["close_block", "close_swallowed", "open_block", "open_broken", "open_group"]

_OUTER_BLOCKS: Final = frozenset({"event_exporter", "metric"})


def open_block(state: ParserState, statement: BlockStart) -> None:
    """Enter the block that a statement opens, whatever is wrong with it."""
    if resolve_key(state.context, statement.key) in _OUTER_BLOCKS:
        close_swallowed(state)
    context, line, key = state.context, statement.line, statement.key
    if len(state.frames) == MAX_DEPTH and context.kind is not ContextKind.BROKEN:
        message = f"blocks are nested more than {MAX_DEPTH} deep; what is inside this one is not read"
        state.report.error(line.place(0), message)
        open_broken(state, line)
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
    """The context of a block of ours, `None` if it can't be opened like this, which is reported."""
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
    if title.startswith("__"):
        text = (
            f"Failed to set {name}={title} for struct {BLOCKS[name]}: "
            f"Named list filter name must not begin with '__': {title}"
        )
        state.error(line, at, text, message="a block's name must not start with '__'")
        return state.detached(context, ContextKind.NAMED, name, title, line.place(0))
    if name == "metric_group_by_method" and title not in METHOD_NAMES:
        text = (
            "BUG: Invalid setting definitions: Failed to set metric_group_by_method_method="
            f"{title} for struct stats_metric_group_by: Invalid value: {title}"
        )
        message = f"unknown method '{title}'; there are {', '.join(METHOD_NAMES)}. Dovecot aborts here"
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
    """Leave the innermost block; a metric must have its filter by now."""
    if not state.frames:
        message = "there is no open block that this '}' could close"
        state.error(line, line.place(0), "Unexpected '}'", message=message)
        return
    frame = state.frames.pop()
    if state.frames:  # this '}' may have been meant to close the enclosing block
        state.frames[-1].braces.extend(frame.braces)
    context = frame.context
    if not context.is_named("metric"):
        return
    suggest_filter(state, context)
    given = [context, *context.inherited]
    if context.excused or any("metric_filter" in layer.scalars or "metric_filter" in layer.told for layer in given):
        return
    text = "Named filter metric is required to have metric_filter setting, but it is missing"
    message = f"metric {context.name} has no filter; add for example: filter = event=imap_command_finished"
    state.error(line, frame.place, text, message=message)


def close_swallowed(state: ParserState) -> None:
    """Leave the blocks that a `}` in the line of a value was meant to close, as what follows shows."""
    while state.frames and state.frames[-1].braces:
        frame = state.frames.pop()
        brace = frame.braces[-1]
        if not brace.told:
            _report_swallowed(state, frame, brace)


def _report_swallowed(state: ParserState, frame: Frame, brace: Brace) -> None:
    """Report a `}` that is a part of a value, and read on as if it had stood in a line of its own."""
    start = frame.place
    text = f"Error in configuration file {state.main_path}: Missing '}}' (section started at {start.path}:{start.line})"
    message = f"{ALONE}; this one is a part of the value and closes no block"
    state.report.error(brace.place, message, dovecot=text, stage=Stage.END_OF_INPUT)
    assigned = frame.context.scalars.get(brace.setting)
    if assigned is not None:
        value = replace(assigned.value, text=assigned.value.text.rstrip("} "))
        frame.context.scalars[brace.setting] = replace(assigned, value=value)


def open_broken(state: ParserState, line: LogicalLine) -> None:
    """Enter a block about which nothing is known but that it needs a `}`."""
    _push(state, line, state.detached(state.context, ContextKind.BROKEN, "", "", line.place(0)))
