"""Looks for credentials in whatever a job leaves behind, also in the forms in which they could be hidden."""

from __future__ import annotations

import base64
import bz2
import contextlib
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def forms(secret: str) -> set[bytes]:
    """A secret as it is, percent-encoded, and in base64 at each of the three places where it may begin in a group."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), "".join(f"%{byte:02X}" for byte in raw).encode()}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw + b"\0" * 3)
        # The first group is mixed with what stands before the secret, the last ones with what stands behind it.
        found.add(encoded[4 if before else 0 : (before + len(raw)) // 3 * 4])
    return found


def unpacked(data: bytes) -> Iterator[bytes]:
    """The data, and all that is in it as base64, decompressed if it is compressed, as Beam does with pickles."""
    yield data
    for match in _BASE64.finditer(data):
        with contextlib.suppress(ValueError):
            decoded = base64.b64decode(match[0] + b"=" * (-len(match[0]) % 4))
            yield decoded
            for decompress in (bz2.decompress, zlib.decompress):
                with contextlib.suppress(OSError, ValueError, zlib.error):
                    yield decompress(decoded)


def found_in(data: bytes | str, secrets: Iterable[str]) -> set[str]:
    """Which of the secrets are in there in some form."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    pieces = list(unpacked(raw))
    return {secret for secret in secrets if any(form in piece for form in forms(secret) for piece in pieces)}


def found_below(folder: Path, secrets: Iterable[str]) -> dict[str, set[str]]:
    """The same for every file of a folder; only files that hold something."""
    wanted = list(secrets)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): found for path in files if (found := found_in(path.read_bytes(), wanted))}
