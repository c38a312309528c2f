"""The figures of the house: how many modules, how long, how they are named, and whether imports go in circles.

    PYTHONPATH=tests python tests/structure/figures.py

prints them; `test_figures.py` holds them to the limits that CONTRIBUTING.md names.
"""

from __future__ import annotations

import ast
import collections
import functools
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from structure.import_graph import Import, import_circles, imports_in

ROOT = Path(__file__).parents[2]
FOLDERS = ("transforms", "pipelines", "templates")
MOST_MODULES = 250
MOST_SHORT = 40
SHORT_LINES = 60
MOST_LINES = 400
MOST_BODY_LINES = 60
# Names that the rules of the house give to a file in every folder that has one.
NAMES_BY_RULE = {"__init__.py", "__main__.py", "command.py", "options.py", "settings.py", "driver.py"}


@dataclass(frozen=True, slots=True)
class Module:
    """One file: its path below the project's root, its name for an import, its text and its tree."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """The number of lines."""
        return len(self.text.splitlines())


@functools.cache
def modules(root: Path = ROOT) -> list[Module]:
    """Every module of the package and the templates, by path; read once, and not while tests are collected."""
    found = []
    for path in sorted(each for folder in FOLDERS for each in (root / folder).rglob("*.py")):
        relative = path.relative_to(root).as_posix()
        name = "dovebeam." + relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        text = path.read_text()
        found.append(Module(relative, name, text, ast.parse(text)))
    return found


def short_modules(among: list[Module]) -> list[str]:
    """Modules under 60 lines; an `__init__` is as long as its list of names."""
    return [each.path for each in among if each.lines < SHORT_LINES and not each.path.endswith("__init__.py")]


def long_modules(among: list[Module]) -> list[str]:
    """Modules over 400 lines."""
    return [each.path for each in among if each.lines > MOST_LINES]


def long_functions(among: list[Module]) -> list[str]:
    """Functions whose body, without the docstring, is over 60 lines."""
    found = []
    for module in among:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
                if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > MOST_BODY_LINES:
                    found.append(f"{module.path}:{node.lineno} {node.name}")
    return found


def repeated_names(among: list[Module]) -> dict[str, list[str]]:
    """File names that more than two folders use, though no rule of the house gives them."""
    uses = collections.defaultdict(list)
    for each in among:
        folder, _, name = each.path.rpartition("/")
        if name not in NAMES_BY_RULE:
            uses[name].append(folder)
    return {name: folders for name, folders in uses.items() if len(folders) > 2}


def similar_names(among: list[Module]) -> list[tuple[str, str]]:
    """Pairs of modules or folders that stand side by side and have nearly one name, as `decode` and `decoding`."""
    folders = collections.defaultdict(set)
    for each in among:
        parts = each.path.removesuffix(".py").split("/")
        for depth in range(1, len(parts)):
            folders["/".join(parts[:depth])].add(parts[depth])
    pairs = []
    for folder, names in sorted(folders.items()):
        for one, other in itertools.combinations(sorted(names - {"__init__", "__main__"}), 2):
            if _stem(one) == _stem(other):
                pairs.append((f"{folder}/{one}", f"{folder}/{other}"))
    return pairs


def _stem(name: str) -> str:
    """A name without what makes a plural, a verb or a doer of its words."""
    return "_".join(re.sub(r"(?<=...)(ings?|ers?|ors?|ions?|ed|es|e|s)$", "", word) for word in name.split("_"))


def imported_names(module: Module) -> set[str]:
    """The names of all modules that one may import, anywhere in it; `from a import b` gives `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    return names


def imports(module: Module, known: dict[str, Module]) -> set[str]:
    """The paths of the modules that one imports, anywhere in it, also under TYPE_CHECKING and inside functions.

    What comes from a package counts as an import of the package's `__init__` only if it isn't a module itself.
    """
    found: set[str] = set()
    for node in ast.walk(module.tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules_of = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [each if each in known else node.module for each in modules_of]
        found.update(known[name].path for name in names if name in known)
    return found - {module.path}


def circles(root: Path = ROOT) -> list[list[Import]]:
    """The import circles of the package and the templates, a shortest one for each group of modules."""
    folders = {f"dovebeam.{folder}": root / folder for folder in FOLDERS}
    return import_circles(imports_in({name: folder for name, folder in folders.items() if folder.is_dir()}))


def comment_share(among: list[Module]) -> float:
    """The share of lines that are comments of their own or carry one, in percent."""
    lines = [line.strip() for each in among for line in each.text.splitlines()]
    return 100 * sum(line.startswith("#") for line in lines) / len(lines)


def main() -> None:
    """Prints the figures."""
    among = modules()
    code = [each for each in among if not each.path.endswith("__init__.py")]
    print(
        f"modules:                    {len(among)} (at most {MOST_MODULES}), {sum(each.lines for each in among)} lines"
    )
    print(f"under {SHORT_LINES} lines:             {len(short_modules(among))} (at most {MOST_SHORT})")
    print(f"over {MOST_LINES} lines:             {long_modules(among) or 'none'}")
    print(f"bodies over {MOST_BODY_LINES} lines:       {long_functions(among) or 'none'}")
    print(f"import circles:             {[[str(each) for each in circle] for circle in circles()] or 'none'}")
    print(f"nearly one name:            {similar_names(among) or 'none'}")
    print(f"names used more than twice: {repeated_names(among) or 'none'}")
    print(f"lines that are comments:    {comment_share(code):.1f} %")


if __name__ == "__main__":
    main()
