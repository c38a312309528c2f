"""Beam's file systems: files of a pattern, opening, uploading, and what their errors say."""

import contextlib
import http.client
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import apache_beam as beam
import msgspec
from apache_beam.io.filesystem import BeamIOError, CompressedFile, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import file_url_path, is_url
from dovebeam.transforms.sources import (
    DamagedError,
    Expected,
    FileStream,
    FoundFile,
    SourceError,
    absolute_pattern,
    check_readable,
    distinct_files,
    found_file,
)
from dovebeam.transforms.sources.streams import error_text

__all__ = ["MatchFn", "Upload", "match_files", "open_file", "store_error_text"]


_LONGEST_CHARS: Final = 500
_UNKNOWN: Final = re.compile(r"Unable to get filesystem .* Path specified: (([^:]+)://.*)", re.DOTALL)


def store_error_text(error: Exception) -> str:
    """The text of an exception, without what Beam wraps around it.

    Of Google's it is the status with the store's own message, which names the permission that is missing.
    """
    while isinstance(error, BeamIOError) and error.exception_details:
        inner = next(iter(error.exception_details.values()))
        if isinstance(inner, int):  # of a request within a batch
            return f"{inner} {http.client.responses.get(inner, 'is what the store answered')}"
        if not isinstance(inner, Exception):
            break
        error = inner
    return (_answered(error) or _unknown(error) or error_text(error))[:_LONGEST_CHARS]


def _unknown(error: Exception) -> str:
    """What to do about a URL for which Beam has no file system here; empty for another error."""
    found = _UNKNOWN.match(str(error)) if isinstance(error, ValueError) else None
    if found is None:
        return ""
    path = file_url_path(found[1])
    if path:
        return f"it is a URL of a file of this machine; write its path, {path}"
    return f"nothing here can read or write {found[2]}:// (correct the URL, or install what Apache Beam needs for it)"


def _answered(error: Exception) -> str:
    """What a store answered; empty if it did not, or not as Google does."""
    answer = getattr(error, "response", None)
    try:
        message = answer.json()["error"]["message"]  # type: ignore[union-attr]
        return f"{answer.status_code} {answer.reason}: {message}"  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""


# Which files the patterns mean, in any file system that Beam knows, and how one is opened.

_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
_NOTHING: Final[Mapping[str, Expected]] = MappingProxyType({})

_logger = logging.getLogger(__name__)


def match_files(
    patterns: Iterable[str], *, limit: int | None = None, names: Mapping[str, str] = _NO_NAMES, tell: bool = False
) -> list[FoundFile]:
    """All files that the patterns match, each once, in the order of their names.

    A local file that has several names, by links or other spellings, is the same file.

    Args:
        patterns: globs or plain names, local or of any file system that Beam knows.
        limit: how many objects of each pattern are enough; files of this machine are all looked at.
        names: what files are called, by their paths, if not by these.
        tell: whether to log which files were matched under several names.

    Raises:
        SourceError: naming all patterns that match nothing, or all files that cannot be read, or what keeps a pattern
            from being matched.
    """
    sizes: dict[str, int] = {}
    unmatched = []
    unreadable: list[SourceError] = []
    for pattern in _distinct_patterns(patterns, tell=tell):
        files = _match(pattern, limit if is_url(pattern) else None)
        if not files:
            unmatched.append(pattern)
        for file in files:
            try:
                if not is_url(file.path):
                    check_readable(file.path)
                sizes[file.path] = file.size_in_bytes or 0
            except SourceError as error:
                if file.path == pattern or not isinstance(error.__cause__, FileNotFoundError):  # else it is gone again
                    unreadable.append(error)
    if len(unreadable) == 1:
        raise unreadable[0]
    if unreadable:
        raise SourceError("\n  ".join([f"{len(unreadable)} files cannot be read:", *map(str, unreadable)]))
    if unmatched:
        raise SourceError(
            f"no file matches {', '.join(unmatched)}; check the spelling ('*' stops at a slash, '**' does not) and "
            "whether this machine may see the files"
        )
    _, again = distinct_files(path for path in sorted(sizes) if not is_url(path))
    for path, kept in again:
        del sizes[path]
        if tell:
            _logger.warning("%s is the same file as %s, and is read once", path, kept)
    return [found_file(path, sizes[path], names.get(path, "")) for path in sorted(sizes)]


def _distinct_patterns(patterns: Iterable[str], *, tell: bool) -> list[str]:
    """The patterns in absolute form, each once."""
    spellings: dict[str, str] = {}
    for given in patterns:
        kept = spellings.setdefault(absolute_pattern(given), given)
        if tell and kept != given:
            _logger.warning("%s is another spelling of %s, and is read once", given, kept)
    return list(spellings)


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
    return file.path.endswith("/") and is_url(file.path)


def open_file(uri: str, location: str = "") -> FileStream:
    """The file as it is stored, compressed or not.

    Args:
        uri: what it is called in errors.
        location: what it is opened by, if not by that.

    Raises:
        DamagedError: it is gone.
        SourceError: it cannot be opened.
    """
    try:
        file = FileSystems.open(location or uri, compression_type=CompressionTypes.UNCOMPRESSED)
    except FileNotFoundError as error:  # by a rotation, say; nobody can repair that by running the bundle again
        raise DamagedError("is gone since the job began; give it again by the name that it has now", uri) from error
    except Exception as error:  # each file system has its own exceptions
        raise SourceError(f"cannot be opened: {store_error_text(error)}", uri) from error
    return FileStream(file, uri)


class MatchFn(beam.DoFn):
    """A pattern, a tuple of patterns (also as bytes) or what `fileio` found, to files with their names as keys.

    Args:
        names: see `match_files`.
        expected: what is known of files, by their names.
    """

    def __init__(self, names: Mapping[str, str] = _NO_NAMES, expected: Mapping[str, Expected] = _NOTHING) -> None:
        self._names = dict(names)
        self._expected = dict(expected)

    def process(self, element: Any) -> Iterator[tuple[str, FoundFile]]:
        """Pairs of a file's name and the file."""
        if isinstance(element, str | tuple):
            patterns = [element] if isinstance(element, str) else element
            files = match_files(map(_as_text, patterns), names=self._names, tell=True)
        else:
            metadata = element if isinstance(element, FileMetadata) else element.metadata
            # A ReadableFile made from a mere name has no size.
            files = [found_file(metadata.path, metadata.size_in_bytes or _size(metadata.path))]
        for file in files:
            expected = self._expected.get(file.uri)
            yield file.uri, file if expected is None else msgspec.structs.replace(file, expected=expected)


def _as_text(pattern: str | bytes) -> str:
    return pattern if isinstance(pattern, str) else pattern.decode("utf-8", "surrogateescape")


def _size(uri: str) -> int:
    return match_files([uri])[0].size


# Files that are written through Beam's file systems, and let go of when they cannot be.

_BINARY: Final = "application/octet-stream"


class Upload:
    """A new file, in place of an older one; a `with` block closes it, or abandons it if something is raised within.

    Args:
        uri: where to; local, or of any file system that Beam knows.
        compression: one of Beam's `CompressionTypes`; by default as the name's ending says.

    Guarantee: once writing or closing has raised, nothing more is sent. Google's writer would begin again when it is
    collected, wherever the process is then, try for two minutes, and leave an object that ends in the middle.
    """

    def __init__(self, uri: str, compression: str = CompressionTypes.AUTO) -> None:
        if compression == CompressionTypes.AUTO:
            compression = CompressionTypes.detect_compression_type(uri)
        mime_type = CompressionTypes.mime_type(compression, _BINARY)
        self._uri = uri
        self._file: Any = None
        self._out: Any = None
        with self._errors():
            self._file = self._out = FileSystems.create(uri, mime_type, CompressionTypes.UNCOMPRESSED)
        if compression != CompressionTypes.UNCOMPRESSED:
            self._out = CompressedFile(self._file, compression)

    def write(self, data: bytes) -> None:
        """Appends it.

        Raises:
            DeliveryError: it cannot be, or could not before.
        """
        if self._out is None:
            raise DeliveryError(f"{self._uri} is closed, or writing it has failed before", self._uri)
        with self._errors():
            self._out.write(data)

    def close(self) -> None:
        """Sends what is left; the file is whole afterwards. Does nothing if it is closed, or writing it has failed.

        Raises:
            DeliveryError: it is not whole.
        """
        out, self._out = self._out, None
        if out is not None:
            with self._errors():
                out.close()

    def abandon(self) -> None:
        """Sends nothing more, if the file system can do that: there is no object then. Others close what there is."""
        file, self._file, self._out = self._file, None, None
        if hasattr(file, "terminate"):  # Google's; calling it would ask the store, which may be gone
            file.close = _nothing
        elif file is not None:
            with contextlib.suppress(Exception):
                file.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Abandons the file after any; every file system has its own."""
        try:
            yield
        except BaseException as error:
            self.abandon()
            if not isinstance(error, Exception):
                raise
            raise DeliveryError(f"{self._uri} cannot be written: {store_error_text(error)}", self._uri) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def _nothing() -> None:
    """In place of what a writer does when it is collected."""
