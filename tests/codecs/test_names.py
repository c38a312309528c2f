"""Names that an event can have, and those of foreign lines that it cannot."""

from __future__ import annotations

import json

import pytest

from dovebeam.transforms.codecs import decode_json, decode_json_block, decode_tab
from dovebeam.transforms.codecs.json_glimpse import Glimpser
from dovebeam.transforms.codecs.lines import is_possible_name
from dovebeam.transforms.errors import DecodeError
from support.oracle.cases import case_file
from support.oracle.corpus import corpus_lines

POSSIBLE = [
    "",
    "imap_command_finished",
    "fts_flatcurve_last_uid",
    "my-plugin.Event2",
    "plugin:event",
    "plugin/event",
    "a=b",
    "x@y",
    "#1",
    "ä",
    "category",
    "a" * 1000,
]
IMPOSSIBLE = [
    " ",
    "user logged in",
    "a\tb",
    "a\n",
    "a\x00b",
    "a\x7f",
    "a\u0085b",
    "a\u00a0b",
    "a\u2003b",
    "imap_command_finished#011hostname:h#011field:user=user1",
    "imap_command_finished#11hostname:h",
    "imap_command_finished#011",
    "imap_command_finished hostname:h field:user=user1",
    "imap_command_finishedhostname:h",
    "imap_command_finished\\thostname:h",
    "a^Istart_time:2026-11-30T00:00:00.000000Z",
    "a" * 1000 + " ",
]


@pytest.mark.parametrize("name", POSSIBLE)
def test_possible_names(name: str) -> None:
    """One word of any characters may be the name of a plugin's event."""
    assert is_possible_name(name)
    assert decode_tab(b"event:" + name.encode()).name == name
    if name.isprintable():
        line = f'{{"event":"{name}"}}'.encode()
        assert (decode_json(line).name, decode_json_block(line).events[0].name) == (name, name)
        assert Glimpser([]).glimpse(line) is not None


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_names(name: str) -> None:
    """White space, control characters and lost tabs are in no name: such a line is a reject in both formats."""
    assert not is_possible_name(name)
    if "\t" not in name and "\n" not in name:
        with pytest.raises(DecodeError, match="this cannot be the name of an event"):
            decode_tab(b"event:" + name.encode())
    line = json.dumps({"event": name}, separators=(",", ":")).encode()
    with pytest.raises(DecodeError, match="this cannot be the name of an event") as caught:
        decode_json(line)
    assert caught.value.offset == 9
    block = decode_json_block(b'{"event":"a"}\n' + line + b'\n{"event":"b"}')
    assert ([event.name for event in block.events], len(block.bad_lines)) == (["a", "b"], 1)
    assert Glimpser([]).glimpse(line) is None


def test_all_names_of_the_corpus() -> None:
    """Every event of the corpus has a name that is possible."""
    for line in corpus_lines("events.tab.gz"):
        assert is_possible_name(line.split(b"\t", 1)[0].removeprefix(b"event:").decode())


def test_lines_whose_tabs_were_lost() -> None:
    """Each line of the case is a reject that says what became of its tabs."""
    for line in case_file("tab-text-through-rsyslog", ".json").read_bytes().splitlines():
        with pytest.raises(DecodeError, match="its tabs were lost on the way"):
            decode_tab(line)
