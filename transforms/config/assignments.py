"""Assignments: scalars, boolean lists in both forms, and `@label = name`, which includes a group.

Rules from Dovecot's configuration language, sections "Short setting names", "Boolean lists" and "Groups". Inside a
plain block a key that is completed with the block's name is stored in the enclosing block.
"""

from __future__ import annotations

from dovebeam.transforms.config.blocks import Assigned, Context, ContextKind, Element, ListState, is_list, resolve_key
from dovebeam.transforms.config.known_names import BUILT_IN_LABELS
from dovebeam.transforms.config.legacy import add_comparison, group_by_lines
from dovebeam.transforms.config.mistakes import is_ours, report_wrong_value, unknown_setting
from dovebeam.transforms.config.opening import note_brace, report_swallowed_setting, warn_about_swallowed_brace
from dovebeam.transforms.config.places import MASK, Place, shown_header, shown_name
from dovebeam.transforms.config.settings import BLOCKS, NAME_SETTINGS, PLAIN_BLOCKS, SETTINGS, Setting, settings_of
from dovebeam.transforms.config.state import MAX_VALUE_CHARS, ParserState, file_text
from dovebeam.transforms.config.statements import Assignment, ValueKind
from dovebeam.transforms.config.variables import VariableSyntaxError, has_variables, parse_expressions
from dovebeam.transforms.config.written_values import ListSyntaxError, Value, reference_names, split_list, value_of
from dovebeam.transforms.drivers.setting import Kind, ValueTypeError, convert, parse_bool

__all__ = ["assign"]


_REPEATED = frozenset({"event_exporter_name", *(name for name in SETTINGS if name.startswith("metric_"))})
"""Settings whose values are shown in many places, such as the name of a metric in messages and tables."""

_HEREDOC_KINDS = frozenset({Kind.STRING, Kind.FILE, Kind.NAME})


def assign(state: ParserState, statement: Assignment) -> None:
    """Carry out one assignment in the innermost open block."""
    context = state.context
    warn_about_swallowed_brace(state, statement)
    # Read even where the value is skipped: the lines of a heredoc may look like braces.
    heredoc = state.read_heredoc(statement) if statement.kind is ValueKind.HEREDOC else None
    if context.kind is ContextKind.BROKEN and context.list_of is not None:
        # The block `filter { }` of Dovecot 2.3.
        add_comparison(state, context.list_of[1], statement)
    if context.kind is ContextKind.BROKEN or (statement.kind is ValueKind.HEREDOC and heredoc is None):
        return
    if statement.key.startswith("@") and not statement.key_quoted:
        _include_group(state, context, statement)
        return
    if context.kind is ContextKind.LIST and context.list_of is not None:
        name, owner = context.list_of
        _decide(state, owner, name, statement, statement.key)
        return
    name = resolve_key(context, statement.key)
    # Path keys: `fields/x = yes` is an element of the list `fields`.
    if not name and "/" in statement.key:
        first, _, rest = statement.key.partition("/")
        owner_name = resolve_key(context, first)
        if is_list(owner_name):
            _decide(state, context, owner_name, statement, rest)
            return
        if owner_name in BLOCKS:
            # Dovecot accepts it, but does not register the block, so the stats process never sees it.
            message = f"'{first}/...' has no effect; write the setting in a block: {first} NAME {{"
            state.report.warning(statement.line.place(0), message)
            return
    if name:
        _assign_known(state, context, name, statement, heredoc)
        return
    value = heredoc or state.read_value(statement, ours=is_ours(context))
    meant = unknown_setting(state, context, statement, value.text if value else "")
    # The line is not certain to be that setting, so its value may be a secret: it must not become a name that is shown.
    if meant in _REPEATED:
        context.reported.add(meant)
    elif meant and value:
        _assign_known(state, context, meant, statement, heredoc)
    elif value:
        # A setting of another part of Dovecot, kept for a `$SET:` that refers to it.
        context.scalars[statement.key] = Assigned(statement.key, value)


def _assign_known(
    state: ParserState, context: Context, name: str, statement: Assignment, heredoc: Value | None
) -> None:
    line, key = statement.line, statement.key
    if context.kind is ContextKind.FOREIGN:
        value = heredoc or state.read_value(statement, ours=False)
        # It has no effect here, but a `$SET:` with a path can refer to it.
        if value and name in SETTINGS:
            context.scalars[name] = Assigned(key, value)
        return
    if name in BLOCKS or name in PLAIN_BLOCKS:
        _report_block_as_setting(state, name, statement)
        return
    setting = SETTINGS[name]
    if heredoc is not None and setting.kind not in _HEREDOC_KINDS:
        kind = "list settings" if is_list(name) else "this setting"
        text = f"{key}: Heredoc syntax is not supported for {kind}: {name}"
        state.error(line, line.place(0), text, message=f"'{key}' can't be a heredoc; write its value in one line")
        return
    value = heredoc or state.read_value(statement, ours=True)
    if value is None:
        # The filter is there, only its value is wrong; "has no filter" would be a second, false error.
        context.excused = context.excused or name == "metric_filter"
        return
    report_swallowed_setting(state, setting, statement)
    _warn_about_place(state, context, setting, statement)
    if setting.kind is Kind.TEXT_LIST:
        message = f"'{key}' is a block of lines NAME = VALUE"
        state.report.error(line.place(0), message, suggestion=f"write: {key} {{")
        return
    if setting.kind is Kind.BOOL_LIST:
        _assign_list(state, context, setting, statement, value)
        return
    target = context
    # The plain-filter rule of Dovecot: as if it were written in the enclosing block with its full name.
    if context.kind is ContextKind.PLAIN and name.startswith(f"{context.key}_") and context.parent is not None:
        target = context.parent
    if name in value.names:
        value = _append_to_itself(state, target, setting, value)
    else:
        _warn_about_second(state, name, statement)
    # The number of errors tells whether `_check` reported one, after which a stray brace needs no second one.
    errors = len(state.report.errors)
    checked = _check(state, setting, statement, value)
    note_brace(state, name, statement, reported=len(state.report.errors) > errors)
    target.scalars[name] = Assigned(key, value, checked)


def _warn_about_second(state: ParserState, name: str, statement: Assignment) -> None:
    """Warn about a setting that is set twice in a block; another file, or the block opened again, may override."""
    # At the top level defaults are often set several times, and the later one is meant.
    if not state.frames or state.context.kind is ContextKind.CONNECTION:
        return
    place = statement.line.place(0)
    first = state.frames[-1].assigned.setdefault(name, place)
    if first is not place and first.path == place.path:
        message = f"'{statement.key}' is set a second time in this block, after line {first.line}; the last one counts"
        state.report.warning(place, message)


def _check(state: ParserState, setting: Setting, statement: Assignment, value: Value) -> bool:
    """Check the type of a value unless something must be expanded first; returns whether the check is done."""
    line, key = statement.line, statement.key
    if value.kind is ValueKind.QUOTED and _has_bare_quote(statement.text, line.text[statement.value_at - 1]):
        message = (
            "Dovecot removes the quotes at both ends of the value, although they don't belong together; "
            "put the whole value in quotes and a backslash before each inner one"
        )
        state.report.warning(value.place, message)
    # Checked when it is expanded: `Checker` for `$SET:`, `EntryBuilder` for files.
    if value.kind is ValueKind.FILE or value.names:
        return False
    # `%{...}` suspends the check of the type; Dovecot checks only the syntax of the expression here.
    if has_variables(value.text):
        try:
            if setting.kind in {Kind.STRING, Kind.NAME, Kind.FILE} and setting.expanded:
                parse_expressions(value.text)
        except VariableSyntaxError as error:
            text = f"{key}: {value.without_secret(error.message)}"
            message = (
                "this %{...} is not complete; write %{env:NAME} or %{env:NAME | default('text')}, or %%{ for a plain %{"
            )
            state.error(line, value.place_at(error.offset), text, message=message)
            return True
        return False
    try:
        convert(setting, value.text)
    except ValueTypeError as error:
        report_wrong_value(state, setting, statement, value, error)
    return True


def _has_bare_quote(inside: str, quote: str) -> bool:
    """Whether the outer quote also stands inside, without a backslash."""
    return quote in inside.replace("\\\\", "").replace(f"\\{quote}", "")


def _append_to_itself(state: ParserState, context: Context, setting: Setting, value: Value) -> Value:
    """Value that refers to its own setting: the earlier value is inserted at once, as in Dovecot."""
    before = Value(setting.default, ((0, value.place),))
    for layer in context.enclosing():
        if setting.name in layer.scalars:
            before = layer.scalars[setting.name].value
            break
        if layer.kind is ContextKind.NAMED and NAME_SETTINGS[layer.key] == setting.name:
            before = before.with_text(layer.name)
            break
    # References that the earlier value still has keep their numbers; those of this one come after them.
    names = [*before.names]
    pieces: list[str] = []
    position = 0
    for start, end, name in reference_names(value.text, value.names):
        pieces.append(value.text[position:start])
        if name == setting.name:
            pieces.append(before.text)
        else:
            names.append(name)
            pieces.append(f"\0{len(names) - 1}\0")
        position = end
    pieces.append(value.text[position:])
    # A value that doubles itself in each of thirty lines would fill the memory.
    if sum(map(len, pieces)) > MAX_VALUE_CHARS:
        state.report.error(value.place, f"$SET: makes this value longer than {MAX_VALUE_CHARS} characters")
        return value.with_text("")
    # The joined text is as secret as the more secret of both.
    outside = value.from_outside or not before.is_public
    return Value("".join(pieces), ((0, value.place),), tuple(names), ValueKind.VARIABLE, from_outside=outside)


def _assign_list(state: ParserState, context: Context, setting: Setting, statement: Assignment, value: Value) -> None:
    state_of_list = context.lists.setdefault(setting.name, ListState(value.place))
    if value.kind is ValueKind.FILE:
        value = value.with_text(file_text(state.report, state.reader.files, statement.key, value) or "")
        # Dovecot keeps it, too; a line feed does not separate elements.
        if value.text.endswith("\n"):
            message = "the line end of the file becomes a part of the last element; remove it, or write the list here"
            state.report.warning(value.place, message)
    try:
        elements = split_list(value.text)
    except ListSyntaxError as error:
        text = f"{statement.key}: {error.message}"
        message = f"{text}; separate the elements with spaces, and put those with spaces in double quotes"
        state.error(statement.line, value.place_at(error.offset), text, message=message)
        elements = []
    state_of_list.assign(elements, value)


def _decide(state: ParserState, owner: Context, name: str, statement: Assignment, element: str) -> None:
    """Carry out `element = yes`, or `element = text`, in the block form of a list."""
    line = statement.line
    texts = SETTINGS[name].kind is Kind.TEXT_LIST
    if statement.kind is ValueKind.HEREDOC:
        shown = shown_header(statement.key) if texts else statement.key
        text = f"{shown}: Heredoc syntax is not supported for this setting: {name}"
        state.error(line, line.place(0), text)
        return
    value = state.read_value(statement, ours=True)
    if value is None:
        return
    if texts:
        if owner.kind is ContextKind.PLAIN and owner.parent is not None:
            owner = owner.parent
        place = line.place(1 if statement.key_quoted else 0)
        owner.lists.setdefault(name, ListState(place)).decide(element, Element(True, place, value=value))
        return
    try:
        wanted = parse_bool(value.text)
    except ValueTypeError as error:
        text = f"{statement.key}: {value.without_secret(error.message)}"
        state.error(line, value.place, text, message=f"{text}: {error.advice}")
        return
    place = line.place(1 if statement.key_quoted else 0)
    key = Value(element, ((0, place),))
    # The keys of a boolean list are the only ones in which Dovecot expands `$ENV:` and `$SET:`.
    if "$" in element and not statement.key_quoted:
        key = value_of(Assignment(line, "", False, ValueKind.VARIABLE, element, 0), state.environ)
    state_of_list = owner.lists.setdefault(name, ListState(place))
    state_of_list.decide(key.text, Element(wanted, place, key.names))


def _report_block_as_setting(state: ParserState, name: str, statement: Assignment) -> None:
    line, key = statement.line, statement.key
    value = state.read_value(statement, ours=True)
    if value is None:
        return
    if name in PLAIN_BLOCKS:
        text = f"{key}: Setting is a named filter, use '{key} {{'"
        state.error(line, line.place(0), text, message=f"'{key}' is a block", suggestion=f"write: {key} {{")
        return
    shown = value.text if value.is_public else MASK
    text = f"{key}: Setting is a named list filter, use '{key} {shown} {{'"
    suggestion = f"write: {key} NAME {{"
    if name == "metric_group_by" and value.text and value.is_public:
        suggestion = f"write instead:\n{group_by_lines(value.text)}"
    state.error(line, line.place(0), text, message=f"'{key}' is a block with a name", suggestion=suggestion)


def _warn_about_place(state: ParserState, context: Context, setting: Setting, statement: Assignment) -> None:
    """Warn about a setting of event export that has no effect at its place; Dovecot never does."""
    place = statement.line.place(0)
    key = statement.key
    if context.kind is ContextKind.NAMED:
        known = settings_of(context.key) if context.key in BLOCKS else ()
        # A setting of an inner block may stand in the outer one, as a default.
        inner = any(name.startswith(f"{context.key}_") and setting.name.startswith(f"{name}_") for name in BLOCKS)
        if setting not in known and not inner:
            state.report.warning(place, f"'{key}' has no effect inside {context.key}")
    elif context.kind is ContextKind.PLAIN and not setting.name.startswith((f"{context.key}_", "ssl_")):
        message = f"'{key}' has no effect inside {context.key} {{ }}; write it directly in the event_exporter block"
        state.report.warning(place, message)
    elif context.kind in {ContextKind.ROOT, ContextKind.CONNECTION} and setting.block_only:
        block = "event_exporter" if setting.name.startswith("event_exporter") else "metric"
        state.report.warning(place, f"'{key}' has no effect outside a {block} block")


def _include_group(state: ParserState, context: Context, statement: Assignment) -> None:
    """Carry out `@label = name`: the blocks of the group with this name become blocks here, too."""
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
    # Groups about other parts of Dovecot, which dovebeam does not define.
    if label in BUILT_IN_LABELS and label != "metric_defaults":
        return
    text = f"Unknown group @{label}={value.text}" if label in labels else f"Unknown group label @{shown_name(label)}"
    names = sorted(name for known, name in state.groups if known == label)
    suggestion = f"groups with this label so far: {', '.join(names)}" if names else "define the group before this line"
    state.error(line, place, text, message=text, suggestion=suggestion)


def _continue(state: ParserState, context: Context, group: Context) -> None:
    """Make every block of the group a block here, too."""
    context.included.append(group)
    # Without recursion, as deep as blocks may be nested.
    waiting = [(context, group)]
    while waiting:
        target, source = waiting.pop()
        for (key, name), child in source.children.items():
            place: Place = child.place
            continued = state.child(target, child.kind, key, name, place)
            # By reference, not by copy: explicit settings win over those of a group, whatever the order.
            continued.inherited.append(child)
            waiting.append((continued, child))
