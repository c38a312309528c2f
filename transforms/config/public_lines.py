"""Which lines of a configuration are known to hold no secret, by where they stand and what they set."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from dovebeam.transforms.config.blocks import Context, ContextKind, is_in_secret_list, is_list, resolve_key
from dovebeam.transforms.config.disclosure import FREE_TEXTS
from dovebeam.transforms.config.foreign import CONNECTION_BLOCKS
from dovebeam.transforms.config.legacy import is_public_old_name
from dovebeam.transforms.config.reader import LogicalLine
from dovebeam.transforms.config.settings import BLOCKS, PLAIN_BLOCKS, SETTINGS
from dovebeam.transforms.config.statements import Assignment, BlockStart, Statement
from dovebeam.transforms.config.versions import VERSION_SETTINGS

__all__ = ["as_public", "is_public_setting", "public_structure"]

_NOT_OURS = frozenset({ContextKind.FOREIGN, ContextKind.BROKEN})
_MAX_STRUCTURE_WORDS = 3


def as_public(context: Context, statement: Statement, labels: Container[str]) -> Statement:
    """The statement, marked as public if nothing in its line can be a secret.

    Args:
        context: the block that it stands in.
        statement: any.
        labels: those of the groups that are defined.
    """
    if isinstance(statement, Assignment):
        public = _is_public_assignment(context, statement, labels)
    elif isinstance(statement, BlockStart):
        public = _is_public_block(context, statement.key)
    else:
        public = not is_in_secret_list(context)
    if not public:
        return statement
    free = isinstance(statement, Assignment) and resolve_key(context, statement.key) in FREE_TEXTS
    return replace(statement, line=statement.line.as_public(free=free))


def is_public_setting(context: Context, key: str) -> bool:
    """Whether a line `key = ...` in this block holds no secret."""
    if context.kind in _NOT_OURS or is_in_secret_list(context):
        return False
    if context.kind is ContextKind.LIST or (context.kind is ContextKind.ROOT and key in VERSION_SETTINGS):
        return True
    owner, slash, _ = key.partition("/")
    name = resolve_key(context, owner)
    if name in SETTINGS:
        return SETTINGS[name].is_public and (not slash or is_list(name))
    return not slash and (name in BLOCKS or name in PLAIN_BLOCKS or is_public_old_name(context.key, key))


def public_structure(context: Context, line: LogicalLine) -> LogicalLine:
    """A line that is no statement, marked as public if it only lacks or misplaces what makes it a block."""
    words = line.text.replace("{", " ").replace("}", " ").split()
    if is_in_secret_list(context) or "=" in line.text or len(words) > _MAX_STRUCTURE_WORDS:
        return line
    if "{" in line.text and not line.text.endswith("{"):
        return line
    return line.as_public() if not words or _is_public_block(context, words[0]) else line


def _is_public_assignment(context: Context, statement: Assignment, labels: Container[str]) -> bool:
    if statement.key.startswith("@") and not statement.key_quoted:
        return statement.key[1:] in labels and not is_in_secret_list(context)
    return is_public_setting(context, statement.key)


def _is_public_block(context: Context, key: str) -> bool:
    if context.kind in _NOT_OURS or is_in_secret_list(context):
        return False
    name = resolve_key(context, key)
    return (
        name in BLOCKS
        or name in PLAIN_BLOCKS
        or is_list(name)
        or name == "metric_filter"
        or (key in CONNECTION_BLOCKS or key == "group")
    )
