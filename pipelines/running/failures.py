"""One sentence about why a job failed, out of what Beam makes of an exception.

In the launching process Beam raises a copy of the exception with the name of the step added to its first argument, and
the original behind it. From worker processes there is only the text of a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dovebeam.transforms.config import Config
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.progress import StoppedError

__all__ = ["explain_failure", "is_stop"]

_MAX_CAUSES: Final = 50
_MAX_TEXT_CHARS: Final = 2000
_OURS = re.compile(r"^dovebeam\.[\w.]+Error: (.+(?:\n(?!\n)[^\n]+)*)", re.MULTILINE)
_STOPPED = re.compile(rf"^dovebeam\.[\w.]+\.{StoppedError.__name__}\b", re.MULTILINE)
_STEP = re.compile(r" \[while running '([^']*)'\]")
_DELIVERY = re.compile(r"(?:^|/)Deliver to (.+?)(?:/|$)")


def explain_failure(error: BaseException, config: Config, exporter: str = "") -> str:
    """What went wrong and where, as far as it can be told; never a traceback.

    The place is the exporter's block in the configuration, if an exporter's delivery failed.

    Args:
        error: what was raised.
        config: of the job.
        exporter: whose delivery failed, if that is known; else the name of the step tells.
    """
    text = _own_text(error) or _foreign_text(error)
    exporter = exporter or _exporter(error)
    if exporter in config.exporters:
        text = f"{config.exporters[exporter].place}: event_exporter {exporter}: {text}"
    return text


def is_stop(error: BaseException) -> bool:
    """Whether the job ended because it was asked to."""
    return any(isinstance(each, StoppedError) or _STOPPED.search(str(each)) for each in _causes(error))


def _own_text(error: BaseException) -> str:
    """The words of dovebeam's own exception, as they were before Beam touched them."""
    ours = [each for each in _causes(error) if isinstance(each, DovebeamError)]
    if ours:
        return _STEP.sub("", str(ours[-1]))
    for each in _causes(error):
        found = _OURS.search(str(each))
        if found:
            return _STEP.sub("", found[1].strip())
    return ""


def _foreign_text(error: BaseException) -> str:
    lines = [line for line in _STEP.sub("", str(error)).strip().splitlines() if line.strip()]
    text = lines[-1].strip() if lines and lines[0].startswith("Traceback") else " ".join(lines)
    return f"{type(error).__name__}: {text[:_MAX_TEXT_CHARS]} (--debug shows where it comes from)"


def _exporter(error: BaseException) -> str:
    for each in _causes(error):
        for step in _STEP.findall(str(each)):
            found = _DELIVERY.search(step)
            if found:
                return str(found[1])
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__
