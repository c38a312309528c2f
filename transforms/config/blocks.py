"""Tree of blocks as it was read: contexts with their assignments, lists and included groups.

Rules from Dovecot's configuration language, sections "Blocks" and "Short setting names". Opening the same kind and name
a second time at the same place continues the same block; its rank stays that of the first opening.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dovebeam.transforms.config.places import MASK, Place
from dovebeam.transforms.config.settings import BLOCKS, NAME_SETTINGS, PLAIN_BLOCKS, SETTINGS
from dovebeam.transforms.config.statements import ValueKind
from dovebeam.transforms.config.written_values import Value
from dovebeam.transforms.drivers.setting import Kind

__all__ = [
    "Assigned",
    "Context",
    "ContextKind",
    "Element",
    "ListState",
    "completions",
    "is_in_secret_list",
    "is_list",
    "name_of",
    "resolve_key",
]


class ContextKind(enum.Enum):
    """Kind of a block, as event export sees it."""

    # NAMED are "named list filters" (`metric NAME {`), PLAIN "named filters" (`ssl_client {`), CONNECTION the likes of
    # `protocol stats {`. FOREIGN belongs to another part of Dovecot; BROKEN is ours with an error, and is skipped.

    ROOT = "root"
    NAMED = "named"
    PLAIN = "plain"
    CONNECTION = "connection"
    LIST = "list"
    GROUP = "group"
    FOREIGN = "foreign"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Assigned:
    """Last assignment of a scalar setting in a context; `checked` if its type has been checked already."""

    key: str
    value: Value
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """Statement of a context about one element of a list; `names` as in `Value`, `value` if it has one."""

    wanted: bool
    place: Place
    names: tuple[str, ...] = ()
    value: Value | None = None


@dataclass(slots=True)
class ListState:
    """State of a boolean list in one context.

    Attributes:
        elements: each element that was mentioned, in that order.
        cut: an assignment has cut the list off from less specific levels.
        place: the first statement about the list.
        added_at: the first element added in the block form before any assignment.
    """

    place: Place
    elements: dict[str, Element] = field(default_factory=dict)
    cut: bool = False
    added_at: Place | None = None

    def assign(self, elements: Iterable[str], value: Value) -> None:
        """`list = a b`: replaces whatever this context said before."""
        # Whatever block forms said before is gone too: the list starts from nothing, also in less specific levels.
        self.elements = {name: Element(True, value.place, value.names) for name in elements}
        self.cut = True
        self.added_at = None

    def decide(self, name: str, element: Element) -> None:
        """`list { name = yes }`: changes one element."""
        self.elements[name] = element
        # Kept for a warning: adding to a list that still has its default is the usual mistake with exporter_include.
        if element.wanted and not self.cut and self.added_at is None:
            self.added_at = element.place


@dataclass(slots=True, eq=False)
class Context:
    """One block, or the top level.

    Attributes:
        kind: what it is to event export.
        key: the full name of the block's kind; for a group its label.
        name: the block's name, an empty string for a block without one.
        parent: the enclosing block.
        place: where it was first opened.
        rank: counts contexts in the order of first opening.
        children: by kind and name, in the order of first opening.
        scalars, lists: what was assigned here, by full name.
        included: groups that this very block includes, in order.
        inherited: blocks of groups that an enclosing block includes and that continue this block.
        list_of: for the block form of a list, the list's full name and the context that it belongs to.
        reported: full names of settings that are missing here because of an error that is reported already.
        left_out: what a later Dovecot has in this block, so that the block is left out; empty if there is nothing.
        excused: a 2.3 selector stands where the filter should be; its own error is enough.
        old_terms: selectors of 2.3 in this block, rewritten as parts of a filter.
        old_errors: indexes of the errors about those selectors.
        active: for the top level, the blocks for service `stats` once they are known.
    """

    kind: ContextKind
    key: str
    name: str
    parent: Context | None
    place: Place
    rank: int
    children: dict[tuple[str, str], Context] = field(default_factory=dict)
    scalars: dict[str, Assigned] = field(default_factory=dict)
    lists: dict[str, ListState] = field(default_factory=dict)
    included: list[Context] = field(default_factory=list)
    inherited: list[Context] = field(default_factory=list)
    list_of: tuple[str, Context] | None = None
    reported: set[str] = field(default_factory=set)
    left_out: str = ""
    excused: bool = False
    old_terms: list[str] = field(default_factory=list)
    old_errors: list[int] = field(default_factory=list)
    active: list[Context] | None = None

    @property
    def groups(self) -> list[Context]:
        """Every group that continues this block; of two that set the same, the later one counts."""
        # Readers go through it from the end, so a group included here wins over one of an enclosing block.
        return self.inherited + self.included

    def is_named(self, key: str) -> bool:
        """Whether this is a block `key NAME {`."""
        return self.kind is ContextKind.NAMED and self.key == key

    def is_active(self) -> bool:
        """Whether the stats process reads blocks in this context: the top level, or one for service `stats`."""
        context: Context | None = self
        while context is not None:
            if context.kind is ContextKind.CONNECTION:
                # `local`, `remote` and `local_name` depend on a connection, and the stats process has none.
                if context.key != "protocol" or not _is_for_stats(context.name):
                    return False
            elif context.kind is not ContextKind.ROOT:
                return False
            context = context.parent
        return True

    def enclosing(self) -> Iterator[Context]:
        """This context and all enclosing ones, innermost first."""
        context: Context | None = self
        while context is not None:
            yield context
            context = context.parent

    def walk(self) -> Iterator[Context]:
        """This context and everything in it, in the order of first opening."""
        # Sorted at the end: a block can be opened again, so an inner block may be younger than its siblings' children.
        waiting = [self]
        found: list[Context] = []
        while waiting:
            context = waiting.pop()
            found.append(context)
            waiting.extend(context.children.values())
        return iter(sorted(found, key=lambda context: context.rank))


def _is_for_stats(protocol: str) -> bool:
    # `protocol !imap` means every service but imap, so stats is among them.
    return protocol == "stats" or (protocol.startswith("!") and protocol != "!stats")


def completions(context: Context, key: str) -> Iterator[str]:
    """Full names that a key may stand for; the first one that exists is used."""
    if context.kind is ContextKind.NAMED:
        # First with the block's own name: in `event_exporter file {`, `path` is event_exporter_file_path.
        yield f"{context.key}_{context.name.replace('/', '_')}_{key}"
    if context.kind in {ContextKind.NAMED, ContextKind.PLAIN, ContextKind.GROUP}:
        yield f"{context.key}_{key}"
    yield key


def resolve_key(context: Context, key: str) -> str:
    """Full name of the setting or block that a key stands for, or an empty string."""
    for name in completions(context, key):
        # Plain blocks are not completed: `http_post {` in an exporter is unknown, its full name is required.
        if name in SETTINGS or name in BLOCKS or (name in PLAIN_BLOCKS and name == key):
            return name
    return ""


def name_of(context: Context) -> str:
    """Effective name of a named block, which a setting in it may override; `***` if that may be a secret."""
    setting = NAME_SETTINGS[context.key]
    # The block itself wins over its groups, whatever the order in the file.
    for layer in (context, *reversed(context.groups)):
        if setting in layer.scalars:
            value = layer.scalars[setting].value
            written = value.is_public and not value.names and value.kind is not ValueKind.FILE
            return value.text if written else MASK
    return context.name


def is_in_secret_list(context: Context) -> bool:
    """Whether lines of this block hold secrets under names of their own."""
    return context.list_of is not None and SETTINGS[context.list_of[0]].secret


def is_list(name: str) -> bool:
    """Whether this full name is that of a list, which has a block form."""
    return name in SETTINGS and SETTINGS[name].kind in {Kind.BOOL_LIST, Kind.TEXT_LIST}
