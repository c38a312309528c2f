"""Files that are written through Beam's file systems, and let go of when they cannot be."""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

from apache_beam.io.filesystem import CompressedFile, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.store_errors import store_error_text

__all__ = ["Upload"]

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
            compression = CompressionTypes.detect_compression_type(uri)  # type: ignore[no-untyped-call]
        mime_type = CompressionTypes.mime_type(compression, _BINARY)  # type: ignore[no-untyped-call]
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
