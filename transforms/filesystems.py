"""Access to files through Beam's file systems: matching, opening, uploading, and the text of their errors."""

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


# An answer can be a whole page of HTML.
_LONGEST_CHARS: Final = 500
# Beam has only this text for a scheme without a file system; tests/test_filesystem_errors.py holds it.
_UNKNOWN: Final = re.compile(r"Unable to get filesystem .* Path specified: (([^:]+)://.*)", re.DOTALL)


def store_error_text(error: Exception) -> str:
    """The text of an exception, without what Beam wraps around it.

    Of Google's it is the status with the store's own message, which names the permission that is missing.
    """
    # Beam wraps the errors of all files of a call; the first one stands for them.
    while isinstance(error, BeamIOError) and error.exception_details:
        inner = next(iter(error.exception_details.values()))
        # Of a request within a batch there is only the status.
        if isinstance(inner, int):
            return f"{inner} {http.client.responses.get(inner, 'unknown status')}"
        if not isinstance(inner, Exception):
            break
        error = inner
    return (_answered(error) or _unknown(error) or error_text(error))[:_LONGEST_CHARS]


def _unknown(error: Exception) -> str:
    """Advice for a URL for which Beam has no file system here; empty for another error."""
    found = _UNKNOWN.match(str(error)) if isinstance(error, ValueError) else None
    if found is None:
        return ""
    path = file_url_path(found[1])
    if path:
        return f"it is a URL of a file of this machine; write its path, {path}"
    advice = "correct the URL, or install what Apache Beam needs for it"
    return f"no installed file system can read or write {found[2]}:// ({advice})"


def _answered(error: Exception) -> str:
    """Answer of a store in the form of Google's; empty for any other error."""
    answer = getattr(error, "response", None)
    try:
        message = answer.json()["error"]["message"]  # type: ignore[union-attr]
        return f"{answer.status_code} {answer.reason}: {message}"  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""


# Matching patterns and opening files.

_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
_NOTHING: Final[Mapping[str, Expected]] = MappingProxyType({})

_logger = logging.getLogger(__name__)


def match_files(
    patterns: Iterable[str], *, limit: int | None = None, names: Mapping[str, str] = _NO_NAMES, tell: bool = False
) -> list[FoundFile]:
    """All files that the patterns match, each once, in the order of their names.

    A local file that is found under several names, by links or other spellings, is listed once.

    Args:
        patterns: globs or plain names, local or of any file system that Beam knows.
        limit: maximum number of objects for each pattern in an object store; local files have no limit.
        names: names of files by their paths, where they differ.
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
                # Beam matches files that may not be opened. Here they are found before anything is read, all at once.
                if not is_url(file.path):
                    check_readable(file.path)
                sizes[file.path] = file.size_in_bytes or 0
            except SourceError as error:
                # A file of a glob that has gone since, by a rotation, is not an error.
                if file.path == pattern or not isinstance(error.__cause__, FileNotFoundError):
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
    # After all patterns, since two of them may lead to one file by a link.
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
        # The first objects may all stand for folders: look at the others before saying that nothing matches.
        if matched and not files and limit:
            return _match(pattern, None)
        # A plain name may have a bracket in it.
        if not matched and FileSystems.exists(pattern):
            files = [FileSystems.get_filesystem(pattern).metadata(pattern)]
    # Each file system has its own exceptions, here and below.
    except Exception as error:
        raise SourceError(f"cannot be matched: {store_error_text(error)}", pattern) from error
    return files


def _is_folder(file: FileMetadata) -> bool:
    """Whether it is one of the empty objects that stand for folders in object stores."""
    return file.path.endswith("/") and is_url(file.path)


def open_file(uri: str, location: str = "") -> FileStream:
    """The file as it is stored, compressed or not.

    Args:
        uri: its name in errors.
        location: the path or URL to open, if it differs from the name.

    Raises:
        DamagedError: it is gone.
        SourceError: it cannot be opened.
    """
    # As it is stored: Beam would decompress by the name's ending, dovebeam goes by the content.
    try:
        file = FileSystems.open(location or uri, compression_type=CompressionTypes.UNCOMPRESSED)
    # Gone by a rotation, say. It is damage and not a failure, since running the bundle again cannot bring it back.
    except FileNotFoundError as error:
        message = "was removed or renamed after the job began; run a job with the name that it has now"
        raise DamagedError(message, uri) from error
    except Exception as error:
        raise SourceError(f"cannot be opened: {store_error_text(error)}", uri) from error
    return FileStream(file, uri)


class MatchFn(beam.DoFn):
    """A pattern, a tuple of patterns (also as bytes) or what `fileio` found, to files with their names as keys.

    Args:
        names: see `match_files`.
        expected: what the manifests of archives say of files, by their names.
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


# Writing files, and abandoning them after a failure.

_BINARY: Final = "application/octet-stream"


class Upload:
    """A file that is being written, in place of an older one; a `with` block closes it, or abandons it on an exception.

    Args:
        uri: the target; local, or of any file system that Beam knows.
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
        # Compressed here and not by `create`: `abandon` needs the writer below.
        if compression != CompressionTypes.UNCOMPRESSED:
            self._out = CompressedFile(self._file, compression)

    def write(self, data: bytes) -> None:
        """Appends data.

        Raises:
            DeliveryError: writing fails now, or has failed before.
        """
        if self._out is None:
            raise DeliveryError(f"{self._uri} is closed, or writing it has failed before", self._uri)
        with self._errors():
            self._out.write(data)

    def close(self) -> None:
        """Sends the rest, so that the file is complete. Does nothing after `close` or a failure.

        Raises:
            DeliveryError: the file is not complete.
        """
        # Taken away first, so that nothing closes it a second time if this fails.
        out, self._out = self._out, None
        if out is not None:
            with self._errors():
                out.close()

    def abandon(self) -> None:
        """Stops sending: a store that can do so then has no object. Other files are closed as they are."""
        file, self._file, self._out = self._file, None, None
        # Only Google's writer has `terminate`. It is not called, because it asks the store, which may be gone; but
        # without a `close` the writer sends nothing more when it is collected.
        if hasattr(file, "terminate"):
            file.close = _nothing
        elif file is not None:
            with contextlib.suppress(Exception):
                file.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Abandons the file on any exception, and makes it a `DeliveryError`."""
        try:
            yield
        # Also for Ctrl-C: an upload that is interrupted anywhere must not become an object.
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
    """Replaces the `close` of a writer that is abandoned."""
