"""Failures to read say which file and where."""

from __future__ import annotations

import io
import pickle

import pytest

from dovebeam.transforms.sources import FileStream, SourceError


class Failing(io.BytesIO):
    """A file whose disk breaks."""

    def __init__(self, error: Exception) -> None:
        super().__init__(b"some bytes")
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise self.error
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise self.error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(5, "Input/output error"), "Input/output error"),
        (RuntimeError("connection reset"), "RuntimeError: connection reset"),
    ],
)
def test_any_exception_of_a_file_system_becomes_a_source_error(error: Exception, text: str) -> None:
    """With the file, the offset reached, and what the file system said."""
    stream = FileStream(Failing(error), "gs://mail/x")
    assert stream.read(4) == b"some"
    with pytest.raises(SourceError, match=f"^gs://mail/x, byte 4: cannot be read: {text}$"):
        stream.read(4)
    with pytest.raises(SourceError, match=f"^gs://mail/x, byte 7: .*{text}$"):
        stream.seek(7)


def test_file_is_closed() -> None:
    """At the end of the context."""
    file = io.BytesIO(b"x")
    with FileStream(file, "x") as stream:
        assert stream.read(1) == b"x"
    assert file.closed


@pytest.mark.parametrize("arguments", [("message",), ("message", "uri"), ("message", "uri", 7)])
def test_errors_cross_processes_and_take_beams_step(arguments: tuple[str, str, int]) -> None:
    """They are pickled whole, and Beam's way of adding a step's name keeps file and offset."""
    error = SourceError(*arguments)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.uri, copy.offset) == (str(error), error.uri, error.offset)
    assert str(type(error)(error.args[0] + " [step]", *error.args[1:])) == f"{error} [step]"
