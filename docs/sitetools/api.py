"""The reference of the library, from its docstrings."""

from __future__ import annotations

import inspect
from importlib import import_module

__all__ = ["api"]

_FOR_BEAM = "expand, default_label, display_data"
"""Methods that only Beam calls."""


def api(module: str, *names: str) -> str:
    """Signature and docstring of each public name of a module, with the public members of classes."""
    found = import_module(module)
    return "".join(_entry(f"{module}.{name}", getattr(found, name)) for name in names)


def _entry(path: str, thing: object) -> str:
    if not inspect.isclass(thing):
        return _directive("autofunction", path)
    if issubclass(thing, tuple):  # its members are aliases of numbers; what they are is in the docstring
        return _directive("autoclass", path)
    return _directive("autoclass", path, ":members:", f":exclude-members: {_FOR_BEAM}")


def _directive(kind: str, path: str, *options: str) -> str:
    lines = ["```{eval-rst}", f".. {kind}:: {path}", *(f"   {option}" for option in options), "```"]
    return "\n".join([*lines, "", ""])
