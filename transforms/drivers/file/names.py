"""File names: made safely of values in events, with suffixes of compression and numbers of full files.

An attacker can choose names of users and mailboxes. Here they become part of one name in one directory: no separator,
no NUL or control character, no leading dot or hyphen, and no two values make the same name. A tilde never comes out of
a value, so what stands behind one (the hash of a long name, the number of a full file) cannot be forged.
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
"""The suffix of a compressed file's name, by the value of `file_compression`."""

MAX_NAME_BYTES: Final = 200
"""Longest name before marks and suffixes are added; file systems end at 255."""

_PACKED_SUFFIXES: Final = tuple(suffix for suffix in COMPRESSION_SUFFIXES.values() if suffix)
# A percent sign is not safe: it escapes, so it is escaped itself, and the encoding can be undone.
_SAFE: Final = frozenset((string.ascii_letters + string.digits + "._-@+").encode())
_ENCODED: Final = tuple(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in range(256))
# A leading dot hides a file or leads up; a leading hyphen makes it an option of a command that is given `*`.
_LEADING: Final = ".-"
# 128 bits: enough that no one can find two long names with one hash, which would share a file.
_HASH_DIGITS: Final = 32
# A character of UTF-8 has four bytes at most, so a name that is so short need not be encoded to be measured.
_SURELY_SHORT_CHARS: Final = MAX_NAME_BYTES // 4


def encode_value(value: str) -> str:
    """Encodes a value as part of a name; no two values have the same encoding.

    ASCII letters, digits, dot, underscore, hyphen, at sign and plus stay; all other bytes, and dots and hyphens at the
    start, are percent-encoded. So is the dot of a compression's suffix at the end, or the file of `bob.gz` would be
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
    """The bytes of a value; half a surrogate pair is in no line of an export, but may be in an event of a program."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def short_name(name: str, suffix: str = "") -> str:
    """Shortens a name that is too long for a file system: its end becomes a tilde and a hash of the whole.

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
    # "ignore", as the cut may go through a character.
    return f"{name.encode('utf-8', 'surrogateescape')[:room].decode('utf-8', 'ignore')}~{digest}{suffix}"


def compressed_name(path: str, compression: str) -> str:
    """The path with the suffix of its compression, which is not added twice."""
    suffix = COMPRESSION_SUFFIXES[compression]
    return path if path.endswith(suffix) else path + suffix


def split_suffix(name: str) -> tuple[str, str]:
    """Splits a name into stem and suffix: `b.json.gz` is `b` and `.json.gz`.

    The suffix starts at the last dot, or at the one before it if a compression's suffix follows; a name that has
    nothing before its dot has no suffix.
    """
    packed = next((end for end in COMPRESSION_SUFFIXES.values() if end and name.endswith(end)), "")
    stem, dot, kind = name.removesuffix(packed).rpartition(".")
    if stem:
        return stem, f"{dot}{kind}{packed}"
    whole = name.removesuffix(packed)
    return (whole, packed) if whole else (name, "")


def insert_mark(path: str, mark: str) -> str:
    """Inserts a mark before the suffix of a path: `a.d/b.json.gz` with `~1` becomes `a.d/b~1.json.gz`."""
    folder, slash, name = path.rpartition("/")
    stem, suffix = split_suffix(name)
    return f"{folder}{slash}{stem}{mark}{suffix}"


# Full files get a number: `events.json` becomes `events~1.json`, the next one `events~2.json`.
#
# The file that is written always has the plain name, so a program that follows it need not search. Numbers grow, a
# higher one is later, and no file is ever renamed twice or put in the place of another: the number is claimed by
# making an empty file of that name, which only the process that made it replaces.

# Bounded: a file that someone named `events~` and 300 digits must not give the next one a name that is too long.
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


def move_full_file(folder: int, name: str, mode: int) -> int:
    """Renames a full file to its next number; call it with the file's lock held.

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
        # A claim and a rename, since a rename alone would replace a file of that name, and hard links, which would
        # not, do not work on all file systems.
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
    """The highest number that a file of this name has; 0 for none."""
    stem, suffix = split_suffix(name)
    # Opened again, because `folder` may be an O_PATH descriptor, which cannot be listed.
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
