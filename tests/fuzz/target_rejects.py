"""Files of rejects that are sent again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fuzzing import Target

from dovebeam.transforms.config import load_config
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.reject import decode_reject, make_reject, reject_from_json, reject_to_json
from dovebeam.transforms.plan.resend_plan import make_resend_plan
from dovebeam.transforms.rows import reject_to_row
from dovebeam.transforms.sources import Block
from support.oracle.corpus import corpus_lines

_CONFIG = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
event_exporter out {
  driver = drop
  format = json
}
metric m {
  filter = event=*
  exporter = out
}
"""


def targets(folder: Path) -> list[Target]:
    """Rejects of each stage, with lines of the corpus; by themselves and as a file."""
    path = folder / "dovecot.conf"
    path.write_text(_CONFIG)
    seeds = [
        reject_to_json(reject)
        for line in corpus_lines("events.json.gz")[::4001]
        for reject in (
            decode_reject(line[:-1], DecodeError("cut"), "a.json", 7, [("message_id", "1")]),
            make_reject("route", line, "no place", metric="m", exporter="out", source_uri="b", source_offset=0),
            make_reject("deliver", line, "refused", metric="m", exporter="out", attempts=3, http_status=422),
        )
    ]
    return [Target(check_record, seeds, 3), Target(_file_check(path), [b"\n".join(seeds), *seeds], 3)]


def check_record(data: bytes) -> None:
    """A record that is read is written as the same record, and fits in a row."""
    try:
        record = reject_from_json(data)
    except DecodeError:
        return
    assert reject_from_json(reject_to_json(record)) == record
    reject_to_row(record)


def _file_check(config: Path) -> Callable[[bytes], None]:
    """The check of a whole file: each line that is not blank has one outcome."""
    plan = make_resend_plan(load_config(config))

    def check(data: bytes) -> None:
        resent = plan.resend_block(Block("rejects.jsonl", 0, data, "rejects"))
        lines = sum(1 for line in data.split(b"\n") if line.strip())
        again = sum(resent.resent.values())
        assert resent.read == lines
        assert resent.read == resent.matched + resent.unmatched + again + len(resent.held) + len(resent.rejects)
        for reject in (*resent.rejects, *resent.held, *resent.unrouted):
            assert reject_from_json(reject_to_json(reject)) == reject

    return check
