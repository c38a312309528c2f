"""Messages about unknown names and wrong values: Dovecot's text, and what was probably meant.

Rules from Dovecot's configuration language, sections "Short setting names", "After parsing" and "When the stats process
starts".

Inside the blocks of event export an unknown name is an error, unless it looks like a setting of another part of
Dovecot, all of which Dovecot accepts anywhere without effect. Outside, only names that look like misspelled ones of
event export, and those of Dovecot 2.3, are errors; Dovecot would refuse other unknown names too, which is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from dovebeam.transforms.config.blocks import Context, ContextKind, completions, is_list
from dovebeam.transforms.config.known_names import Later, did_you_mean, is_other_part, near_miss
from dovebeam.transforms.config.legacy import (
    OLD_SECTIONS,
    note_selector,
    old_service_setting,
    old_setting,
    old_top_setting,
)
from dovebeam.transforms.config.places import MASK, Place, Report, Stage, at_line, is_name, shown_name
from dovebeam.transforms.config.settings import BLOCKS, PLAIN_BLOCKS, SETTINGS, settings_of
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import Assignment, BlockStart
from dovebeam.transforms.config.written_values import Value
from dovebeam.transforms.drivers.setting import Kind, Setting, ValueTypeError
from dovebeam.transforms.errors import FilterSyntaxError
from dovebeam.transforms.filters import parse_filter
from dovebeam.transforms.formats import FORMAT_NAMES

__all__ = [
    "BRACE_ADVICE",
    "COMMENT_ADVICE",
    "FOREIGN_COMMENT",
    "filter_problem",
    "format_problem",
    "is_ours",
    "report_wrong_value",
    "unknown_block",
    "unknown_setting",
]


BRACE_ADVICE: Final = "a '}' must stand alone in its line"

COMMENT_ADVICE: Final = "comments begin with '#', with a space before it"

FOREIGN_COMMENT = re.compile(r"//|/\*|\*/|--|;|<!--|%%?(?!\{)")
"""Start of a comment in other languages."""

# With spaces around it: `//` also stands in URLs, `--` and `;` in filters and ciphers.
_COMMENT = re.compile(r"(?:^|\s)(?://|/\*|--|;)(?:\s|$)")


def report_wrong_value(
    state: ParserState, setting: Setting, statement: Assignment, value: Value, error: ValueTypeError
) -> None:
    """Report a value that its setting cannot have; as a warning if it is one of a later Dovecot."""
    line, key = statement.line, statement.key
    shown = f"{key}: {value.without_secret(error.message)}"
    # Dovecot does not know the setting, so it has no text about its value.
    if setting.extension:
        state.report.error(value.place, f"{shown}; {error.advice}", suggestion=_suggestion(setting, statement, value))
        return
    reason = state.later.about(value.text, setting.choices) if setting.kind is Kind.ENUM and value.is_public else ""
    if reason:
        dovecot = at_line(line.path, line.number, shown)
        state.report.later(value.place, f"{key}: '{value.text}' {reason}", dovecot=dovecot)
        return
    suggestion = _suggestion(setting, statement, value)
    state.error(line, value.place, shown, message=f"{shown}; {error.advice}", suggestion=suggestion)


def meant_instead(key: str, text: str) -> str:
    """Advice for a value with its own name before it, or a `}` or a comment of another language after it.

    Args:
        key: the setting, as written.
        text: a wrong value, of which nothing is secret.
    """
    # As after copying a whole line behind `filter = `.
    doubled = re.match(rf"(?:\w+_)?{re.escape(key)}\s*=\s*", text)
    if doubled:
        return f"'{key} =' is written twice; write: {key} = {text[doubled.end() :]}"
    if text.endswith("}") and "{" not in text:
        return BRACE_ADVICE
    return COMMENT_ADVICE if _COMMENT.search(text) else ""


def _suggestion(setting: Setting, statement: Assignment, value: Value) -> str:
    if not value.is_public:
        return ""
    return meant_instead(statement.key, value.text) or did_you_mean(near_miss(value.text, setting.choices))


# Unknown names.

_OUR_PREFIXES = ("event_exporter_", "metric_", "http_client_")


def is_ours(context: Context) -> bool:
    """Whether a block belongs to event export, so that everything in it is checked."""
    if context.kind is ContextKind.GROUP:
        return context.key in BLOCKS
    return context.kind in {ContextKind.NAMED, ContextKind.PLAIN, ContextKind.LIST}


def unknown_setting(state: ParserState, context: Context, statement: Assignment, value: str) -> str:
    """Report an assignment whose key event export does not know.

    Returns:
        The full name of the setting that was probably meant, so that nothing else is reported because it is missing,
        or an empty string.
    """
    line, key = statement.line, statement.key
    place = line.place(1 if statement.key_quoted else 0)
    shown = shown_name(key) if state.suggestions_left > 0 or is_name(key) else MASK
    text = f"{shown}: Unknown setting: {shown}{_tried_for_setting(context, shown)}"
    unknown = f"unknown setting '{shown}'"
    if context.kind is ContextKind.FOREIGN:
        _note_old_service_setting(state, context, statement)
        return ""
    if FOREIGN_COMMENT.match(key):
        state.error(line, place, text, message=f"this is not a comment: {COMMENT_ADVICE}")
        return ""
    if not is_ours(context):
        return _unknown_outside(state, context, statement, text, shown)
    old = old_setting(context.key, key, value)
    if old:
        # The setting that replaces it is missing, but that is the same mistake.
        context.reported.add(old.successor)
        state.error(line, place, text, message=old.message, suggestion=old.lines)
        # One suggestion for all selectors of the metric comes at its end.
        if old.terms:
            note_selector(state, context, old.terms)
        return ""
    meant = _meant(state, key, _setting_names(context))
    if not meant and is_other_part(key):
        state.report.warning(place, f"'{shown}' has no effect inside {context.key}")
        return ""
    if not meant and (reason := state.later.about(key, _setting_names(context))):
        state.report_later(context, line, place, text, f"'{shown}' {reason}")
        return ""
    where = f" in {context.key} {context.name}".rstrip()
    suggestion = did_you_mean(meant) or _shorter_than_ours(context, key)
    state.error(line, place, text, message=unknown + where, suggestion=suggestion)
    return next((n for n in completions(context, meant) if n in SETTINGS or n in BLOCKS), "") if meant else ""


def _unknown_outside(state: ParserState, context: Context, statement: Assignment, text: str, shown: str) -> str:
    """`unknown_setting` for assignments outside of event export's blocks."""
    line, key = statement.line, statement.key
    place = line.place(1 if statement.key_quoted else 0)
    unknown = f"unknown setting '{shown}'"
    # In this order, the more certain explanation first.
    old = old_top_setting(key)
    meant = _meant(state, key, SETTINGS) if key.startswith(_OUR_PREFIXES) or not is_other_part(key) else ""
    if old:
        state.error(line, place, text, message=old.message, suggestion=old.lines)
    elif _block_of(key) and not is_other_part(key):
        block = _block_of(key)
        suggestion = f"write it inside a block: {block} NAME {{, or outside as {block}_{key}"
        state.error(line, place, text, message=f"'{key}' stands outside any {block} block", suggestion=suggestion)
    elif key.startswith(_OUR_PREFIXES) and (reason := state.later.about(key, SETTINGS)):
        state.report_later(context, line, place, text, f"'{shown}' {reason}; it has no effect")
    elif meant or key.startswith(_OUR_PREFIXES):
        state.error(line, place, text, message=unknown, suggestion=did_you_mean(meant))
    elif not is_other_part(key):
        state.note(line, place, text, message=f"{unknown}; Dovecot would refuse it, event export doesn't need it")
    return meant


def _note_old_service_setting(state: ParserState, context: Context, statement: Assignment) -> None:
    """Warn about 2.3 names in `service stats`, without which nothing is exported; other services are not checked."""
    line, key = statement.line, statement.key
    # A 2.3 name here stops Dovecot, so nothing would be exported; a warning, since event export does not read it.
    new = old_service_setting(context.key, key)
    if not new or not any((layer.key, layer.name) == ("service", "stats") for layer in context.enclosing()):
        return
    tried = f"{context.key}_{key}" + (f" or {context.key}_{context.name}_{key}" if context.name else "")
    text = f"{key}: Unknown setting: {key} ({tried} not found either.)"
    state.note(
        line, line.place(0), text, message=f"'{key}' of Dovecot 2.3 is now '{new}'; Dovecot does not start with it"
    )


def unknown_block(state: ParserState, context: Context, statement: BlockStart) -> str | None:
    """Report a block whose keyword event export does not know.

    Returns:
        The full name of the block that was probably meant; an empty string if there is none, `None` if the block
        belongs to another part of Dovecot and is to be skipped.
    """
    line, key = statement.line, statement.key
    place = line.place(0)
    shown = shown_name(key) if state.suggestions_left > 0 or is_name(key) else MASK
    text = f"Unknown section name: {shown}{_tried_for_block(context, shown)}"
    if context.kind is ContextKind.FOREIGN:
        return None
    if FOREIGN_COMMENT.match(key):
        state.error(line, place, text, message=f"this is not a comment: {COMMENT_ADVICE}")
        return ""
    if not is_ours(context):
        meant = _meant(state, key, (*BLOCKS, *PLAIN_BLOCKS))
        if key in OLD_SECTIONS:
            state.error(line, place, text, message=OLD_SECTIONS[key])
            return ""
        if is_other_part(key):
            return None
        if _block_of(key):
            message = f"a '{key}' block must stand inside a {_block_of(key)} block"
            state.error(line, place, text, message=message)
            return ""
        if meant:
            state.error(line, place, text, message=f"unknown block '{shown}'", suggestion=did_you_mean(meant))
            return meant
        state.note(
            line, place, text, message=f"unknown block '{shown}'; Dovecot would refuse it, event export doesn't need it"
        )
        return None
    meant = _meant(state, key, _block_names(context))
    if not meant and is_other_part(key):
        state.report.warning(place, f"a '{shown}' block has no effect inside {context.key}")
        return None
    if not meant and (reason := state.later.about(key, _block_names(context))):
        state.report_later(context, line, place, text, f"the block '{shown}' {reason}")
        return ""
    where = f" in {context.key} {context.name}".rstrip()
    state.error(line, place, text, message=f"unknown block '{shown}'{where}", suggestion=did_you_mean(meant))
    return next((n for n in completions(context, meant) if n in BLOCKS or n in SETTINGS or n in PLAIN_BLOCKS), "")


def _meant(state: ParserState, key: str, known: Iterable[str]) -> str:
    # Bounds the work for a file that is not a configuration at all.
    state.suggestions_left -= 1
    return near_miss(key, known) if state.suggestions_left >= 0 else ""


def _tried_for_setting(context: Context, key: str) -> str:
    if not is_ours(context):
        return ""
    name = context.name.replace("/", "_")
    tried = f"{context.key}_{key}" + (f" or {context.key}_{name}_{key}" if context.kind is ContextKind.NAMED else "")
    return f" ({tried} not found either.{_dovecot_hint(context, key)})"


def _dovecot_hint(context: Context, key: str) -> str:
    start, end = f"{context.key}_", f"_{key}"
    names = [name for name, row in SETTINGS.items() if not row.extension] + list(BLOCKS)
    found = [n for n in names if n.startswith(start) and n.endswith(end) and len(n) > len(start) + len(end)]
    # For all names that end alike this happens to be the order of Dovecot's own table.
    found.sort(reverse=True)
    if not found or not key:
        return ""
    return f" Did you mean {found[0]}?" if len(found) == 1 else f" Did you mean one of: {', '.join(found)}?"


def _tried_for_block(context: Context, key: str) -> str:
    if not is_ours(context):
        return ""
    name = context.name.replace("/", "_")
    tried = (f"{context.key}_{name}_{key}, " if context.kind is ContextKind.NAMED else "") + f"{context.key}_{key}"
    return f" ({tried} not found either.)"


def _setting_names(context: Context) -> Iterator[str]:
    """Short and full names that have an effect in a block of event export."""
    block = "event_exporter" if context.kind is ContextKind.PLAIN else context.key
    prefixes = [f"{context.key}_"]
    if context.kind is ContextKind.NAMED:
        prefixes.insert(0, f"{context.key}_{context.name.replace('/', '_')}_")
    for row in settings_of(block):
        yield from (row.name.removeprefix(prefix) for prefix in prefixes if row.name.startswith(prefix))
        yield row.name
    yield from (name.removeprefix(f"{block}_") for name in BLOCKS if name.startswith(f"{block}_"))


def _block_names(context: Context) -> Iterator[str]:
    inner = [name for name in BLOCKS if name.startswith(f"{context.key}_")]
    inner += [row.name for row in settings_of(context.key) if is_list(row.name)] if context.key in BLOCKS else []
    for name in inner:
        yield name.removeprefix(f"{context.key}_")
        yield name
    if context.key == "event_exporter":
        yield from PLAIN_BLOCKS


def _block_of(key: str) -> str:
    """Block in which a short name exists, an empty string if none has it."""
    for block in BLOCKS:
        name = f"{block}_{key}"
        if name in BLOCKS or (name in SETTINGS and SETTINGS[name] in settings_of(block)):
            return block
    return ""


def _shorter_than_ours(context: Context, key: str) -> str:
    """Suggestion for a key that lacks the start of a known name, such as `request_timeout`."""
    block = context.key if context.key in BLOCKS else "event_exporter"
    found = [row.name for row in settings_of(block) if row.name.endswith(f"_{key}")] if key else []
    short = [name.removeprefix(f"{block}_") for name in found[:3]]
    return f"did you mean {' or '.join(repr(name) for name in short)}?" if short else ""


# Filters and formats.

_MAX_SHOWN_CHARS = 200


def filter_problem(
    report: Report, value: Value, text: str, metric: str, *, before: str, public: bool, stage: Stage = Stage.CHECK
) -> None:
    """Report a filter that is empty or does not parse, or whose last quote is never closed.

    Args:
        report: gets the problem.
        value: the filter's assignment, for places.
        text: the filter with everything expanded.
        metric: the name of the metric.
        before: start of Dovecot's message.
        public: whether the expanded text is known to hold no secret.
        stage: the step in which Dovecot checks it.
    """
    if not text:
        message = f"metric {metric} {{ filter }} is empty - will not match anything"
        ours = (
            f"metric {metric}: the filter is empty and matches nothing; write for example: event=imap_command_finished"
        )
        report.error(value.place, ours, dovecot=before + message, stage=stage)
        return
    # Only then an offset in the text is one in the file.
    same = text == value.text
    try:
        parsed = parse_filter(text)
    except FilterSyntaxError as error:
        place = value.place_at(error.offset) if same else value.place
        reason = error.message.removeprefix("event filter: ")
        shown = "" if same else f" in: {text[:_MAX_SHOWN_CHARS]}"
        if not public:
            shown = "" if same else ", after its variables are replaced"
        # Hints quote pieces of the filter.
        hint = (meant_instead("filter", text) or error.hint) if public else ""
        message = f"metric {metric}: filter: {reason}{shown}"
        report.error(place, message, dovecot=before + error.message, suggestion=hint, stage=stage)
        return
    # Dovecot accepts it silently.
    if parsed.unterminated is not None:
        place = value.place_at(parsed.unterminated) if same else value.place
        message = f"metric {metric}: filter: this quote is never closed; Dovecot ignores it and all that follows"
        report.warning(place, message)


def format_problem(
    report: Report,
    place: Place,
    text: str,
    *,
    before: str,
    public: bool,
    later: Later,
    stage: Stage = Stage.CHECK,
) -> None:
    """Report a format that is missing or unknown.

    `later` is the policy for those of a later Dovecot; the other arguments are as in `filter_problem`.
    """
    known = ", ".join(FORMAT_NAMES)
    if not text:
        message = f"the exporter has no format; add to its block: format = json (or another of {known})"
        report.error(place, message, dovecot=f"{before}Exporter format name can't be empty", stage=stage)
    elif text not in FORMAT_NAMES and public and (reason := later.about(text, FORMAT_NAMES)):
        report.later(
            place, f"format: '{text}' {reason}", dovecot=f"{before}Unknown exporter format '{text}'", stage=stage
        )
    elif text not in FORMAT_NAMES:
        shown = text if public else MASK
        message = f"unknown format '{shown}'; use one of: {known}"
        suggestion = meant_instead("format", text) if public else ""
        suggestion = suggestion or did_you_mean(near_miss(text, FORMAT_NAMES))
        dovecot = f"{before}Unknown exporter format '{shown}'"
        report.error(place, message, dovecot=dovecot, suggestion=suggestion, stage=stage)
