"""Probable causes of lines that are not exported events, each with the command that gets the events out.

Shippers and log daemons wrap events (`{"message": "<event>"}`), nest them under a key, put a prefix before them,
pretty-print them or lose the tabs of tab-text. Only lines that failed to decode come here, so this may take its time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from dovebeam.transforms.codecs.lines import LOST_TAB
from dovebeam.transforms.errors import DecodeError

__all__ = ["has_lost_part", "with_json_cause", "with_tab_cause"]


# No event is so long, and a cause is found by decoding the line again, perhaps many times.
_MAX_LINE_BYTES: Final = 1024 * 1024

# tab-text.

_LOST_PART: Final = re.compile(rb"(?:#0?11|\\t|\\x09|\\011|\^I|%09|<TAB>|\s)(?:field|category|start_time|end_time):")
_MAX_PREFIX_BYTES: Final = 1024
_BEHIND_PREFIX: Final = re.compile(rb"\s(event|hostname|start_time):")
_SED_SPECIAL: Final = re.compile(r"[\\^]")


def with_tab_cause(error: DecodeError, line: bytes) -> DecodeError:
    """The error of a line read as tab-text, with its probable cause if one is found."""
    cause = tab_cause(line)
    return DecodeError(f"{error.reason}; {cause}", error.offset) if cause else error


def has_lost_part(line: bytes) -> bool:
    """Whether a line of one part looks like several whose tabs were lost."""
    return _LOST_PART.search(line) is not None


def tab_cause(line: bytes) -> str:
    """Probable cause why a line, read as tab-text, is not an event, and the repair; empty if none is known."""
    if len(line) > _MAX_LINE_BYTES:
        return ""
    if line.lstrip().startswith((b"{", b"[")):
        return "the line seems to be JSON (--input_format json)"
    if b"\t" in line:
        return prefix_cause(line)
    return _lost_tabs(line.decode("utf-8", "surrogateescape"))


def prefix_cause(line: bytes) -> str:
    """Cause for a tab-text line with something before the event, as a log daemon writes it; empty for others."""
    found = _BEHIND_PREFIX.search(line, 0, _MAX_PREFIX_BYTES)
    if found is None or b"\t" not in line[found.end() :]:
        return ""
    kind = found[1].decode()
    return f"{found.start(1)} bytes stand before the event, such as a syslog prefix: sed 's/^.* {kind}:/{kind}:/'"


def _lost_tabs(line: str) -> str:
    """Cause for a line whose tabs were replaced, with what stands in their place; empty for others."""
    found = LOST_TAB.search(line, line.find(":") + 1)
    if found is None:
        return ""
    instead = found[1] or found[2] or ""
    if not instead.strip():
        what = "blanks stand" if instead else "nothing stands"
        return f"its tabs were lost on the way, {what} in their place: keep them, or export with format = json"
    # rsyslog writes control characters as # and three octal digits unless it is told otherwise, so a tab is #011.
    escaped = _SED_SPECIAL.sub(r"\\\g<0>", instead)
    return (
        f"its tabs were lost on the way, {instead} stands in their place: sed 's/{escaped}/\\t/g' "
        '(rsyslog keeps tabs with global(parser.escapeControlCharactersOnReceive="off"))'
    )


# JSON.

_EVENT_MEMBERS: Final = ("event", "hostname", "start_time", "end_time", "categories", "fields")

# Shippers nest an event two or three levels deep; a hostile line has a bound.
_MAX_DEPTH: Final = 5
_MAX_PLACES: Final = 200
_MAX_SHOWN: Final = 5
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A line of a pretty-printed event.
_MEMBER_LINE: Final = re.compile(
    rb'"(?:%s)"\s*:\s*(?:[{\[]|"[^"]*",?|[0-9.]+,?)' % b"|".join(name.encode() for name in _EVENT_MEMBERS)
)
_BRACKETS: Final = frozenset(b"{}[],")
_TAB_PART: Final = re.compile(r"(?:event|hostname|start_time|end_time|category|field):")
_MAX_KIND_BYTES: Final = 16

_SEVERAL_LINES: Final = "the event seems to be spread over several lines; make one line of each event: jq -c ."
_ARRAY: Final = "the events seem to be in a JSON array; make one line of each event: jq -c '.[]'"


def with_json_cause(error: DecodeError, line: bytes) -> DecodeError:
    """The error of a line read as JSON, with its probable cause if one is found."""
    cause = json_cause(line)
    return DecodeError(f"{error.reason}; {cause}", error.offset) if cause else error


def json_cause(line: bytes) -> str:
    """Probable cause why a line, read as JSON, is not an event, and the repair; empty if none is known."""
    text = line.strip()
    if not text or len(text) > _MAX_LINE_BYTES:
        return ""
    if text.startswith(b"\xef\xbb\xbf"):
        return "a byte order mark stands before the event: sed 's/^\\xef\\xbb\\xbf//'"
    if text == b"[":
        return _ARRAY
    if _BRACKETS.issuperset(text) or _MEMBER_LINE.fullmatch(text):
        return _SEVERAL_LINES
    # An array that is printed with one element a line leaves a comma behind each event.
    whole = _decoded(text.removesuffix(b","))
    if isinstance(whole, dict):
        return _ARRAY if text.endswith(b",") and _is_event(whole) else _cause_in_object(whole)
    if isinstance(whole, list):
        return _ARRAY if any(_is_event(each) for each in whole) else ""
    return _cause_of_prefix(text)


def _cause_of_prefix(text: bytes) -> str:
    """Cause for an event behind something else, as a log daemon writes it; empty for others."""
    start = text.find(b"{", 1)
    if start > 0 and isinstance(_decoded(text[start:]), dict):
        return f"{start} bytes stand before the JSON, such as a syslog prefix: sed 's/^[^{{]*//'"
    if _TAB_PART.match(text[:_MAX_KIND_BYTES].decode("utf-8", "replace")) and b"\t" in text:
        return "the line seems to be tab-text (--input_format tab-text)"
    return prefix_cause(text)


def _cause_in_object(whole: dict[str, Any]) -> str:
    """Cause for an event inside an object, or one with members that were added to it; empty for others."""
    for path, value in _places(whole):
        found = _command(path, value)
        if found:
            return f"the event seems to be in {'.'.join(path)[:80]!r}: {found}"
    added = [key for key in whole if key not in _EVENT_MEMBERS]
    if not added or not ({"event", "fields"} & whole.keys()):
        return ""
    # A command that names the members to keep is shorter than one that names very many to delete.
    if len(added) > _MAX_SHOWN:
        members = ", ".join(_EVENT_MEMBERS)
        command = f"jq -c '{{{members}}} | with_entries(select(.value != null))'"
        return f"{len(added)} members seem to have been added to the event: {command}"
    command = _quoted(f"del({', '.join(map(_path, added))})")
    return f"members seem to have been added to the event: jq -c {command}"


def _places(whole: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Values in an object with the keys that lead to each, outer ones first."""
    level: list[tuple[tuple[str, ...], dict[str, Any]]] = [((), whole)]
    seen = 0
    for _ in range(_MAX_DEPTH):
        inner: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        for path, members in level:
            for key, value in members.items():
                seen += 1
                if seen > _MAX_PLACES:
                    return
                yield (*path, key), value
                if isinstance(value, dict):
                    inner.append(((*path, key), value))
        level = inner


def _command(path: tuple[str, ...], value: Any) -> str:
    """The command that gets an event out of the value at this place; empty if it holds none."""
    place = _path(*path)
    if _is_event(value) and path != ("fields",):
        return f"jq -c {_quoted(place)}"
    if isinstance(value, list) and value and all(_is_event(each) for each in value):
        return "jq -c " + _quoted(f"{place}[]")
    if not isinstance(value, str):
        return ""
    if _is_event(_decoded(value.encode("utf-8", "surrogatepass"))):
        return "jq -c " + _quoted(f"{place}|fromjson")
    if _TAB_PART.match(value) and "\t" in value:
        return f"jq -r {_quoted(place)}"
    start = value.find("{")
    if start > 0 and _is_event(_decoded(value[start:].encode("utf-8", "surrogatepass"))):
        return f"jq -r {_quoted(place)} | sed 's/^[^{{]*//'"
    return ""


def _is_event(value: Any) -> bool:
    """Whether an object has an event's members, perhaps among others."""
    if not isinstance(value, dict):
        return False
    # One known member is not enough among others: many logs have a `hostname`, and some nest under `fields` or `event`.
    known = sum(name in value for name in _EVENT_MEMBERS)
    return known >= 2 or (known == 1 and len(value) == 1 and not isinstance(next(iter(value.values())), dict))


def _path(*keys: str) -> str:
    """The jq program for the value that these keys lead to."""
    parts = [f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key)}]" for key in keys]
    program = "".join(parts)
    return program if program.startswith(".") else f".{program}"


def _quoted(program: str) -> str:
    """A jq program quoted for the shell."""
    escaped = program.replace("'", "'\"'\"'")
    return f"'{escaped}'"


def _decoded(text: bytes) -> Any:
    """The JSON object or list, or None if the text is neither."""
    if text[:1] not in (b"{", b"["):
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
