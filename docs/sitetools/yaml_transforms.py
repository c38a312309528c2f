"""The transforms for Beam YAML, from their docstrings: what each does, and a table of its config."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from dovebeam.transforms import yaml
from sitetools.tables import code, table

__all__ = ["yaml_transform"]

_ARGUMENT = re.compile(r"    ([a-z_]+): (.*)")


def yaml_transform(name: str) -> str:
    """Reference of one transform: its purpose and a table of its `config`.

    Raises:
        KeyError: there is no such transform.
    """
    if name not in yaml.__all__:
        raise KeyError(name)
    kind = getattr(yaml, name)
    about, _, arguments = inspect.cleandoc(kind.__doc__).partition("\n\nArgs:\n")
    needed = {
        each.name for each in inspect.signature(kind).parameters.values() if each.default is inspect.Parameter.empty
    }
    rows = ((code(key, f"{name}-{key}"), "yes" if key in needed else "", text) for key, text in _arguments(arguments))
    return f"{about}\n\n{table(('config', 'needed', 'meaning'), rows)}"


def _arguments(text: str) -> Iterator[tuple[str, str]]:
    key, words = "", list[str]()
    for line in [*text.splitlines(), "    end: "]:
        if found := _ARGUMENT.fullmatch(line):
            if key:
                yield key, " ".join(words)
            key, words = found[1], [found[2]]
        else:
            words.append(line.strip())
