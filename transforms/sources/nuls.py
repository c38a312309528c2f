"""Zero bytes in files of lines, where no event can have any: what a power failure or a careless truncation leaves.

After a power failure a file may have its new size without its data, so that zero bytes stand in place of lines, and the
next line is appended behind them. A file that is truncated under a writer without O_APPEND begins with a hole as large
as the file was. Zero bytes before a line are passed over. Those behind the beginning of a line end it, if a line begins
behind them or nothing does: that beginning is torn. Others stay where they are, in a line that is no event.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LINE_END", "LOOK_AHEAD_BYTES", "NUL", "NULS", "TORN", "end_of_nuls", "is_border"]

NUL: Final = b"\0"
TORN: Final = "the line is cut off by NUL bytes, as a power failure leaves them; its rest is lost"
LOOK_AHEAD_BYTES: Final = len(b"start_time:")

_BEGIN: Final = rb"\{|event:|hostname:|start_time:|end_time:|category:|field:|\r?\n"
LINE_END: Final = re.compile(rb"\n|(?<!\x00)\x00++(?:(?=%s)|(?=.{0,%d}\Z))" % (_BEGIN, LOOK_AHEAD_BYTES - 1), re.DOTALL)
"""A line feed, or zero bytes that end a line, or may do so once more is known of what stands behind them."""

_AFTER: Final = re.compile(_BEGIN + rb"|\r?\Z")
NULS: Final = re.compile(rb"\x00++")


def is_border(follows: bytes) -> bool:
    """Whether zero bytes end a line; `follows` are the `LOOK_AHEAD_BYTES` behind them, fewer at the end of the file."""
    return _AFTER.match(follows) is not None


def end_of_nuls(data: bytes, start: int) -> int:
    """The index of the first byte from `start` on that is not zero, or the length of `data`."""
    found = NULS.match(data, start)
    return found.end() if found else start
