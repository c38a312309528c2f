"""What became a part of a value and was hardly meant to: lines behind a backslash, and a `}` in the line of a value.

Dovecot accepts them without a word. A setting that got lost like this is an error here: it would be missing, and its
value, perhaps a secret, would be a part of a path or of a field's name.
"""

from __future__ import annotations

from dovebeam.transforms.config.disclosure import FREE_TEXTS, looks_like_setting, shown_name, start_of
from dovebeam.transforms.config.state import Brace, ParserState
from dovebeam.transforms.config.statements import Assignment, ValueKind
from dovebeam.transforms.drivers.setting import Setting

__all__ = ["note_brace", "report_swallowed_setting", "warn_about_swallowed_brace"]


def warn_about_swallowed_brace(state: ParserState, statement: Assignment) -> None:
    """Tell that a brace closes no block."""
    if _is_behind_backslash(statement):
        message = "the line before ends with a backslash, so this '}' is a part of the value and closes no block"
        state.report.warning(statement.line.marks[-1][1], message)


def _is_behind_backslash(statement: Assignment) -> bool:
    """Whether the last line of a value is a brace alone."""
    offset, _ = statement.line.marks[-1]
    return bool(offset) and statement.line.text[offset:] == "}"


def note_brace(state: ParserState, setting: str, statement: Assignment, *, told: bool) -> None:
    """Remember a value that ends with a `}`: Dovecot takes that for a part of the value."""
    text = statement.text
    if not state.frames or statement.kind is not ValueKind.LITERAL or _is_behind_backslash(statement):
        return
    if text.endswith("}") and "{" not in text:
        place = statement.line.place(statement.value_at + len(text) - 1)
        state.frames[-1].braces.append(Brace(place, setting, told))


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
