"""The reference of the library, from its docstrings."""

from __future__ import annotations

import inspect
from importlib import import_module

__all__ = ["api"]

_FOR_BEAM = "expand, default_label, display_data"
"""Methods that Beam calls, and nobody else."""


def api(module: str, *names: str) -> str:
    """Signature and docstring of each public name of a module, with the public members of classes."""
    found = import_module(module)
    return "".join(_entry(f"{module}.{name}", getattr(found, name)) for name in names)


def _entry(path: str, thing: object) -> str:
    kind = "autoclass" if inspect.isclass(thing) else "autofunction"
    members = f"   :members:\n   :exclude-members: {_FOR_BEAM}\n" if kind == "autoclass" else ""
    return f"```{{eval-rst}}\n.. {kind}:: {path}\n{members}```\n\n"
