"""Which files the patterns mean, in any file system that Beam knows, and how one is opened."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from dovebeam.transforms.sources import FileStream, FoundFile, SourceError, absolute_pattern, check_readable, is_local
from dovebeam.transforms.store_errors import store_error_text

__all__ = ["MatchFn", "match_files", "open_file"]


def match_files(patterns: Iterable[str], *, limit: int | None = None) -> list[FoundFile]:
    """All files that the patterns match, each once, in the order of their names.

    Args:
        patterns: globs or plain names, local or of any file system that Beam knows.
        limit: how many files of each pattern are enough.

    Raises:
        SourceError: naming all patterns that match nothing, or what keeps one from being matched or read.
    """
    found: dict[str, FoundFile] = {}
    unmatched = []
    for pattern in dict.fromkeys(map(absolute_pattern, patterns)):
        files = _match(pattern, limit)
        if not files:
            unmatched.append(pattern)
        for file in files:
            if is_local(file.path):
                check_readable(file.path)
            found[file.path] = FoundFile(file.path, file.size_in_bytes or 0)
    if unmatched:
        raise SourceError(
            f"no file matches {', '.join(unmatched)}; check the spelling ('*' stops at a slash, '**' does not) and "
            "whether this machine may see the files"
        )
    return [found[uri] for uri in sorted(found)]


def _match(pattern: str, limit: int | None) -> list[FileMetadata]:
    try:
        matched = FileSystems.match([pattern], [limit])[0].metadata_list
        files = [file for file in matched if not _is_folder(file)]
        if matched and not files and limit:
            return _match(pattern, None)
        if not matched and FileSystems.exists(pattern):  # a plain name with a bracket in it
            files = [FileSystems.get_filesystem(pattern).metadata(pattern)]
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be matched: {store_error_text(error)}", pattern) from error
    return files


def _is_folder(file: FileMetadata) -> bool:
    """Whether it is one of the empty objects that stand for folders in object stores."""
    return file.path.endswith("/") and not is_local(file.path)


def open_file(uri: str) -> FileStream:
    """The file as it is stored, compressed or not.

    Raises:
        SourceError: it cannot be opened.
    """
    try:
        file = FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be opened: {store_error_text(error)}", uri) from error
    return FileStream(file, uri)


class MatchFn(beam.DoFn):
    """A pattern, a tuple of patterns or what `fileio` found, to files with their names as keys."""

    def process(self, element: Any) -> Iterator[tuple[str, FoundFile]]:
        """Pairs of a file's name and the file."""
        if isinstance(element, str | tuple):
            files = match_files([element] if isinstance(element, str) else element)
        else:
            metadata = element if isinstance(element, FileMetadata) else element.metadata
            # A ReadableFile made from a mere name has no size.
            files = [FoundFile(metadata.path, metadata.size_in_bytes or _size(metadata.path))]
        for file in files:
            yield file.uri, file


def _size(uri: str) -> int:
    return match_files([uri])[0].size
