"""The last resort of the decoders: whatever an input makes them raise, it is a DecodeError.

One line that raises anything else would fail its bundle each time it is tried: an export ends, a stream never gets past
it. Nothing is known to need this; the fuzzer takes `UNEXPECTED` in a reason for a finding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from dovebeam.transforms.errors import DecodeError

__all__ = ["UNEXPECTED", "only_decode_errors"]

UNEXPECTED: Final = "dovebeam cannot decode this, and should say why"

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def only_decode_errors(decode: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The decoder with every exception that an input can cause as a DecodeError; lack of memory is the machine's."""

    @wraps(decode)
    def decode_or_refuse(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return decode(*args, **kwargs)
        except (DecodeError, MemoryError):
            raise
        except Exception as error:
            raise DecodeError(f"{UNEXPECTED} (please report it): {type(error).__name__}: {error}") from error

    return decode_or_refuse
