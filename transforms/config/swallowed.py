"""Lines that a backslash at the end of the line before has made a part of a value, and that were hardly meant to be.

Dovecot accepts them without a word. A setting that got lost like this is an error here: it would be missing, and its
value, perhaps a secret, would be a part of a path or of a field's name.
"""

from __future__ import annotations

from dovebeam.transforms.config.disclosure import FREE_TEXTS, looks_like_setting, shown_name, start_of
from dovebeam.transforms.config.setting import Setting
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import Assignment

__all__ = ["report_swallowed_setting", "warn_about_swallowed_brace"]


def warn_about_swallowed_brace(state: ParserState, statement: Assignment) -> None:
    """Tell that a brace closes no block."""
    line = statement.line
    offset, place = line.marks[-1]
    if offset and line.text[offset:] == "}":
        message = "the line before ends with a backslash, so this '}' is a part of the value and closes no block"
        state.report.warning(place, message)


def report_swallowed_setting(state: ParserState, setting: Setting, statement: Assignment) -> None:
    """Refuse a value of ours that holds a line with another setting."""
    for _, place in statement.line.marks[1:]:
        if not looks_like_setting(place.source, free=setting.name in FREE_TEXTS):
            continue
        name = shown_name(start_of(place.source))
        message = (
            f"the line before ends with a backslash, so '{name} = ...' is a part of the value of '{statement.key}' and "
            "sets nothing; remove the backslash"
        )
        state.report.error(place, message)
        return
