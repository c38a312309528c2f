"""Full files get a number: `events.json` becomes `events~1.json`, the next one `events~2.json`.

The file that is written always has the plain name, so whoever follows it need not look for it. Numbers grow, a higher
one is later, and no file is ever renamed twice or put in the place of another: the number is claimed by making an empty
file of that name, which only the process that made it replaces.
"""

from __future__ import annotations

import os
import re
from typing import Final

from dovebeam.transforms.drivers.file.names import insert_mark, split_suffix
from dovebeam.transforms.local_files import open_new

__all__ = ["move_full_file"]

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
