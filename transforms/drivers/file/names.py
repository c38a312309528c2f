"""Names of files made from values that somebody else chose, and the marks that dovebeam adds to names.

Names of users and mailboxes are an attacker's to choose. Here they become part of one name in one directory: no
separator, no NUL or control character, no leading dot or hyphen, and no two values make the same name. A tilde never
comes out of a value, so what stands behind one (the hash of a long name, the number of a full file) cannot be forged.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from dovebeam.transforms.local_files import open_new

__all__ = [
    "COMPRESSION_SUFFIXES",
    "MAX_NAME_BYTES",
    "Compression",
    "compressed_name",
    "encode_value",
    "insert_mark",
    "move_full_file",
    "short_name",
    "split_suffix",
]


Compression = Literal["none", "gzip", "zstd"]

COMPRESSION_SUFFIXES: Final[Mapping[str, str]] = MappingProxyType({"none": "", "gzip": ".gz", "zstd": ".zst"})
"""What a compressed file's name ends in, by the value of `file_compression`."""

MAX_NAME_BYTES: Final = 200
"""Longest name before marks and suffixes are added; file systems end at 255."""

_PACKED_SUFFIXES: Final = tuple(suffix for suffix in COMPRESSION_SUFFIXES.values() if suffix)
_SAFE: Final = frozenset((string.ascii_letters + string.digits + "._-@+").encode())
_ENCODED: Final = tuple(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in range(256))
_LEADING: Final = ".-"
_HASH_DIGITS: Final = 32
_SURELY_SHORT_CHARS: Final = MAX_NAME_BYTES // 4


def encode_value(value: str) -> str:
    """A value as part of a name; no two values have the same encoding.

    ASCII letters, digits, dot, underscore, hyphen, at sign and plus stay; all other bytes, and dots and hyphens at the
    beginning, are percent-encoded. So is the dot of a compression's suffix at the end, or the file of `bob.gz` would be
    taken for the compressed one of `bob`. The empty value is a lone percent sign.
    """
    encoded = "".join(map(_ENCODED.__getitem__, _raw(value)))
    if encoded[:1] in _LEADING:
        rest = encoded.lstrip(_LEADING)
        leading = encoded[: len(encoded) - len(rest)]
        encoded = "".join(f"%{ord(character):02X}" for character in leading) + rest or "%"
    for suffix in _PACKED_SUFFIXES:
        if encoded.endswith(suffix):
            return f"{encoded.removesuffix(suffix)}%2E{suffix[1:]}"
    return encoded


def _raw(value: str) -> bytes:
    """The bytes of a value; no line of an export has half of a surrogate pair, but an event made by a program may."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def short_name(name: str, suffix: str = "") -> str:
    """A name that a file system takes: one that is too long ends in a tilde and a hash of the whole instead.

    Args:
        name: without its suffix.
        suffix: what follows, such as ".json"; it is kept.
    """
    whole = f"{name}{suffix}"
    if len(whole) <= _SURELY_SHORT_CHARS or len(whole.encode("utf-8", "surrogateescape")) <= MAX_NAME_BYTES:
        return whole
    import hashlib  # noqa: PLC0415  loads OpenSSL

    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_DIGITS]
    room = MAX_NAME_BYTES - _HASH_DIGITS - 1 - len(suffix.encode())
    return f"{name.encode('utf-8', 'surrogateescape')[:room].decode('utf-8', 'ignore')}~{digest}{suffix}"


def compressed_name(path: str, compression: str) -> str:
    """The path with the suffix of its compression, which is not added twice."""
    suffix = COMPRESSION_SUFFIXES[compression]
    return path if path.endswith(suffix) else path + suffix


def split_suffix(name: str) -> tuple[str, str]:
    """A name before its suffix, and the suffix: `b.json.gz` is `b` and `.json.gz`.

    The suffix begins at the last dot, or at the one before it if a compression's suffix follows; a name that has
    nothing before its dot has none.
    """
    packed = next((end for end in COMPRESSION_SUFFIXES.values() if end and name.endswith(end)), "")
    stem, dot, kind = name.removesuffix(packed).rpartition(".")
    if stem:
        return stem, f"{dot}{kind}{packed}"
    whole = name.removesuffix(packed)
    return (whole, packed) if whole else (name, "")


def insert_mark(path: str, mark: str) -> str:
    """The path with a mark before the suffix of its last name: `a.d/b.json.gz` and `~1` are `a.d/b~1.json.gz`."""
    folder, slash, name = path.rpartition("/")
    stem, suffix = split_suffix(name)
    return f"{folder}{slash}{stem}{mark}{suffix}"


# Full files get a number: `events.json` becomes `events~1.json`, the next one `events~2.json`.
#
# The file that is written always has the plain name, so whoever follows it need not look for it. Numbers grow, a
# higher one is later, and no file is ever renamed twice or put in the place of another: the number is claimed by
# making an empty file of that name, which only the process that made it replaces.

_NUMBER: Final = re.compile(r"[0-9]{1,15}")


def move_full_file(folder: int, name: str, mode: int) -> int:
    """Gives a file the next number; call it with the file's lock held.

    Args:
        folder: descriptor of its directory.
        name: of the file.
        mode: of the empty file that claims the number, for the moment that it exists.

    Returns:
        The number.

    Raises:
        OSError: the directory cannot be listed or written.
    """
    number = _highest(folder, name)
    while True:
        number += 1
        target = insert_mark(name, f"~{number}")
        try:
            os.close(open_new(target, mode, folder))
        except FileExistsError:
            continue  # another process was quicker
        try:
            os.rename(name, target, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(target, dir_fd=folder)
            raise
        return number


def _highest(folder: int, name: str) -> int:
    stem, suffix = split_suffix(name)
    listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        marks = [
            each[len(stem) + 1 : len(each) - len(suffix)]
            for each in os.listdir(listed)
            if each.startswith(f"{stem}~") and each.endswith(suffix)
        ]
    finally:
        os.close(listed)
    return max((int(mark) for mark in marks if _NUMBER.fullmatch(mark)), default=0)
