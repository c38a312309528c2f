"""What a line that is not an event is told about: where the event seems to be, and the command that gets it out."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import suppress
from typing import Any

import pytest

from dovebeam.transforms.codecs import decode_json, decode_tab
from dovebeam.transforms.errors import DecodeError
from support.oracle.corpus import corpus_lines
from support.programs import require_program

EVENT: dict[str, Any] = {"event": "a", "categories": ["imap"], "fields": {"user": "ann", "n": 5}}
TEXT = json.dumps(EVENT, separators=(",", ":"))
TAB = "event:a\thostname:h\tcategory:imap\tfield:user=ann"


def line_of(value: Any) -> str:
    """One line of JSON."""
    return json.dumps(value, separators=(",", ":"))


# A line, and how its reason ends.
JSON_CAUSES = [
    (line_of({"message": TEXT}), "the event seems to be in 'message': jq -c '.message|fromjson'"),
    (line_of({"@timestamp": "x", "message": TEXT, "host": {"name": "h"}}), "jq -c '.message|fromjson'"),
    (line_of({"@message": TEXT}), """jq -c '.["@message"]|fromjson'"""),
    (line_of({"log": {"original": TEXT}}), "the event seems to be in 'log.original': jq -c '.log.original|fromjson'"),
    (line_of({"log": {"it's": TEXT}}), r"""jq -c '.log["it'"'"'s"]|fromjson'"""),
    (line_of({"message": TAB}), "the event seems to be in 'message': jq -r '.message'"),
    (line_of({"message": "dovecot: " + TEXT}), "jq -r '.message' | sed 's/^[^{]*//'"),
    (line_of({"dovecot": EVENT}), "the event seems to be in 'dovecot': jq -c '.dovecot'"),
    (line_of({"event": EVENT, "time": 5}), "the event seems to be in 'event': jq -c '.event'"),
    (line_of({"event": EVENT}), "the event seems to be in 'event': jq -c '.event'"),
    (line_of({"jsonPayload": {"data": EVENT}}), "jq -c '.jsonPayload.data'"),
    (line_of({"records": [EVENT, EVENT]}), "the event seems to be in 'records': jq -c '.records[]'"),
    (line_of({**EVENT, "@timestamp": "x"}), """members seem to have been added to the event: jq -c 'del(.["@timestamp"])'"""),
    (line_of({**EVENT, "host": "h", "tags": []}), "jq -c 'del(.host, .tags)'"),
    (line_of({**EVENT, **{f"x{n}": n for n in range(6)}}), "with_entries(select(.value != null))'"),
    (line_of([EVENT, EVENT]), "the events seem to be in a JSON array; make one line of each event: jq -c '.[]'"),
    (TEXT + ",", "jq -c '.[]'"),
    ("Nov 30 04:08:32 mail dovecot: " + TEXT, "30 bytes stand before the JSON, such as a syslog prefix: sed 's/^[^{]*//'"),
    ("<13>1 2026-11-30T04:08:32Z mail dovecot - - - " + TEXT, "sed 's/^[^{]*//'"),
    ("{", "spread over several lines; make one line of each event: jq -c ."),
    ('  "event": "a",', "jq -c ."),
    ('  "fields": {', "jq -c ."),
    ("  },", "jq -c ."),
    ("[", "jq -c '.[]'"),
    ("Nov 30 04:08:32 mail dovecot: " + TAB, "such as a syslog prefix: sed 's/^.* event:/event:/'"),
    (TAB, "the line seems to be tab-text (--input_format tab-text)"),
    ("\ufeff" + TEXT, "a byte order mark stands before the event: sed 's/^\\xef\\xbb\\xbf//'"),
]  # fmt: skip
TAB_CAUSES = [
    ("event:a#011hostname:h#011field:user=ann", "#011 stands in their place: sed 's/#011/\\t/g' (rsyslog keeps tabs"),
    ("event:a#11hostname:h#11field:user=ann", "#11 stands in their place: sed 's/#11/\\t/g'"),
    ("event:a hostname:h field:user=ann", "blanks stand in their place: keep them, or export with format = json"),
    ("event:ahostname:hfield:user=ann", "nothing stands in their place"),
    ("event:a\\thostname:h\\tfield:user=ann", "\\t stands in their place: sed 's/\\\\t/\\t/g'"),
    ("event:a^Ihostname:h^Ifield:user=ann", "^I stands in their place: sed 's/\\^I/\\t/g'"),
    ("hostname:h#011category:imap#011field:user=ann", "#011 stands in their place"),
    ("category:imap#011category:storage", "#011 stands in their place"),
    ("field:user=ann#011field:n=5", "#011 stands in their place"),
    ("field:user=ann field:n=5", "blanks stand in their place"),
    ("start_time:2026-11-30T00:00:00.000000Z#011field:n=5", "#011 stands in their place"),
    ("Nov 30 04:08:32 mail dovecot: event:a#011hostname:h", "#011 stands in their place"),
    ("Nov 30 04:08:32 mail dovecot: " + TAB, "30 bytes stand before the event, such as a syslog prefix: sed 's/^.* event:/event:/'"),
    (TEXT, "the line seems to be JSON (--input_format json)"),
]  # fmt: skip
FOREIGN = [
    line_of({"level": "info", "msg": "request", "status": 200}),
    line_of({"message": "not json {"}),
    line_of({"message": '{"level":"info"}'}),
    line_of({"a": {"b": {"c": {"d": {"e": {"f": {"g": EVENT}}}}}}}),
    line_of({}).replace("{}", '{"x":}'),
    "[1,2]",
    '"fields":{"a":1}}',
    "nonsense",
]


def reason_of(line: str, *, tab: bool = False) -> str:
    """Why a line is not an event."""
    with pytest.raises(DecodeError) as caught:
        (decode_tab if tab else decode_json)(line.encode())
    return caught.value.reason


@pytest.mark.parametrize(("line", "end"), JSON_CAUSES)
def test_causes_in_json(line: str, end: str) -> None:
    """A wrapped, nested, prefixed or pretty-printed event is told where it is and how to get it out."""
    assert reason_of(line).endswith(end)


@pytest.mark.parametrize(("line", "words"), TAB_CAUSES)
def test_causes_in_tab_text(line: str, words: str) -> None:
    """Lost tabs are told with what stands in their place, a prefix with what removes it."""
    assert words in reason_of(line, tab=True)


@pytest.mark.parametrize("line", FOREIGN)
def test_no_cause_is_made_up(line: str) -> None:
    """A line that holds no event is just told what is wrong with it."""
    reason = reason_of(line)
    assert "seem" not in reason
    assert "sed" not in reason


@pytest.mark.parametrize(
    "line", [line for line, end in JSON_CAUSES if "jq" in end and line.startswith("{") and line.endswith("}")]
)
def test_commands_of_jq(line: str) -> None:
    """The command that is named gets the event out."""
    require_program("jq")
    command = reason_of(line).rpartition(": ")[2]
    found = subprocess.run(["sh", "-c", command], input=line.encode(), capture_output=True, check=True).stdout
    decode = decode_tab if found.startswith(b"event:") else decode_json
    for each in found.splitlines():
        assert decode(each).name == "a"


@pytest.mark.parametrize("line", [line for line, words in TAB_CAUSES if "sed '" in words])
def test_commands_of_sed(line: str) -> None:
    """The command that is named restores the tabs, or removes the prefix."""
    command = "sed " + reason_of(line, tab=True).partition("sed ")[2].partition(" (")[0]
    found = subprocess.run(["sh", "-c", command], input=line.encode(), capture_output=True, check=True).stdout
    assert decode_tab(found.removesuffix(b"\n")).get("user") == "ann"


@pytest.mark.parametrize("piece", [b" ", b" event:", b" field:", b"#011", b"{", b'{"a":', b"\t event:", b'"event":'])
@pytest.mark.parametrize("tab", [False, True])
def test_causes_are_found_in_linear_time(piece: bytes, tab: bool) -> None:
    """A hostile line costs no more than its length; CPU time, so that a busy machine does not matter."""
    line = (b"event:x" if tab else b"") + piece * (1_000_000 // len(piece))
    began = time.process_time()
    with suppress(DecodeError):
        (decode_tab if tab else decode_json)(line)
    assert time.process_time() - began < 5


def test_events_of_the_corpus_have_no_cause() -> None:
    """Nothing in a real tab-text line is taken for a lost tab."""
    for line in corpus_lines("events.tab.gz")[::50]:
        decode_tab(line)
