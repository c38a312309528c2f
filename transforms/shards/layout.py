"""Where the files of a job are: final ones, temporary ones, and the manifest; all relative to the exporter's base.

    events-RUN-00000-of-00003.json      a final file of the path events.json
    EXPORTER-RUN.manifest.json          what the run made
    .dovebeam/RUN-EXPORTER/             everything temporary, removed when the run is complete

The name of the run is in every name, so two runs never want the same one, and the same run always wants the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.drivers.file.names import compressed_name, encode_value, insert_mark, short_name
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["MANIFEST_SUFFIX", "Layout", "check_run_id"]

MANIFEST_SUFFIX: Final = ".manifest.json"

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")
_TEMPORARY: Final = ".dovebeam"
_MAX_SHARDS: Final = 100_000


def check_run_id(run_id: str) -> str:
    """The name of a run, if it can be a part of file names.

    Raises:
        DriverSettingError: it cannot.
    """
    if not _RUN_ID.match(run_id):
        message = "write up to 32 letters, digits, dots, hyphens and underscores, the first a letter or digit"
        raise DriverSettingError("run_id", f"{run_id[:80]!r} cannot be a part of file names; {message}")
    return run_id


@dataclass(frozen=True, slots=True)
class Layout:
    """The names that one exporter's files have in one run.

    Attributes:
        exporter: its name.
        run_id: what the run is called; see `check_run_id`.
        compression: "none", "gzip" or "zstd".
        mark: what stands for the run in the names of its files; empty for its own name. The pane of a stream has one,
            since its window is in the path already.
    """

    exporter: str
    run_id: str
    compression: str = "none"
    mark: str = ""

    @property
    def manifest(self) -> str:
        """The manifest of the run."""
        return short_name(f"{encode_value(self.exporter)}-{self.run_id}", MANIFEST_SUFFIX)

    @property
    def temporary(self) -> str:
        """The directory of everything temporary."""
        return f"{_TEMPORARY}/{short_name(f'{self.run_id}-{encode_value(self.exporter)}')}"

    def part(self, unique: str) -> str:
        """A part; `unique` is a name that no other bundle has."""
        return f"{self.temporary}/{unique}.part"

    def written(self, unique: str) -> str:
        """A file that has not got its final name yet."""
        return f"{self.temporary}/{unique}.file"

    @property
    def lock(self) -> str:
        """What whoever commits the run holds."""
        return f"{self.temporary}/lock"

    def final(self, path: str, number: int, count: int) -> str:
        """The final name of one of the files that a path is cut into.

        Args:
            path: as routed: relative, without marks.
            number: from 0.
            count: of all files of the path.

        Raises:
            ValueError: there are more files than names.
        """
        if count >= _MAX_SHARDS:
            raise ValueError(f"{path} would become {count} files, more than {_MAX_SHARDS - 1}; raise file_rotate_size")
        mark = f"-{self.mark or self.run_id}-{number:05}-of-{count:05}"
        return compressed_name(insert_mark(path, mark), self.compression)
