"""Goes through a page as its reader would: types its commands, makes its files, and compares what it shows."""

from __future__ import annotations

import doctest
import fnmatch
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from support.pages.documented import parse_ini, parse_json, parse_yaml, read_configuration
from support.pages.documents import Block, Command, commands_of
from support.pages.shell_session import ShellSession
from support.programs import HANG_SECS, wait_until

_SYSTEM = re.compile(r"(?<![\w./-])/(?=(etc|run|srv|var)/)")
_IS_RUNNING = re.compile(r"^dovebeam: (following|collecting from) ", re.MULTILINE)

_READERS: dict[str, Callable[[str], None]] = {"json": parse_json, "yaml": parse_yaml, "ini": parse_ini}


@dataclass(frozen=True)
class Spared:
    """What is not run or compared.

    Attributes:
        pages: pattern of pages.
        text: words that are in the command or the block.
        check: what is done instead.
        reason: why.
        language: "sh" for a command, else that of the block.
    """

    pages: str
    text: str
    check: Callable[[str], None]
    reason: str
    language: str = "sh"

    def covers(self, page: str, text: str, language: str) -> bool:
        """Whether it is meant for a command (`sh`) or a block."""
        return self.language == language and self.text in text and fnmatch.fnmatch(page, self.pages)


@dataclass
class PageReader:
    """A reader with a directory.

    Attributes:
        home: the directory.
        shell: the shell in it.
        spared: what is not run or compared.
        together: whether configurations of the page are one, in parts.
        instead: texts of the page, and what to read instead of them: ports that are free, say.
        system: folder to use as the root of /etc, /run, /srv and /var, which a test cannot write to.
        folder: where files are saved that a page tells to save, below home.
        seconds: how long a command may take.
        output: what the last block that ran has put out.
        parts: configurations of the page so far.
    """

    home: Path
    shell: ShellSession
    spared: Sequence[Spared] = ()
    together: bool = False
    instead: dict[str, str] = field(default_factory=dict)
    system: str = "/"
    folder: str = "."
    seconds: float = HANG_SECS
    output: str = ""
    parts: list[str] = field(default_factory=list)

    def read(self, block: Block) -> None:
        """Runs or checks one block."""
        for text, other in self.instead.items():
            block = replace(block, text=block.text.replace(text, other))
        block = replace(block, text=_SYSTEM.sub(lambda _: self.system, block.text))
        spared = None if block.language == "sh" else self._spared(block.page, block.text, block.language)
        if spared:
            spared.check(block.text)
        elif block.file:
            self._save(block)
        elif block.language == "sh":
            self.output = "".join(self._run(command, block) for command in commands_of(block))
        elif block.language == "text":
            self._compare(block)
        elif block.language == "conf":
            self.parts = [*self.parts, block.text] if self.together else [block.text]
            read_configuration(self.home.parent, "".join(self.parts))
        elif block.language == "python":
            self._run_python(block)
        else:
            assert block.language in _READERS, f"{block.place}: no check for {block.language or 'a block without name'}"
            _READERS[block.language](block.text)

    def _spared(self, page: str, text: str, language: str) -> Spared | None:
        return next((row for row in self.spared if row.covers(page, text, language)), None)

    def _save(self, block: Block) -> None:
        """Makes the file that the page tells to make."""
        path = self.home / self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if block.is_added else ""
        path.write_text(before + block.text)

    def _run(self, command: Command, block: Block) -> str:
        """Runs one command, or does what the table says instead; returns its output."""
        if spared := self._spared(block.page, command.text, "sh"):
            spared.check(command.text)
            return ""
        if re.match(r"(\S*/)?dovebeam (stream|collect) [^&]*\Z", command.text):
            said = self.shell.start(command.text)
            wait_until(lambda: _IS_RUNNING.search(said.read_text()) is not None, f"{command.text} to begin")
            return ""
        code, output = self.shell.run(command.text, self.seconds)
        assert code == command.code, f"{block.page}:{command.line}: {command.text}\nended with {code}:\n{output}"
        return output

    def _run_python(self, block: Block) -> None:
        """Runs a program of the page."""
        program = self.home / "example.py"
        program.write_text(block.text)
        command = [sys.executable, program]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=HANG_SECS, check=False)
        assert done.returncode == 0, f"{block.place}:\n{done.stderr}"
        self.output = done.stdout

    def _compare(self, block: Block) -> None:
        """Fails unless the last output is that of the page; any run id stands for any other."""
        assert block.previous in {"sh", "python"}, (
            f"{block.place}: output of what? If it is none, spare it with a reason"
        )
        want, got = (re.sub(r"\b[0-9a-f]{12}\b", "RUN-ID", text) for text in (block.text, self.output))
        checker, example = doctest.OutputChecker(), doctest.Example("", want)
        same = checker.check_output(want, got, doctest.ELLIPSIS)
        assert same, f"{block.place}\n{checker.output_difference(example, got, doctest.REPORT_NDIFF)}"
