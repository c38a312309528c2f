"""Who imports whom in folders of Python sources, and the circles in that.

Every import counts, wherever it stands: at the top of a module, inside a function, or for type checkers alone. Importing
a module also imports the packages that it is in, except those that the importer is in, too.
"""

from __future__ import annotations

import ast
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Import", "import_circles", "imports_in"]

_Graph = Mapping[str, Mapping[str, "Import"]]


@dataclass(frozen=True, slots=True)
class Import:
    """A module that imports another one.

    Attributes:
        importer: its full name.
        imported: the full name of the other one.
        path: the file of the importer.
        line: where in it the import stands, from 1.
        place: empty for the top of the module, else "in a function" or "for type checkers".
    """

    importer: str
    imported: str
    path: Path
    line: int
    place: str

    def __str__(self) -> str:
        place = f", {self.place}" if self.place else ""
        return f"{self.importer} imports {self.imported} ({self.path}:{self.line}{place})"


def imports_in(folders: Mapping[str, Path]) -> list[Import]:
    """All imports between modules of some folders.

    Args:
        folders: each by the name of the package that it is; empty for scripts, which import each other by plain names.
    """
    modules = {
        _module_name(package, path.relative_to(folder)): path
        for package, folder in folders.items()
        for path in sorted(folder.rglob("*.py"))
    }
    return [
        Import(importer, imported, path, node.lineno, place)
        for importer, path in modules.items()
        for node, place in _statements(ast.parse(path.read_text("utf-8")))
        for imported in _imported_modules(node, importer, modules)
    ]


def import_circles(imports: Sequence[Import]) -> list[list[Import]]:
    """One circle, a shortest one, of each group of modules that all need each other; empty if there is none."""
    graph: dict[str, dict[str, Import]] = defaultdict(dict)
    for each in imports:
        graph[each.importer].setdefault(each.imported, each)
    needed = {name: _needed_by(name, graph) for name in sorted(graph)}
    circles, told = [], set[str]()
    for name, others in needed.items():
        if name in others and name not in told:
            group = {other for other in others if name in needed.get(other, ())}
            told |= group
            circles.append(min((_circle_of(member, graph) for member in sorted(group)), key=len))
    return circles


def _module_name(package: str, path: Path) -> str:
    parts = [part for part in (*package.split("."), *path.with_suffix("").parts) if part]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _statements(node: ast.AST, place: str = "") -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Each import statement with its place."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, place
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, "in a function")
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _statements(child, place or "for type checkers")
        else:
            yield from _statements(child, place)


def _imported_modules(node: ast.Import | ast.ImportFrom, importer: str, modules: Mapping[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        package = importer if modules[importer].name == "__init__.py" else importer.rpartition(".")[0]
        here = package.split(".")[: 1 - node.level or None] if node.level else []
        names = [".".join([*here, *filter(None, [node.module]), alias.name]) for alias in node.names]
    return sorted({module for name in names for module in _modules_of(name, importer, modules)})


def _modules_of(name: str, importer: str, modules: Collection[str]) -> Iterator[str]:
    """The modules that importing `name` imports: the one that it is or is defined in, and packages above that."""
    parts = name.split(".")
    above = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    found = [module for module in above if module in modules]
    for module in found[:-1]:
        if not f"{importer}.".startswith(f"{module}."):
            yield module
    if found and found[-1] != importer:
        yield found[-1]


def _needed_by(name: str, graph: _Graph) -> set[str]:
    """What a module imports, and what that imports, and so on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        fresh = set(graph.get(waiting.pop(), ())) - found
        found |= fresh
        waiting += fresh
    return found


def _circle_of(name: str, graph: _Graph) -> list[Import]:
    """A shortest way from a module back to itself."""
    waiting = deque([(name, list[Import]())])
    seen: set[str] = set()
    while waiting:
        here, way = waiting.popleft()
        for imported, each in sorted(graph.get(here, {}).items()):
            if imported == name:
                return [*way, each]
            if imported not in seen:
                seen.add(imported)
                waiting.append((imported, [*way, each]))
    raise AssertionError(f"{name} is in no circle")
