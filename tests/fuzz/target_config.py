"""Configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fuzzing import Target

from dovebeam.transforms.config import load_config
from dovebeam.transforms.errors import ConfigError
from support.corpus import CORPUS


def targets(folder: Path) -> list[Target]:
    """Blocks of the corpus' configuration."""
    return [Target(config_check(folder), blocks_of_config())]


def config_check(folder: Path) -> Callable[[bytes], None]:
    """A configuration is read or is refused with all its problems."""
    path = folder / "dovecot.conf"

    def check(text: bytes) -> None:
        path.write_bytes(text)
        try:
            load_config([path])
        except ConfigError as error:
            assert error.problems
            assert str(error)

    return check


def blocks_of_config() -> list[bytes]:
    """Parts of the real configuration, each with the lines that must come first."""
    head = b"dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
    blocks = (CORPUS / "dovecot.conf").read_bytes().split(b"\n\n")
    return [head + block + b"\n" for block in blocks if b"{" in block]
