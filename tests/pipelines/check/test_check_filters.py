"""What `dovebeam check` says of filters before any event is there: never true, read otherwise, names nobody has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dovebeam.pipelines.check.findings import SeenNames, filter_advice, name_advice
from dovebeam.transforms import load_config
from dovebeam.transforms.codecs import decode_json
from support.jobs.commands import dovebeam, exporter, metric, write_config, write_events
from support.oracle.cases import case_file
from support.oracle.corpus import CORPUS, corpus_lines


def warnings(config: Path, *more: object) -> list[str]:
    """The warnings of a check, one string each."""
    answer = json.loads(dovebeam("check", "--config", config, "--format", "json", *more).out)
    assert answer["usable"], answer["errors"]
    return [f"{each['message']} {each['suggestion']}".strip() for each in answer["warnings"]]


def one(folder: Path, filter_: str, *settings: str) -> Path:
    """A configuration of one metric."""
    lines = "".join(f"  {line}\n" for line in settings)
    block = f"metric m {{\n  filter = {filter_}\n  exporter = x\n{lines}}}\n"
    return write_config(folder, exporter("x", "drop"), block)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("rss-10M", ["rss>10M is never true: 10M is ambiguous", "write 10MB or 10min", "the metric matches nothing"]),
        ("dur-frac", ["duration>1.5s is never true", "write 1500ms", "the metric matches nothing"]),
        ("cat-wild", ["category=service:* is never true", "no wildcards in categories"]),
        ("fields-star", ["fields has *, which is the name of a field here"]),
        ("and-or-mixed", ['((event=imap_command_finished AND cmd_name=FETCH) OR cmd_name="UID FETCH") AND duration>1s']),
    ],
)  # fmt: skip
def test_case(case: str, words: list[str]) -> None:
    """Filters of real people that Dovecot takes in silence: one warning each, and the configuration can be used."""
    found = warnings(case_file(case, ".conf"))
    assert len(found) == 1
    assert [word for word in words if word not in found[0]] == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("not-equal", "there is no ! and no !=: write NOT KEY=VALUE; write NOT cmd_name=IDLE instead of cmd_name!=IDLE"),
        ("quoted-both-ends", 'filter = ("event"=imap_command_finished AND cmd_name="UID FETCH")'),
    ],
)  # fmt: skip
def test_refused_case(case: str, words: str) -> None:
    """Filters of real people that Dovecot refuses: the error says what to write."""
    ran = dovebeam("check", "--config", case_file(case, ".conf"))
    assert ran.code == 78
    assert words in ran.err


@pytest.mark.parametrize(
    ("filter_", "words"),
    [
        ("event=imap_comand_finished", "no event 'imap_comand_finished' did you mean 'imap_command_finished'?"),
        ("event=imap-command-finished", "did you mean 'imap_command_finished'?"),
        ("event=IMAP_Command_finished", "did you mean 'imap_command_finished'?"),
        ("NOT event=imap_command", "did you mean 'imap_command_finished'?"),
        ("event=mail_delivery", "the event 'mail_delivery' of Dovecot 2.3 is now 'mail_delivery_finished'"),
        ("event=push_notification", "is now 'push_notification_finished'"),
        ("event=no_such_thing_at_all", "metric_known_names = no_such_thing_at_all"),
        ("event=imap_comand_*", "a name such as imap_comand_* did you mean 'imap_command_*'?"),
        ("category=IMAP", "no category 'IMAP' did you mean 'imap'?"),
        ("category=imap-login", "did you mean 'service:imap-login'?"),
        ("category=smtp_server", "did you mean 'smtp-server'?"),
        ("category=push_notification", "the category 'push_notification' of Dovecot 2.3 is now 'push-notification'"),
        ("category=mail_delivery", "is now 'local-delivery'"),
        ("category=imapp AND event=imap_*", "did you mean 'imap'?"),
        ("event=* AND bytes_in>1k", "the field 'bytes_in' of Dovecot 2.3 is now 'net_in_bytes'"),
        ("event=* AND idle_secs>5", "is now 'idle_usecs'"),
        ("event=imap_command_finished AND name=FETCH", "the field 'name' of Dovecot 2.3 is now 'cmd_name'"),
        ("event=* AND net_in_byte>5", "did you mean 'net_in_bytes'?"),
        ("event=* AND User=ann", "no field 'User' did you mean 'user'?"),
        ("event=* AND cat=imap", "no field 'cat' did you mean 'category'?"),
        ("Event=imap_command_finished", "no field 'Event' did you mean 'event'?"),
    ],
)
def test_unknown_name(tmp_path: Path, filter_: str, words: str) -> None:
    """A name that Dovecot 2.4 does not have is a warning, with the one that was meant."""
    found = warnings(one(tmp_path, filter_))
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    "filter_",
    [
        "event=dns_worker_request_finished AND name=x",
        "event=* AND category=service:anything",
        "event=* AND id_param_something=x AND http_hdr_x=y",
        "event=* AND tenant=a AND customer_id=b AND user_id=c",
        "event=*_finished AND category=imap",
        "category=imap AND name=x",
    ],
)
def test_known_name(tmp_path: Path, filter_: str) -> None:
    """What Dovecot has, and what a passdb may well add, is left alone."""
    assert warnings(one(tmp_path, filter_)) == []


def test_fields_and_groups_are_names(tmp_path: Path) -> None:
    """Names in `fields` and `group_by` are looked at like those in filters."""
    found = warnings(one(tmp_path, "event=*", "fields = user bytes_out", "group_by mesage_size {", "}"))
    assert [each.partition(": ")[2] for each in found] == [
        "the field 'bytes_out' of Dovecot 2.3 is now 'net_out_bytes'",
        "Dovecot 2.4 has no field 'mesage_size' did you mean 'message_size'?",
    ]


def test_names_of_plugins(tmp_path: Path) -> None:
    """Names are known when `metric_known_names` says so, in the block or for all, or when an event has them."""
    filter_ = "event=obox_upload_done AND category=oboxx AND mesage_size>5"
    assert len(warnings(one(tmp_path, filter_))) == 3
    assert warnings(one(tmp_path, filter_, "known_names = obox* mesage_size")) == []
    assert warnings(one(tmp_path, "event=obox_upload_*", "known_names = obox_*")) == []
    assert len(warnings(one(tmp_path, "event=obox_upload_*"))) == 1
    config = write_config(tmp_path, exporter("x", "drop"), metric("m", filter_, "x"))
    overlay = tmp_path / "overlay.conf"
    overlay.write_text("metric_known_names = obox_upload_done oboxx mesage_size\n")
    assert warnings(config, "--config", overlay) == []
    event = b'{"event":"obox_upload_done","categories":["oboxx"],"fields":{"mesage_size":7}}'
    assert warnings(config, "--input", write_events(tmp_path, [event])) == []
    assert warnings(config, "--event", event.decode()) == []


def test_no_false_alarm_on_the_corpus(tmp_path: Path) -> None:
    """The real configuration has no warning, and no name of a real event is one that Dovecot does not have."""
    config = load_config(CORPUS / "dovecot.conf")
    assert [*filter_advice(config), *name_advice(config, SeenNames())] == []
    seen = SeenNames()
    seen.add(map(decode_json, corpus_lines("events.json.gz")))
    parts = [f"event={name}" for name in seen.events] + [f'category="{name}"' for name in seen.categories]
    parts += [f'"{name}"=*' for name in seen.fields - {"last_run_time"}]
    path = one(tmp_path, " OR ".join(sorted(parts)))
    assert warnings(path) == []


def test_many_and_strange_names(tmp_path: Path) -> None:
    """Warnings end where nobody reads on, and steer no terminal."""
    found = warnings(one(tmp_path, " OR ".join(f"event=no_such_event_{n}" for n in range(2_000))))
    assert len(found) == 100
    strange = warnings(one(tmp_path, 'event="no_such\x1b[31m_event" AND duration>"\x07"'))
    assert len(strange) == 2
    assert all(each.isprintable() for each in strange)


def test_joined_wrongly(tmp_path: Path) -> None:
    """AND instead of OR, and OR instead of AND, are told with what to write."""
    found = warnings(one(tmp_path, "event=mail_opened AND event=mail_expunged"))
    assert found == [
        "metric m: event=mail_opened and event=mail_expunged are never true together, since an event has one name; "
        "for either of them write OR instead of AND; the metric matches nothing"
    ]
    found = warnings(one(tmp_path, "NOT event=mail_opened OR NOT event=mail_expunged"))
    assert "is always true" in found[0]
    assert found[0].endswith("the metric matches every event")
