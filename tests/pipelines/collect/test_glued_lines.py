"""What Dovecot glues together when its buffer is full."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.pipelines.collect.unix_lines import LineAssembler, separated
from support.oracle.corpus import corpus_lines

JSON = b'{"event":"imap_command_finished","hostname":"h","categories":["imap"],"fields":{"user":"a{","n":1}}'
OTHER = b'{"event":"x","fields":{"event":"y"}}'
BARE = b'{"fields":{"hostname":"h"}}'
TAB = (
    b"event:imap_command_finished\thostname:h\tstart_time:2026-11-22T08:00:00.000000Z\t"
    b"end_time:2026-11-22T08:00:01.000000Z\tcategory:imap\tfield:user=event:x\tfield:n=1"
)
NAMELESS = TAB.partition(b"\t")[2]


@pytest.mark.parametrize(
    ("line", "whole", "pieces"),
    [
        (JSON, [JSON], []),
        (OTHER, [OTHER], []),
        (JSON[:10] + OTHER, [OTHER], [JSON[:10]]),
        (b'{"event":"imap_comm' + JSON, [JSON], [b'{"event":"imap_comm']),
        (JSON[:1] + BARE, [BARE], [JSON[:1]]),
        (JSON[:-1] + JSON, [JSON], [JSON[:-1]]),
        (JSON + OTHER, [JSON, OTHER], []),
        (JSON[:50] + JSON[:20] + OTHER, [OTHER], [JSON[:50] + JSON[:20]]),
        (JSON[:50] + OTHER + JSON, [OTHER, JSON], [JSON[:50]]),
        (JSON + OTHER + BARE, [JSON, OTHER, BARE], []),
        (JSON[:50], [JSON[:50]], []),
        (JSON + JSON[:50], [JSON + JSON[:50]], []),
        (b"5 " + JSON, [b"5 " + JSON], []),
        (b'[{"event":"x"}', [b'[{"event":"x"}'], []),
        (TAB, [TAB], []),
        (NAMELESS, [NAMELESS], []),
        (TAB[:10] + TAB, [TAB], [TAB[:10]]),
        (TAB[:3] + TAB, [TAB], [TAB[:3]]),
        (TAB[:-1] + TAB, [TAB], [TAB[:-1]]),
        (TAB[:17] + b"x\t" + TAB, [TAB], [TAB[:17] + b"x\t"]),
        (NAMELESS[:11] + NAMELESS, [NAMELESS], [NAMELESS[:11]]),
        (NAMELESS[:12] + NAMELESS, [NAMELESS], [NAMELESS[:12]]),
        (TAB[:60] + TAB[:20] + TAB, [TAB], [TAB[:60] + TAB[:20]]),
        (b"mail1 dovecot: " + TAB, [b"mail1 dovecot: " + TAB], []),
        (b"host dovecot: " + TAB, [b"host dovecot: " + TAB], []),
        (b"eve" + TAB[:1] + TAB, [TAB], [b"evee"]),
        (b"", [b""], []),
    ],
)
def test_glued(line: bytes, whole: list[bytes], pieces: list[bytes]) -> None:
    """The whole events at a line's end are kept, the piece before them is aside; what is not glued stays as it is."""
    found, aside = separated(line + b"\n")
    assert found.split(b"\n")[:-1] == whole
    assert aside == [piece + b"\n" for piece in pieces]


@pytest.mark.parametrize("name", ["events.json.gz", "events.tab.gz"])
@given(data=st.data())
def test_wherever_dovecot_cuts(name: str, data: st.DataObject) -> None:
    """Each event that was written as a whole comes out equal, in order, and each cut is one piece aside."""
    events = [line for line in corpus_lines(name)[:200] if name.startswith("events.json") or b"\thostname:" in line]
    chosen = data.draw(st.lists(st.sampled_from(events), min_size=1, max_size=6))
    stream, expected, pieces = b"", [], []
    for event in chosen[:-1]:
        cut = data.draw(st.one_of(st.none(), st.integers(1, len(event) - 1)))
        stream += event + b"\n" if cut is None else event[:cut]
        expected += [event] if cut is None else []
        pieces += [] if cut is None else [event[:cut]]
    lines = LineAssembler(1 << 20)
    assert lines.feed(stream + chosen[-1] + b"\n").split(b"\n")[:-1] == [*expected, chosen[-1]]
    assert b"".join(lines.take_aside()[0]).replace(b"\n", b"") == b"".join(pieces)


def test_an_overlong_row_of_beginnings_is_looked_at_a_few_times_only() -> None:
    """A line that a hostile peer makes of nothing but beginnings costs no more than a few looks at it."""
    line = b'{"event":' * 400_000
    assert separated(line + b"\n") == (line + b"\n", [])
