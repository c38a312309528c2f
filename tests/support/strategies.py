"""Hypothesis strategies for events and their parts."""

from __future__ import annotations

from hypothesis import strategies as st

from dovebeam.transforms.codecs.lines import is_possible_name
from dovebeam.transforms.events.event import LOG_TYPES, make_event
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, IPAddress, Timestamp

int64s = st.integers(INT64_MIN, INT64_MAX)
usecs = st.integers(-(10**15), 4 * 10**17) | st.integers(-2_000_000, 2_000_000)

# Text of every kind that UTF-8 can hold, with a liking for what the formats treat specially.
utf8_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    st.sampled_from('aZ0 "\\/\t\n\r\x01\x08\x0c\x1f\x7f\u0080\u2028\u2029\ufffd\U0001f600:=,{}[]'), max_size=12
)
raw_texts = st.binary(max_size=16).map(lambda data: data.decode("utf-8", "surrogateescape"))
texts = utf8_texts | raw_texts

ip_addresses = st.ip_addresses(v=4).map(lambda ip: IPAddress(str(ip))) | st.sampled_from(
    [IPAddress(text) for text in ("2001:db8::1", "::ffff:1.2.3.4", "::10.1.2.3", "::", "fe80::1%lo", "::1")]
)
timestamps = usecs.map(Timestamp)
keys = texts.filter(bool)


def typed_values(text: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    """Values of every type of field."""
    return text | int64s | timestamps | ip_addresses | st.lists(text, max_size=4)


def events(text: st.SearchStrategy[str] = texts) -> st.SearchStrategy:
    """Typed events of every shape, with names that an event can have."""
    return st.builds(
        make_event,
        st.none() | text.filter(is_possible_name),
        fields=st.none() | st.dictionaries(text.filter(bool), typed_values(text), max_size=6),
        categories=st.none() | st.lists(text, max_size=4, unique=True),
        hostname=st.none() | text,
        start_time=st.none() | usecs,
        end_time=st.none() | usecs,
        log_type=st.none() | st.sampled_from(LOG_TYPES),
        source=st.none() | st.tuples(text, st.integers(0, 100_000)),
    )


def recoverable_events(
    text: st.SearchStrategy[str] = utf8_texts, times: st.SearchStrategy[int] = usecs
) -> st.SearchStrategy:
    """Events that survive an export: named fields of known types, nothing that no export carries."""
    plain_key = st.sampled_from(["user", "cmd_name", "error", "session", "mailbox"])
    fields = st.fixed_dictionaries(
        {},
        optional={
            "remote_ip": ip_addresses,
            "last_run_time": times.map(Timestamp),
            "net_in_bytes": int64s,
            "reason_code": st.lists(text.filter(bool), min_size=1, max_size=3),
            "duration": int64s,
        },
    )
    extra = st.dictionaries(plain_key, text, max_size=4)
    # In these events, and in those with the categories of servers, which no random text hits, remote_ip is a string.
    with_text_addresses = ("client_connection_", "http_server_request_")
    return st.builds(
        make_event,
        st.none() | text.filter(lambda name: is_possible_name(name) and not name.startswith(with_text_addresses)),
        fields=st.builds(lambda a, b: {**a, **b}, fields, extra).filter(bool),
        categories=st.lists(text.filter(bool), max_size=3, unique=True),
        hostname=text,
        start_time=times,
        end_time=times,
    )
