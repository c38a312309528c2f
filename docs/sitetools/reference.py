"""Fills the reference pages: a comment `<!-- reference: WHAT ARGUMENT ... -->` becomes what the code says on it.

On GitHub the comment is not seen; the page around it says how to get the same from the command or the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from sitetools import api, commands, counters, settings_tables, yaml_transforms

__all__ = ["filled"]

_COMMENT = re.compile(r"^<!-- reference: ([a-z_]+)((?: [^\s>]+)*) -->$", re.MULTILINE)

_MAKERS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {
        "api": api.api,
        "command": commands.command,
        "counters": counters.counters,
        "exit_codes": commands.exit_codes,
        "settings": settings_tables.settings,
        "yaml_transform": yaml_transforms.yaml_transform,
    }
)
"""What a comment can ask for."""


def filled(text: str, page: str) -> str:
    """The page's text with its comments replaced.

    Raises:
        ValueError: a comment asks for what there is not.
    """

    def made(comment: re.Match[str]) -> str:
        try:
            return _MAKERS[comment[1]](*comment[2].split())
        except (KeyError, TypeError) as error:
            raise ValueError(f"{page}: {comment[0]} cannot be filled: {error!r}") from error

    return _COMMENT.sub(made, text)
