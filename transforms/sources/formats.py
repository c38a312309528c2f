"""What a file holds, told by its first bytes: JSON lines, tab-text lines, or an Avro container.

Files of rejects are told by nobody: whoever means to send them again says so.
"""

from __future__ import annotations

from typing import Final, Literal

from dovebeam.transforms.codecs.tab_lines import TAB_PARTS

__all__ = ["AVRO_MAGIC", "HEAD_BYTES", "INPUT_FORMATS", "Format", "InputFormat", "detect_format", "format_advice"]

Format = Literal["json", "tab-text", "avro", "rejects"]
InputFormat = Literal["auto", "json", "tab-text", "avro", "rejects"]

INPUT_FORMATS: Final[tuple[InputFormat, ...]] = ("auto", "json", "tab-text", "avro", "rejects")
AVRO_MAGIC: Final = b"Obj\x01"
HEAD_BYTES: Final = 64 * 1024

_MARK: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def detect_format(head: bytes) -> Format | None:
    """The format of a file whose uncompressed content begins with `head`; `HEAD_BYTES` of it are enough.

    The first line that begins as lines of either format begin decides, so that a damaged or blank line at the top
    does not hide what follows; neither do zero bytes. Returns None if no line does.
    """
    if head.startswith(AVRO_MAGIC):
        return "avro"
    for line in head.removeprefix(_MARK).replace(b"\0", b"\n").split(b"\n"):
        if line.lstrip(b" \t").startswith(b"{"):
            return "json"
        if line.startswith(TAB_PARTS):
            return "tab-text"
    return None


def format_advice(head: bytes) -> str:
    """What to do about a file that begins so and cannot be read as lines of events; empty if nothing is known."""
    if head.startswith(_UTF16):
        return "is in UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"
    if head.startswith(AVRO_MAGIC):
        return ""
    first = head.removeprefix(_MARK).lstrip(b" \t\r\n").split(b"\n", 1)[0].rstrip(b" \t\r")
    if first == b"{":
        return "has events over several lines; make one line of each, as with jq -c ."
    if first.startswith(b"["):
        return "begins with '[' as one JSON array does; make one line of each event, as with jq -c '.[]'"
    return ""
