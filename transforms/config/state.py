"""State of the parser: the tree, the stack of open blocks, the groups, the environment.

It also makes blocks, reads values and reports errors for the modules that carry out statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dovebeam.transforms.config.blocks import Context, ContextKind
from dovebeam.transforms.config.files import ConfigFiles, TooLargeError
from dovebeam.transforms.config.known_names import Later
from dovebeam.transforms.config.places import MASK, Place, Report, Stage, at_line
from dovebeam.transforms.config.reader import LogicalLine, LogicalReader, public_marks
from dovebeam.transforms.config.statements import Assignment, StatementError, ValueKind
from dovebeam.transforms.config.written_values import Value, value_of

__all__ = ["MAX_DEPTH", "MAX_VALUE_CHARS", "Brace", "Frame", "ParserState", "file_text"]

# Including a group copies its blocks, and copies multiply; these bounds keep memory and recursion small.
MAX_BLOCKS: Final = 200_000
MAX_DEPTH: Final = 100
MAX_VALUE_CHARS: Final = 1024 * 1024
"""Limit of a value that `$SET:` expands, and of a file that is a value."""


class Brace(NamedTuple):
    """A `}` at the end of a value: its place, the setting, and whether that value is reported as an error already."""

    place: Place
    setting: str
    reported: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """An open block, the line that opened it, and the settings since then.

    Attributes:
        context: the block.
        place: of the line that opened it.
        assigned: place where each setting was first set.
        braces: values in it that end with a `}`, which closes no block but may have been meant to.
    """

    context: Context
    place: Place
    assigned: dict[str, Place] = field(default_factory=dict)
    braces: list[Brace] = field(default_factory=list)


@dataclass(slots=True)
class ParserState:
    """Everything that the parser knows while it reads.

    Attributes:
        report: errors and warnings.
        environ: for `$ENV:`.
        reader: gives the lines.
        root: the top level.
        frames: open blocks, the innermost last.
        groups: defined groups by label and name.
        main_path: the first file, which Dovecot's messages without a line name.
        others: the files that are read after it.
        config_version: as set, empty before.
        storage_version_set: whether `dovecot_storage_version` was seen.
        started: whether the first statement was seen.
        unclosed: blocks that were open at the end of the input.
        ranks: number of blocks so far.
        full: the limit of blocks is reached, so that reading has ended.
        suggestions_left: number of unknown names for which a similar one will still be looked for.
    """

    report: Report
    environ: Mapping[str, str]
    reader: LogicalReader
    root: Context
    main_path: str
    others: tuple[str, ...] = ()
    frames: list[Frame] = field(default_factory=list)
    groups: dict[tuple[str, str], Context] = field(default_factory=dict)
    config_version: str = ""
    storage_version_set: bool = False
    started: bool = False
    unclosed: list[Context] = field(default_factory=list)
    ranks: int = 0
    full: bool = False
    # A similar name is looked for among all known ones; a file that is not a configuration has many unknown names.
    suggestions_left: int = 1000

    @property
    def context(self) -> Context:
        """The innermost open block."""
        return self.frames[-1].context if self.frames else self.root

    @property
    def later(self) -> Later:
        """Policy that tells names of a later Dovecot from mistakes."""
        return Later(self.config_version)

    def report_later(self, context: Context, line: LogicalLine, place: Place, text: str, reason: str) -> None:
        """Report a name of a later Dovecot, because of which the exporter or metric around it is left out.

        Args:
            context: the block, or one inside.
            line: the statement.
            place: of the name.
            text: Dovecot's message.
            reason: the message.
        """
        self.report.later(place, reason, dovecot=at_line(line.path, line.number, text))
        for layer in context.enclosing():
            if layer.kind is ContextKind.GROUP or layer.is_named("event_exporter") or layer.is_named("metric"):
                # The first reason is enough.
                layer.left_out = layer.left_out or reason
                return
            if layer.is_named("metric_group_by"):
                # Groups are for statistics: what is exported is the same without them.
                return

    def child(self, parent: Context, kind: ContextKind, key: str, name: str, place: Place) -> Context:
        """The block `key name` inside `parent`, made if it is opened for the first time."""
        known = parent.children.get((key, name))
        if known is not None:
            return known
        # Beyond the limit the block still exists for its `}`, but is not kept in the tree.
        made = self.detached(parent, kind, key, name, place)
        if not self.full:
            parent.children[key, name] = made
        return made

    def detached(self, parent: Context, kind: ContextKind, key: str, name: str, place: Place) -> Context:
        """New block that has a parent but is not among its children."""
        self.ranks += 1
        if self.ranks > MAX_BLOCKS and not self.full:
            self.full = True
            self.report.error(place, f"there are more than {MAX_BLOCKS} blocks; the rest is not read")
        return Context(kind, key, name, parent, place, self.ranks)

    def error(
        self,
        line: LogicalLine,
        place: Place,
        text: str,
        *,
        message: str = "",
        suggestion: str = "",
    ) -> None:
        """Report an error for which Dovecot prints `text` with the current line.

        Args:
            line: the statement.
            place: for the caret.
            text: Dovecot's message without its prefix.
            message: our message, if Dovecot's doesn't say enough.
            suggestion: what to write instead.
        """
        # Dovecot names the line that it has read last: for an unterminated heredoc the last one of the file.
        number = self.reader.number if self.reader.path == line.path else line.number
        self.report.error(
            place,
            message or text,
            dovecot=at_line(line.path, number, text),
            suggestion=suggestion,
        )

    def note(self, line: LogicalLine, place: Place, text: str, *, message: str, suggestion: str = "") -> None:
        """Report, as a warning, an error of Dovecot in a part of the configuration that event export doesn't need."""
        dovecot = at_line(line.path, line.number, text)
        self.report.warning(place, message, dovecot=dovecot, suggestion=suggestion, stage=Stage.PARSE)

    def read_value(self, statement: Assignment, *, ours: bool) -> Value | None:
        """Value of an assignment; `None` if it has an invalid escape, which is reported.

        Args:
            statement: not a heredoc.
            ours: the value is used, so the mistake is an error and not just a warning.
        """
        try:
            return value_of(statement, self.environ)
        except StatementError as error:
            place = statement.line.place(error.offset)
            message = (
                f'{error.message} in a quoted value; only \\\\ and \\" exist. '
                "Write \\\\ for a backslash, or leave out the outer quotes"
            )
            if ours:
                self.error(statement.line, place, error.message, message=message)
            else:
                self.note(statement.line, place, error.message, message=message)
            return None

    def read_heredoc(self, statement: Assignment) -> Value | None:
        """Lines of a heredoc as a value; `None` if its end is missing, which is reported."""
        line, marker = statement.line, statement.text
        lines = self.reader.heredoc(marker)
        if lines is None:
            place = line.place(statement.value_at)
            shown = marker if line.is_public else MASK
            message = f"the heredoc has no end: no later line of the file is exactly '{shown}'"
            self.error(line, place, f"Missing {shown}", message=message)
            return None
        marks = [(0, line.place(statement.value_at))]
        length = 0
        for text, place in lines:
            marks.append((length, place))
            length += len(text) + 1
        # The first mark is that of the `<<` line, which is not a part of the value.
        known = public_marks(marks, free=True) if line.is_public else tuple(marks)
        return Value("".join(f"{text}\n" for text, _ in lines), known[1:] or known, (), ValueKind.HEREDOC)


def file_text(report: Report, files: ConfigFiles, key: str, value: Value) -> str | None:
    """Content of the file that a value `<PATH` names, with its last line end; `None` if it can't be read.

    Args:
        report: gets the reason why it can't be read.
        files: access to the file.
        key: the setting as written.
        value: of `ValueKind.FILE`.
    """
    try:
        # As in a line, a NUL ends the text.
        return files.read(value.file, limit=MAX_VALUE_CHARS).partition("\0")[0]
    except (OSError, TooLargeError) as error:
        shown = value.file if value.is_public else MASK
        # The text of the other error names the path, which may be a secret that was written after a stray `<`.
        reason = error.strerror if isinstance(error, OSError) else str(error).replace(value.file, shown)
        message = f"{key}: Can't open file {shown}: {reason}"
        place = value.place
        report.missing(place, message, dovecot=at_line(place.path, place.line, message), stage=Stage.EXPAND)
        return None
