"""The includes of groups: `@label = name` makes the blocks of a `group @label name {}` blocks of where it stands.

Rules from Dovecot's configuration language, section "Groups".
"""

from __future__ import annotations

from dovebeam.transforms.config.blocks import Context, ContextKind
from dovebeam.transforms.config.disclosure import shown_name
from dovebeam.transforms.config.foreign import BUILT_IN_LABELS
from dovebeam.transforms.config.places import Place
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import Assignment, ValueKind

__all__ = ["include_group"]


def include_group(state: ParserState, context: Context, statement: Assignment) -> None:
    """Carry out `@label = name`: the blocks of the group that has this name are blocks here, too."""
    line, label = statement.line, statement.key[1:]
    place = line.place(0)
    if context.kind is ContextKind.FOREIGN:
        return
    if any(layer.kind is ContextKind.GROUP for layer in context.enclosing()):
        state.error(line, place, "Recursive include groups not allowed", message="a group can't include another group")
        return
    if statement.kind is ValueKind.VARIABLE:
        text = "Include groups cannot contain $variables"
        state.error(line, line.place(statement.value_at), text, message="write the name of the group itself")
        return
    value = state.read_value(statement, ours=True)
    if value is None:
        return
    group = state.groups.get((label, value.text))
    if group is not None:
        _continue(state, context, group)
        return
    labels = {known for known, _ in state.groups}
    if label in BUILT_IN_LABELS and label != "metric_defaults":
        return
    text = f"Unknown group @{label}={value.text}" if label in labels else f"Unknown group label @{shown_name(label)}"
    names = sorted(name for known, name in state.groups if known == label)
    suggestion = f"groups with this label so far: {', '.join(names)}" if names else "define the group before this line"
    state.error(line, place, text, message=text, suggestion=suggestion)


def _continue(state: ParserState, context: Context, group: Context) -> None:
    """Make every block of the group a block here, too."""
    context.included.append(group)
    waiting = [(context, group)]
    while waiting:
        target, source = waiting.pop()
        for (key, name), child in source.children.items():
            place: Place = child.place
            continued = state.child(target, child.kind, key, name, place)
            continued.inherited.append(child)
            waiting.append((continued, child))
