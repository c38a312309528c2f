"""`ReadFromFiles` and `ReadAllFromFiles`: the steps from patterns to blocks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.fileio import ReadableFile
from apache_beam.io.filesystem import FileMetadata
from apache_beam.transforms.util import ReshufflePerKey

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.codecs.limits import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.filesystems import MatchFn, match_files
from dovebeam.transforms.reading.splitting import InspectFn, ReadFn, Settings
from dovebeam.transforms.sources import (
    DEFAULT_BLOCK_BYTES,
    Block,
    Expected,
    FoundFile,
    InputFormat,
    SourceError,
    absolute_pattern,
    printable_path,
)

__all__ = ["DEFAULT_SHARD_BYTES", "ReadAllFromFiles", "ReadFromFiles"]

DEFAULT_SHARD_BYTES: Final = 64 * 1024 * 1024


class ReadFromFiles(beam.PTransform):
    """Reads all files that match the patterns; give it to a pipeline.

    Every line or record of every file is in exactly one `Block`. A file that two patterns match is read once. On a
    runner with one worker, blocks come in the order of the files' names and of their content.

    The patterns are matched on the workers. At launch they are only tried, so that a pattern that matches nothing is
    an error at once. An empty file is no error. A file that says neither by its content nor by `input_format` what it
    holds is read as JSON lines, so that each of its lines becomes a reject with a reason. A line that is longer than
    `max_line_bytes` comes as a block of its own that holds only its head.

    Args:
        patterns: one pattern or several.
        input_format: of all files, or "auto" to tell each one's by its content. Compression is always told by content.
        max_line_bytes: the longest line, without its end, that is read whole.
        block_bytes: about the size of a block; files are split at its multiples only.
        shard_bytes: about the size of the parts into which large plain files are split at launch.
        check_patterns: whether to try the patterns at launch. Say no if the launching machine may not see the files.
        names: what local files are called in rejects and keys, by their paths, if not by these.
        expected: what the manifests of archives say of their files, by path or URL. All that such a file lacks, or
            that cannot be trusted, comes as blocks with `damage`, as many events together as the manifest counts.

    A file that is cut off, damaged, shrank or vanished ends with a block that says so (`Block.damage`), from which a
    reject is made; what stands before the damage is read as of any other. Zero bytes before a line are passed over and
    counted (`Block.nuls`). A file that two patterns, two spellings or two links lead to is read once.

    Raises:
        SourceError: at launch, if a pattern matches nothing or matches what cannot be read as a file. From a worker,
            where it fails the bundle, if the system does not let a file be read.
        UnknownNameError: for an input format that does not exist.
    """

    def __init__(
        self,
        patterns: str | Sequence[str],
        *,
        input_format: InputFormat = "auto",
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        block_bytes: int = DEFAULT_BLOCK_BYTES,
        shard_bytes: int = DEFAULT_SHARD_BYTES,
        check_patterns: bool = True,
        names: Mapping[str, str] | None = None,
        expected: Mapping[str, Expected] | None = None,
    ) -> None:
        super().__init__()
        self._patterns = [
            absolute_pattern(pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns)
        ]
        if not self._patterns:
            raise SourceError("no input: give at least one file or pattern")
        self._settings = Settings(input_format, max_line_bytes, block_bytes, shard_bytes)
        self._check_patterns = check_patterns
        self._names = dict(names or {})
        self._expected = dict(expected or {})

    def display_data(self) -> dict[str, Any]:
        """The patterns and the format, for a runner's user interface."""
        return {"patterns": printable_path(", ".join(self._patterns)), **self._settings.display_items()}

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class.

        Raises:
            TypeError: it was given to elements, not to a pipeline.
        """
        if not isinstance(pbegin, beam.pvalue.PBegin):
            raise TypeError(
                "ReadFromFiles begins a pipeline, found a PCollection; for patterns in one, ReadAllFromFiles"
            )
        if self._check_patterns:
            match_files(self._patterns, limit=1)
        # One element holds all patterns: what they match together is sorted and freed of duplicates at one place.
        # As bytes, since a local path need not be UTF-8.
        encoded = tuple(pattern.encode("utf-8", "surrogateescape") for pattern in self._patterns)
        patterns = pbegin | "Patterns" >> beam.Create([encoded], reshuffle=False)
        found = patterns | "Match" >> beam.ParDo(MatchFn(self._names, self._expected))
        blocks: beam.PCollection[Block] = found | _ReadFound(self._settings)
        return blocks


class ReadAllFromFiles(beam.PTransform):
    """Like `ReadFromFiles` for patterns that a pipeline itself finds out.

    Takes a collection of patterns, of `FileMetadata` (from `fileio.MatchFiles` or `MatchContinuously`) or of
    `ReadableFile` (from `fileio.ReadMatches`). Each element is read; nothing is done about duplicates.

    Args:
        input_format: see `ReadFromFiles`, also for the following.
        max_line_bytes: see there.
        block_bytes: see there.
        shard_bytes: see there.
    """

    def __init__(
        self,
        *,
        input_format: InputFormat = "auto",
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        block_bytes: int = DEFAULT_BLOCK_BYTES,
        shard_bytes: int = DEFAULT_SHARD_BYTES,
    ) -> None:
        super().__init__()
        self._settings = Settings(input_format, max_line_bytes, block_bytes, shard_bytes)

    def display_data(self) -> dict[str, Any]:
        """The format, for a runner's user interface."""
        return self._settings.display_items()

    def expand(self, files: beam.PCollection[str | FileMetadata | ReadableFile]) -> beam.PCollection[Block]:
        """Adds the steps; see the class."""
        blocks: beam.PCollection[Block] = files | "Match" >> beam.ParDo(MatchFn()) | _ReadFound(self._settings)
        return blocks


class _ReadFound(beam.PTransform):
    """From files that were found to their blocks."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("Files")
        self._settings = settings

    def expand(self, found: beam.PCollection[tuple[str, FoundFile]]) -> beam.PCollection[Block]:
        # Keys of our own, and not Beam's random ones, keep the order of the files where there is one worker.
        blocks: beam.PCollection[Block] = (
            found
            | "Spread" >> ReshufflePerKey()
            | "Inspect" >> beam.ParDo(InspectFn(self._settings))
            | "Read" >> beam.ParDo(ReadFn(self._settings))
        )
        return blocks
