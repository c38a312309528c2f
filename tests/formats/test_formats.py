"""The formats against what a real Dovecot wrote, case by case, and their laws."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import decode_json, decode_tab
from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.formats import CONTENT_TYPES, FORMAT_NAMES, INCLUDE_PARTS, TIME_FORMATS, make_formatter
from support.strategies import events, texts

NF = ("name", "fields")
NC = ("name", "categories")
LF_BYTES = "".join(chr(code) for code in range(1, 0x20))


def field(value: object, name: str = "ex", key: str = "a") -> Event:
    """An event with one field."""
    return make_event(name, fields={key: value}, categories=[])


def raw(data: bytes) -> str:
    """Text that stands for these bytes."""
    return data.decode("utf-8", "surrogateescape")


R = "\ufffd".encode()

# event, include, json, tab-text; where times occur, both in rfc3339
CASES = [
    (make_event("ex", fields={"duration": 0}), NF, b'{"event":"ex","fields":{"duration":0}}', b"event:ex\tfield:duration=0"),
    (field(-(2**63)), NF, b'{"event":"ex","fields":{"a":-9223372036854775808}}', b"event:ex\tfield:a=-9223372036854775808"),
    (field(Timestamp(-1)), NF, b'{"event":"ex","fields":{"a":"1969-12-31T23:59:59.999999Z"}}', b"event:ex\tfield:a=1969-12-31T23:59:59.999999Z"),
    (field(IPAddress("::ffff:1.2.3.4")), NF, b'{"event":"ex","fields":{"a":"::ffff:1.2.3.4"}}', b"event:ex\tfield:a=::ffff:1.2.3.4"),
    (field(""), NF, b'{"event":"ex","fields":{"a":""}}', b"event:ex\tfield:a="),
    (field(["x", "y"]), NF, b'{"event":"ex","fields":{"a":["x","y"]}}', b"event:ex\tfield:a=x\x01ty"),
    (field([]), NF, b'{"event":"ex","fields":{"a":[]}}', b"event:ex\tfield:a="),
    (field(["", "a"]), NF, b'{"event":"ex","fields":{"a":["","a"]}}', b"event:ex\tfield:a=\x01ta"),
    (field(["a", ""]), NF, b'{"event":"ex","fields":{"a":["a",""]}}', b"event:ex\tfield:a=a\x01t"),
    (field(["t\tb", "s\x01e", 'q"b\\']), NF, b'{"event":"ex","fields":{"a":["t\\tb","s\\u0001e","q\\"b\\\\"]}}',
     b'event:ex\tfield:a=t\x011tb\x01ts\x0111e\x01tq"b\\'),
    (field(LF_BYTES), NF,
     b'{"event":"ex","fields":{"a":"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000B\\f\\r\\u000E\\u000F\\u0010'
     b'\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001A\\u001B\\u001C\\u001D\\u001E\\u001F"}}',
     b"event:ex\tfield:a=\x011\x02\x03\x04\x05\x06\x07\x08\x01t\x01n\x0b\x0c\x01r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18"
     b"\x19\x1a\x1b\x1c\x1d\x1e\x1f"),
    (field("\x7f\x80\x85\u2027\u2028\u2029\ufeff\U0001f600/<>'"), NF,
     b'{"event":"ex","fields":{"a":"\x7f\xc2\x80\xc2\x85\xe2\x80\xa7\\u2028\\u2029\xef\xbb\xbf\xf0\x9f\x98\x80/<>\'"}}',
     b"event:ex\tfield:a=\x7f\xc2\x80\xc2\x85\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\xf0\x9f\x98\x80/<>'"),
    (field("\\u001f\\\\u00ff\x1f"), NF, b'{"event":"ex","fields":{"a":"\\\\u001f\\\\\\\\u00ff\\u001F"}}',
     b"event:ex\tfield:a=\\u001f\\\\u00ff\x1f"),
    (field("\0"), NF, b'{"event":"ex","fields":{"a":"\\u0000"}}', b"event:ex\tfield:a=\x010"),
    (field(raw(b"\xc0\x80|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82|\xf0\x9f\x98\x1f")), NF,
     b'{"event":"ex","fields":{"a":"' + R * 2 + b"|" + R * 3 + b"|" + R * 4 + b"|" + R * 2 + b"|" + R * 3 + b'\\u001F"}}',
     b"event:ex\tfield:a=\xc0\x80|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82|\xf0\x9f\x98\x1f"),
    (make_event("ex", fields={raw(b"\xff"): "v", raw(b"\xfe"): "w"}), NF,
     b'{"event":"ex","fields":{"' + R + b'":"v","' + R + b'":"w"}}', b"event:ex\tfield:\xff=v\tfield:\xfe=w"),
    (field("v=1", key='k"e\\y\t=:'), NF, b'{"event":"ex","fields":{"k\\"e\\\\y\\t=:":"v=1"}}', b'event:ex\tfield:k"e\\y\x01t=:=v=1'),
    (make_event("nc", categories=['a"\t:b', "c"]), NC, b'{"event":"nc","categories":["a\\"\\t:b","c"]}',
     b'event:nc\tcategory:a"\x01t:b\tcategory:c'),
    (make_event("nc", categories=[]), NC, b'{"event":"nc","categories":[]}', b"event:nc\t"),
    (make_event("nc", categories=[], fields={"a": 1}), ("categories", "fields"), b'{"categories":[],"fields":{"a":1}}', b"\tfield:a=1"),
    (make_event("nc", categories=[], fields={"a": 1}), ("fields", "categories", "name"),
     b'{"event":"nc","categories":[],"fields":{"a":1}}', b"event:nc\t\tfield:a=1"),
    (make_event("nc", categories=[]), ("categories",), b'{"categories":[]}', b""),
    (make_event("x", hostname="vm", start_time=0, end_time=1_600_000_000_000_005), ("timestamps", "hostname"),
     b'{"hostname":"vm","start_time":"1970-01-01T00:00:00.000000Z","end_time":"2020-09-13T12:26:40.000005Z"}',
     b"hostname:vm\tstart_time:1970-01-01T00:00:00.000000Z\tend_time:2020-09-13T12:26:40.000005Z"),
    (field(1), (), b"{}", b""),
    (field(1), ("bogus",), b"{}", b""),
    (make_event(fields={"a": "x"}), NF, b'{"fields":{"a":"x"}}', b"field:a=x"),
    (make_event("", fields={}), NF, b'{"event":"","fields":{}}', b"event:"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "include", "json", "tab"), CASES)
def test_bytes(event: Event, include: tuple[str, ...], json: bytes, tab: bytes) -> None:
    """Both formats write what a real Dovecot writes; none writes nothing."""
    assert make_formatter("json", include=include).format(event) == json
    assert make_formatter("tab-text", include=include).format(event) == tab
    assert make_formatter("none", include=include).format(event) == b""


UNIX = make_event(
    "ex",
    start_time=1_600_000_000_000_005,
    end_time=0,
    fields={"a": Timestamp(-1), "b": Timestamp(253_402_300_800_000_000), "c": 5},
    categories=[],
)


def test_unix_time() -> None:
    """Unix times are bare numbers with all their digits, at the top and among the fields."""
    assert make_formatter("json", time_format="unix", include=("timestamps", "fields")).format(UNIX) == (
        b'{"start_time":1600000000.000005,"end_time":0.000000,"fields":{"a":-1.999999,"b":253402300800.000000,"c":5}}'
    )
    assert make_formatter("tab-text", time_format="unix", include=("timestamps", "fields")).format(UNIX) == (
        b"start_time:1600000000.000005\tend_time:0.000000\tfield:a=-1.999999\tfield:b=253402300800.000000\tfield:c=5"
    )


def test_exported_events_are_rewritten() -> None:
    """A decoded line changes its time format wherever a timestamp is known, and nothing else."""
    line = (
        b'{"event":"imap_command_finished","hostname":"h","start_time":"2020-09-13T12:26:40.000000Z",'
        b'"end_time":"2020-09-13T12:26:40.000005Z","categories":[],'
        b'"fields":{"last_run_time":"1970-01-01T00:00:01.000000Z","user":"1970-01-01T00:00:01.000000Z"}}'
    )
    unix = (
        b'{"event":"imap_command_finished","hostname":"h","start_time":1600000000.000000,'
        b'"end_time":1600000000.000005,"categories":[],'
        b'"fields":{"last_run_time":1.000000,"user":"1970-01-01T00:00:01.000000Z"}}'
    )
    rewrite, back = make_formatter("json", time_format="unix"), make_formatter("json")
    assert rewrite.format(decode_json(line)) == unix
    assert back.format(decode_json(unix)) == line
    assert back.format(decode_json(line)) == line
    tab = make_formatter("tab-text", time_format="unix")
    assert tab.format(decode_json(line)) == tab.format(decode_json(unix))


@pytest.mark.parametrize(
    ("fields", "json", "tab"),
    [
        (("b", "zz", "a"), b'{"event":"s","fields":{"b":2,"a":"A"}}', b"event:s\tfield:b=2\tfield:a=A"),
        (("b", "a", "b"), b'{"event":"s","fields":{"b":2,"a":"A"}}', b"event:s\tfield:b=2\tfield:a=A"),
        (("zz",), b'{"event":"s","fields":{}}', b"event:s"),
        ((), b'{"event":"s","fields":{"a":"A","b":2,"c":"C"}}', b"event:s\tfield:a=A\tfield:b=2\tfield:c=C"),
    ],
)
def test_selected_fields(fields: tuple[str, ...], json: bytes, tab: bytes) -> None:
    """`fields` selects and orders, the first of equal keys counts, missing ones are left out."""
    event = make_event("s", fields={"a": "A", "b": 2, "c": "C"})
    for format_name, expected in (("json", json), ("tab-text", tab)):
        formatter = make_formatter(format_name, include=NF, fields=fields)
        assert formatter.format(event) == expected
        assert formatter.format(decode_json(b'{"event":"s","fields":{"a":"A","b":2,"c":"C"}}')) == expected


X = "x"
CUTS = [  # value; what json and tab-text keep of it when strings are cut at 1000
    (X * 999, X * 999, X * 999),
    (X * 1000, X * 1000 + "...", X * 1000),
    (X * 1001, X * 1000 + "...", X * 1000 + "..."),
    ("ü" * 500, "ü" * 500 + "...", "ü" * 500),
    ("ü" * 501, "ü" * 499 + "...", "ü" * 500 + "..."),
    (X * 998 + "üü", X * 998 + "...", X * 998 + "ü..."),
    (X * 1000 + "ü", X * 1000 + "...", X * 1000 + "..."),
    (X * 999 + "ü" + X, X * 999 + "...", X * 999 + raw(b"\xc3") + "..."),
    (X * 10 + raw(b"\x80" * 1200), X * 10 + "...", X * 10 + raw(b"\x80" * 990) + "..."),
]


@pytest.mark.parametrize(("value", "json", "tab"), CUTS)
def test_the_log_driver_cuts_strings(value: str, json: str, tab: str) -> None:
    """Each format cuts in its own way, before escaping, and marks the cut."""
    event = make_event(fields={"a": value, "l": [value]})
    cut_json = make_formatter("json", include=("fields",), max_string_bytes=1000)
    whole_json = make_formatter("json", include=("fields",))
    assert cut_json.format(event) == whole_json.format(make_event(fields={"a": json, "l": [json]}))
    cut_tab = make_formatter("tab-text", include=("fields",), max_string_bytes=1000)
    whole_tab = make_formatter("tab-text", include=("fields",))
    assert cut_tab.format(event) == whole_tab.format(make_event(fields={"a": tab, "l": [value]}))


def test_what_is_never_cut() -> None:
    """Keys, names, categories and hosts keep their length; escapes do not count."""
    long = X * 1200
    event = make_event(long, hostname=long, categories=[long], fields={long: "\n" * 999})
    for format_name in ("json", "tab-text"):
        with_limit = make_formatter(format_name, max_string_bytes=1000)
        assert with_limit.format(event) == make_formatter(format_name).format(event)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"format": "jsn"}, "unknown format 'jsn'; supported: json, none, tab-text; did you mean 'json'?"),
        ({"format": "json", "time_format": "iso"}, "unknown time format 'iso'; supported: rfc3339, unix"),
    ],
)
def test_a_miss_lists_what_exists(arguments: dict[str, str], text: str) -> None:
    """An unknown name is an error that lists the known ones."""
    with pytest.raises(UnknownNameError) as caught:
        make_formatter(**arguments)
    assert str(caught.value) == text


def test_every_format_has_a_media_type() -> None:
    """The media types are those of Dovecot's http-post driver."""
    assert dict(CONTENT_TYPES) == {
        "json": "application/json",
        "tab-text": "text/plain",
        "none": "application/octet-stream",
    }
    assert set(CONTENT_TYPES) == set(FORMAT_NAMES)


@given(
    events(),
    st.sampled_from(FORMAT_NAMES),
    st.sampled_from(TIME_FORMATS),
    st.sets(st.sampled_from(INCLUDE_PARTS)),
    st.lists(texts, max_size=3),
    st.sampled_from([None, 1, 10, 1000]),
)
def test_pickled_formatter_writes_the_same(
    event: Event, format_name: str, time_format: str, include: set[str], fields: list[str], limit: int | None
) -> None:
    """A formatter that crossed a process writes what the original writes, and no event makes either raise."""
    formatter = make_formatter(
        format_name, time_format=time_format, include=include, fields=fields, max_string_bytes=limit
    )
    copy = pickle.loads(pickle.dumps(formatter))
    assert copy.format(event) == formatter(event)
    assert repr(copy) == repr(formatter)


@given(events())
def test_every_written_line_decodes(event: Event) -> None:
    """Whatever the formats write of an event is one line that the codecs read."""
    for time_format in TIME_FORMATS:
        json_line = make_formatter("json", time_format=time_format).format(event)
        assert b"\n" not in json_line
        if "\ufffd" not in json_line.decode():  # keys that became equal are no event any more
            decode_json(json_line)
        tab_line = make_formatter("tab-text", time_format=time_format).format(event)
        assert b"\n" not in tab_line
        if not any("=" in key for key in event.fields):
            decode_tab(tab_line)
