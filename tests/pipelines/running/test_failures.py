"""What is said about a job that failed."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from dovebeam.pipelines.running.local import explain_failure, is_stop
from dovebeam.transforms import Config, load_config
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.progress import StoppedError
from dovebeam.transforms.sources import SourceError
from support.jobs.commands import exporter, metric, write_config

STEP = " [while running 'Export/Deliver to a/Deliver']"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """One exporter."""
    return load_config(write_config(tmp_path, exporter("a", "drop"), metric("m", "event=*", "a")))


def raised_by_beam(original: Exception) -> Exception:
    """Beam's copy of an exception, with the step in its first argument."""
    try:
        try:
            raise original
        except Exception as error:
            raise type(error)(f"{error.args[0]}{STEP}", *error.args[1:])  # noqa: B904  as Beam does it
    except Exception as error:
        return error


def sent_by_a_worker(error: Exception) -> Exception:
    """What the launcher gets from another process."""
    return RuntimeError("".join(traceback.format_exception(raised_by_beam(error))))


@pytest.mark.parametrize("arrive", [raised_by_beam, sent_by_a_worker])
def test_delivery(config: Config, tmp_path: Path, arrive: object) -> None:
    """The driver's sentence, after the place and the name of its exporter."""
    text = explain_failure(arrive(DeliveryError("write(/x) failed: disk full (make room)", "/x")), config)
    assert text == f"{tmp_path}/dovecot.conf:3: event_exporter a: write(/x) failed: disk full (make room)"


def test_source(config: Config) -> None:
    """A file that cannot be read is named."""
    assert explain_failure(SourceError("is cut off", "/in/x.gz", 17), config) == "/in/x.gz, byte 17: is cut off"


def test_foreign(config: Config) -> None:
    """Anything else is one line with its type and how to learn more, never a traceback."""
    text = explain_failure(ValueError("line\nand line"), config)
    assert text == "ValueError: line and line (--debug shows where it comes from)"
    remote = RuntimeError("Traceback (most recent call last):\n  File x\nKeyError: 'k' [while running 'Read']\n\n")
    assert explain_failure(remote, config) == "RuntimeError: KeyError: 'k' (--debug shows where it comes from)"


def test_stop() -> None:
    """A stop that was asked for is told from a failure, also out of another process."""
    assert is_stop(StoppedError())
    assert is_stop(raised_by_beam(StoppedError()))
    assert is_stop(sent_by_a_worker(StoppedError()))
    assert not is_stop(sent_by_a_worker(DeliveryError("x")))


def test_a_circle_of_causes_ends(config: Config) -> None:
    """Exceptions that are each other's causes are looked at a bounded number of times."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert explain_failure(one, config).startswith("ValueError: one")
