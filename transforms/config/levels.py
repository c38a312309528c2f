"""Effective values: levels of inheritance, expansion of `$SET:`, files, and boolean lists over several levels.

Rules from Dovecot's configuration language, sections "Precedence and inheritance", "$SET: and $ENV:" and "Boolean
lists". The levels, most specific first: the block itself (of several places the one first opened later), groups in it,
`protocol stats`, the top level, defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dovebeam.transforms.config.blocks import Assigned, Context, ContextKind, is_list
from dovebeam.transforms.config.files import ConfigFiles
from dovebeam.transforms.config.known_names import is_other_part
from dovebeam.transforms.config.places import MASK, Place, Report, Stage, at_line
from dovebeam.transforms.config.settings import BLOCKS, NAME_SETTINGS, PLAIN_BLOCKS, SETTINGS
from dovebeam.transforms.config.state import MAX_VALUE_CHARS, file_text
from dovebeam.transforms.config.statements import ValueKind
from dovebeam.transforms.config.written_values import Value, reference_names

__all__ = ["Expander", "active_parents", "layers_of", "list_elements", "lookup", "merged_blocks"]

# Each link of a chain is a Python call on the stack.
_MAX_CHAIN = 50
# `ssl_client { }` is a level of its own for settings of TLS, just inside the one that it stands in.
_TLS_BLOCK = ("ssl_client", "")


def active_parents(root: Context) -> list[Context]:
    """Top level and every block for service `stats`, in the order of first opening; the tree must be complete."""
    # Cached, since every exporter and metric asks for it.
    if root.active is None:
        found = [root]
        # Grows while it is read: `protocol` blocks can be nested.
        for context in found:
            found += [c for c in context.children.values() if c.kind is ContextKind.CONNECTION and c.is_active()]
        root.active = sorted(found, key=lambda context: context.rank)
    return root.active


def merged_blocks(parents: Iterable[Context], key: str) -> dict[str, list[Context]]:
    """Blocks of one kind by name: all places where a name was opened, names in the order of first opening."""
    found = [c for parent in parents for c in parent.children.values() if c.is_named(key)]
    merged: dict[str, list[Context]] = {}
    for context in sorted(found, key=lambda c: c.rank):
        merged.setdefault(context.name, []).append(context)
    return merged


def layers_of(contexts: list[Context], *, block_only: bool = False) -> list[Context]:
    """Levels at which a setting of a block is looked up, most specific first.

    Args:
        contexts: all places where the block was opened.
        block_only: only the block and the groups in it.
    """
    layers = _with_groups(contexts)
    if block_only:
        return layers
    outer: dict[int, Context] = {}
    for context in contexts:
        for parent in context.enclosing():
            if parent is not context:
                outer[id(parent)] = parent
    # A group_by inherits from its metric, before any connection block or the top level.
    enclosing_blocks = [c for c in outer.values() if c.kind is ContextKind.NAMED]
    connections = {id(c): c for c in outer.values() if c.kind is ContextKind.CONNECTION}
    roots = [c for c in outer.values() if c.kind is ContextKind.ROOT]
    if all(connection.is_active() for connection in connections.values()):
        # What is set for service stats applies to its blocks at the top level, too.
        connections |= {id(c): c for root in roots for c in active_parents(root) if c is not root}
    return layers + _with_groups(enclosing_blocks) + _with_groups(list(connections.values())) + _with_groups(roots)


def _with_groups(contexts: list[Context]) -> list[Context]:
    # Not the more specific one but the one first opened later wins, as recorded of Dovecot.
    later_first = sorted(contexts, key=lambda c: -c.rank)
    return later_first + [group for context in later_first for group in reversed(context.groups)]


def lookup(layers: Iterable[Context], name: str) -> tuple[Assigned, Context] | None:
    """Effective assignment of a setting, and the context of it; `None` if the default applies."""
    tls = name.startswith("ssl_")
    for layer in layers:
        inner = layer.children.get(_TLS_BLOCK) if tls else None
        for context in (inner, layer) if inner else (layer,):
            if name in context.scalars:
                return context.scalars[name], context
    return None


@dataclass(slots=True)
class Expander:
    """Expansion of `$SET:` and reading of files, each assignment once; every problem is reported once."""

    report: Report
    main_path: str
    files: ConfigFiles
    # By id(): assignments with the same text at two places are two. `_kept` holds them, so that no id is used again.
    _done: dict[int, str] = field(default_factory=dict)
    _kept: list[Assigned] = field(default_factory=list)
    _active: list[int] = field(default_factory=list)
    _failed: set[int] = field(default_factory=set)
    _hidden: dict[int, bool] = field(default_factory=dict)

    def failed(self, assigned: Assigned) -> bool:
        """Whether the expansion of this assignment failed, so that its value is meaningless."""
        return id(assigned) in self._failed

    def hides(self, assigned: Assigned) -> bool:
        """Whether the text of this assignment may hold a secret: its own, or one from a file or a `$SET:`."""
        known = self._hidden.get(id(assigned))
        if known is None:
            known = self._hidden[id(assigned)] = not assigned.value.is_public
            self._kept.append(assigned)
        return known

    def _shown(self, assigned: Assigned, name: str) -> str:
        """Name after a `$SET:` for display; it may be a piece of a secret."""
        return MASK if self.hides(assigned) else name

    def text(self, assigned: Assigned, context: Context) -> str:
        """Text of an assignment with all `$SET:` expanded, or the content of its file."""
        known = self._done.get(id(assigned))
        if known is not None:
            return known
        value = assigned.value
        if value.kind is ValueKind.FILE:
            content = file_text(self.report, self.files, assigned.key, value)
            if content is None:
                self._failed.add(id(assigned))
            self._hidden[id(assigned)] = True
            text = content or ""
        elif value.names:
            text = self._expand(assigned, value, context)
        else:
            return value.text
        self._done[id(assigned)] = text
        self._kept.append(assigned)
        return text

    def element(self, text: str, names: tuple[str, ...], place: Place, context: Context) -> str:
        """Element of a list with its references expanded."""
        if not names:
            return text
        return self.text(Assigned("", Value(text, ((0, place),), names)), context)

    def _expand(self, assigned: Assigned, value: Value, context: Context) -> str:
        self._active.append(id(assigned))
        pieces: list[str] = []
        position = 0
        for start, end, name in reference_names(value.text, value.names):
            pieces.append(value.text[position:start])
            pieces.append(self._reference(assigned, name, context))
            position = end
        pieces.append(value.text[position:])
        self._active.pop()
        text = "".join(pieces)
        if len(text) > MAX_VALUE_CHARS:
            self._fail(assigned, f"$SET: makes this value longer than {MAX_VALUE_CHARS} characters", "")
            return ""
        return text

    def _reference(self, assigned: Assigned, name: str, context: Context) -> str:
        path, slash, setting = name.rpartition("/")
        start: Context | None = context
        if slash:
            start = _find(context, path)
            if start is None:
                name, path = self._shown(assigned, name), self._shown(assigned, path)
                text = f"Failed to expand $SET:{name}: Unknown filter path: {path}"
                message = f"$SET:{name}: there is no block '{path}'; a $SET: name ends only at a space"
                self._fail(assigned, message, text)
                return ""
        # From the innermost block outwards, and only by full names; a path looks in the one block that it names.
        while start is not None:
            found = start.scalars.get(setting)
            if found is not None:
                return self._follow(assigned, name, found, start)
            # The name of a block is the initial value of its name setting.
            if NAME_SETTINGS.get(start.key) == setting and start.kind is ContextKind.NAMED:
                return start.name
            # A list can't be expanded to a text; `_default` reports it.
            if setting in start.lists:
                break
            group = next((g for g in reversed(start.groups) if setting in g.scalars), None)
            if group is not None:
                return self._follow(assigned, name, group.scalars[setting], group)
            start = start.parent if not slash else None
        return self._default(assigned, name, setting)

    def _follow(self, assigned: Assigned, name: str, found: Assigned, context: Context) -> str:
        if len(self._active) > _MAX_CHAIN:
            self._fail(assigned, f"more than {_MAX_CHAIN} $SET: refer to each other here", "")
            return ""
        if id(found) in self._active:
            shown = self._shown(assigned, name)
            text = f"Error in configuration file {self.main_path}: Chained $SET:{shown} loops back to itself"
            message = f"$SET:{shown} refers back to itself"
            self._fail(assigned, message, text, whole=True)
            return ""
        expanded = self.text(found, context)
        # What a value takes from another one stays as secret as it was there.
        if self.hides(found):
            self._hidden[id(assigned)] = True
        if self.failed(found):
            self._failed.add(id(assigned))
            self._kept.append(assigned)
        return expanded

    def _default(self, assigned: Assigned, name: str, setting: str) -> str:
        name, shown = self._shown(assigned, name), self._shown(assigned, setting)
        if is_list(setting) or setting in BLOCKS or setting in PLAIN_BLOCKS:
            text = f"Failed to expand $SET:{name}: Setting type can't be expanded to string"
            self._fail(assigned, f"$SET:{name}: a list or block can't be expanded to a text", text)
        elif setting in SETTINGS:
            return SETTINGS[setting].default
        # Dovecot would take the default of that setting, which dovebeam can't know.
        elif is_other_part(setting):
            message = f"dovebeam doesn't know Dovecot's default of '{shown}'; assign it, or write its value here"
            self._fail(assigned, message, "")
        else:
            text = f"Failed to expand $SET:{name}: Unknown setting: {shown}"
            message = f"$SET:{name}: no setting of this name; $SET: takes full names, such as metric_description"
            self._fail(assigned, message, text)
        return ""

    def _fail(self, assigned: Assigned, message: str, text: str, *, whole: bool = False) -> None:
        # An assignment can be expanded for several exporters; one report is enough.
        if id(assigned) in self._failed:
            return
        self._failed.add(id(assigned))
        self._kept.append(assigned)
        place = assigned.value.place
        dovecot = text if whole or not text else at_line(place.path, place.line, text)
        self.report.error(place, message, dovecot=dovecot, stage=Stage.EXPAND)


def list_elements(layers: list[Context], name: str, default: Iterable[str], expander: Expander) -> Iterator[str]:
    """Elements of a boolean list: those of the most specific level, then those that less specific levels add."""
    decided: set[str] = set()
    for layer in layers:
        state = layer.lists.get(name)
        if state is None:
            continue
        for text, element in state.elements.items():
            item = expander.element(text, element.names, element.place, layer)
            if item not in decided:
                decided.add(item)
                if element.wanted:
                    yield item
        # An assignment has replaced whatever less specific levels say.
        if state.cut:
            return
    yield from (item for item in default if item not in decided)


def _find(context: Context, path: str) -> Context | None:
    """Block that a path such as `metric/x` names, looked up from the top level."""
    current = list(context.enclosing())[-1]
    parts = path.split("/")
    while parts:
        key = parts.pop(0)
        # A part may be the name of the block before it (`metric/x`), or the next block (`ssl_client`).
        child = current.children.get((key, parts[0])) if parts else None
        if child is not None:
            parts.pop(0)
        else:
            child = current.children.get((key, ""))
        if child is None:
            return None
        current = child
    return current
