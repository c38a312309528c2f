"""Values that are not of their setting's type: Dovecot's message, and what was probably meant."""

from __future__ import annotations

import re

from dovebeam.transforms.config.hints import did_you_mean, near_miss
from dovebeam.transforms.config.places import at_line
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import Assignment
from dovebeam.transforms.config.written_values import Value
from dovebeam.transforms.drivers.kinds import Kind, ValueTypeError
from dovebeam.transforms.drivers.setting import Setting

__all__ = ["ALONE", "COMMENTS", "OTHER_COMMENT", "meant_instead", "report_wrong_value"]

ALONE = "a '}' must stand alone in its line"

COMMENTS = "comments begin with '#', with a space before it"

OTHER_COMMENT = re.compile(r"//|/\*|\*/|--|;|<!--|%%?(?!\{)")
"""How comments of other languages start."""

_COMMENT = re.compile(r"(?:^|\s)(?://|/\*|--|;)(?:\s|$)")


def report_wrong_value(
    state: ParserState, setting: Setting, statement: Assignment, value: Value, error: ValueTypeError
) -> None:
    """Report a value that its setting cannot have, unless a later Dovecot has it."""
    line, key = statement.line, statement.key
    shown = f"{key}: {value.without_secret(error.message)}"
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
    """What a value was meant to be that has its own name before it, or a `}` or another language's comment behind it.

    Args:
        key: the setting, as written.
        text: a value that is wrong, and that may be shown.
    """
    doubled = re.match(rf"(?:\w+_)?{re.escape(key)}\s*=\s*", text)
    if doubled:
        return f"'{key} =' stands there twice; write: {key} = {text[doubled.end() :]}"
    if text.endswith("}") and "{" not in text:
        return ALONE
    return COMMENTS if _COMMENT.search(text) else ""


def _suggestion(setting: Setting, statement: Assignment, value: Value) -> str:
    if not value.is_public:
        return ""
    return meant_instead(statement.key, value.text) or did_you_mean(near_miss(value.text, setting.choices))
