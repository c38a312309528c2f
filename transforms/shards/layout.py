"""Names of the files of a run: final files, temporary files, and the manifest; all relative to the exporter's base.

    events-RUN-00000-of-00003.json      a final file of the path events.json
    EXPORTER-RUN.manifest.json          the files of the run
    .dovebeam/RUN-EXPORTER/             everything temporary, removed when the run is complete

The id of the run is in every name, so two runs never use the same names, and a repeated run always does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.drivers.file.names import compressed_name, encode_value, insert_mark, short_name
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["MANIFEST_SUFFIX", "Layout", "check_run_id"]

MANIFEST_SUFFIX: Final = ".manifest.json"

# No tilde: the directories of spools have one, so that no run takes theirs (`Spool`).
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")
_TEMPORARY: Final = ".dovebeam"  # hidden from patterns of the shell, which should not find unfinished files
_MAX_SHARDS: Final = 100_000  # a name has five digits for the number, as in Beam's own files


def check_run_id(run_id: str) -> str:
    """The id of a run, checked to be usable in file names.

    Raises:
        DriverSettingError: it is not usable.
    """
    if not _RUN_ID.match(run_id):
        message = "write up to 32 letters, digits, dots, hyphens and underscores, the first a letter or digit"
        raise DriverSettingError("run_id", f"{run_id[:80]!r} cannot be a part of file names; {message}")
    return run_id


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of one exporter's files in one run.

    Attributes:
        exporter: name of the exporter.
        run_id: id of the run; see `check_run_id`.
        compression: "none", "gzip" or "zstd".
        mark: stands for the run in the names of its files; empty for `run_id`. The pane of a stream has one, since its
            window is in the path already.
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
        """Name of a part; `unique` is a text that no other bundle has."""
        return f"{self.temporary}/{unique}.part"

    def written(self, unique: str) -> str:
        """Temporary name of a file; `unique` as for `part`."""
        return f"{self.temporary}/{unique}.file"

    @property
    def lock(self) -> str:
        """Lock of the process that commits the run."""
        return f"{self.temporary}/lock"

    def final(self, path: str, number: int, count: int) -> str:
        """The final name of one of the files that a path is cut into.

        Args:
            path: as routed: relative, without marks.
            number: of the file, from 0.
            count: number of files of the path.

        Raises:
            ValueError: there are too many files.
        """
        # The count is in the name so that readers see whether a set of files is complete.
        if count >= _MAX_SHARDS:
            raise ValueError(f"{path} would become {count} files, more than {_MAX_SHARDS - 1}; raise file_rotate_size")
        mark = f"-{self.mark or self.run_id}-{number:05}-of-{count:05}"
        return compressed_name(insert_mark(path, mark), self.compression)
