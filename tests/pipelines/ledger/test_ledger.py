"""The account of a job and its equations."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dovebeam.pipelines.ledger.closing import close_job, ledger_text, show_ledger
from dovebeam.pipelines.ledger.ledger import Ledger, make_ledger
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.transforms import Config, load_config
from support.jobs.commands import exporter, metric, write_config

BALANCED = {
    "read": 100,
    "matched": 60,
    "unmatched": 30,
    "out_of_range": 7,
    "undecodable": 3,
    "matched/m": 50,
    "matched/n": 20,
    "matched/o": 4,
    "formatted/a": 70,
    "delivered/a": 68,
    "delivered_bytes/a": 12345,
    "rejected/a": 2,
    "formatted/b": 4,
    "delivered/b": 4,
    "delivered_bytes/b": 40,
    "rejects_accounted": 5,
    "reject_reason/a: refused": 2,
    "reject_reason/no JSON\x1b[31m": 3,
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two exporters, the first with two metrics, and a metric that exports nothing."""
    blocks = [exporter("a", "drop"), exporter("b", "log"), metric("m", "event=*", "a"), metric("n", "event=x", "a")]
    statistics = "metric s {\n  filter = event=*\n}\n"
    return load_config(write_config(tmp_path, *blocks, metric("o", "event=y", "b"), statistics))


def ledger(config: Config, changes: dict[str, int] | None = None) -> Ledger:
    """A ledger whose counters come from two steps each."""
    counters = BALANCED | (changes or {})
    halves = [(name, part) for name, value in counters.items() for part in (value // 2, value - value // 2)]
    return make_ledger(halves, config, {"a": "/dev/null"})


def test_balanced(config: Config) -> None:
    """Counters of several steps are added up, and the equations hold."""
    account = ledger(config)
    assert (account.read, account.rejected, account.delivered) == (100, 5, 72)
    assert account.imbalances() == ()
    assert [(m.name, m.exporter, m.matched) for m in account.metrics] == [("m", "a", 50), ("n", "a", 20), ("o", "b", 4)]
    assert [(e.name, e.driver, e.target) for e in account.exporters] == [("a", "drop", "/dev/null"), ("b", "log", "")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"read": 101}, "read 101, but matched 60"),
        ({"unmatched": 29}, "= 99"),
        ({"delivered/a": 67}, "exporter a: formatted 70, but delivered 67"),
        ({"matched/m": 51}, "exporter a: formatted 70, but its metrics matched 71"),
        ({"rejects_accounted": 4}, "rejected 5, but 4 arrived"),
        ({"read": 102, "resent/a": 1, "formatted/a": 71, "delivered/a": 69}, "+ sent again 1 + held back 0 = 101"),
        ({"read": 101, "resent/a": 1}, "formatted 70, but its metrics matched 70 and 1 were sent again"),
        ({"read": 101, "held_back": 1}, "rejected 6, but 5 arrived"),
    ],
)
def test_imbalances(config: Config, changes: dict[str, int], words: str) -> None:
    """A job that lost count is told by the equation, with its numbers."""
    (found,) = ledger(config, changes).imbalances()
    assert words in found


def test_rejects_that_were_sent_again(config: Config) -> None:
    """They are neither matched nor lost; what was held back is rejected once more, and the texts show both."""
    changes = {"read": 105, "resent/a": 3, "formatted/a": 73, "delivered/a": 71, "held_back": 2, "rejects_accounted": 7}
    account = ledger(config, changes)
    assert account.imbalances() == ()
    assert (account.resent, account.held_back, account.rejected) == (3, 2, 7)
    found = account.as_dict()
    assert (found["resent"], found["rejected"]["held_back"], found["rejected"]["deliver"]) == (3, 2, 2)
    assert [each["resent"] for each in found["exporters"]] == [3, 0]
    assert "sent again      3\nheld back       2\n" in ledger_text(account)
    assert "sent again" not in ledger_text(ledger(config))


def test_nothing_happened(config: Config) -> None:
    """A job without events has no counters, and is balanced."""
    account = make_ledger([], config, {})
    assert account.imbalances() == ()
    assert account.read == 0


def test_metrics_of_one_name(tmp_path: Path) -> None:
    """Metrics that share a name in statistics are counted apart, by their blocks."""
    block = "metric {} {{\n  metric_name = same\n  filter = event=*\n  exporter = {}\n}}\n"
    blocks = [exporter("a", "drop"), exporter("b", "drop"), block.format("one", "a"), block.format("two", "b")]
    config = load_config(write_config(tmp_path, *blocks))
    counters = {"read": 1, "matched": 1, "matched/one": 1, "matched/two": 1, "formatted/a": 1, "delivered/a": 1}
    counters |= {"formatted/b": 1, "delivered/b": 1}
    assert make_ledger(counters.items(), config, {}).imbalances() == ()
    assert make_ledger({**counters, "matched/two": 2}.items(), config, {}).imbalances() != ()


def test_json(config: Config) -> None:
    """Everything is in the JSON, in the order of the configuration."""
    found = json.loads(json.dumps(ledger(config).as_dict()))
    assert found["rejected"] == {
        "total": 5,
        "decode": 3,
        "deliver": 2,
        "held_back": 0,
        "reasons": {"no JSON\x1b[31m": 3, "a: refused": 2},
    }
    assert found["exporters"][0] == {
        "name": "a",
        "driver": "drop",
        "target": "/dev/null",
        "formatted": 70,
        "delivered": 68,
        "delivered_bytes": 12345,
        "rejected": 2,
        "resent": 0,
    }
    assert found["metrics"][2] == {"name": "o", "exporter": "b", "matched": 4}
    assert found["imbalances"] == []


def test_text(config: Config) -> None:
    """Columns are aligned, numbers to the right, and nothing from the data steers a terminal."""
    lines = ledger_text(ledger(config)).splitlines()
    assert lines[1:6] == [
        "read          100",
        "matched        60",
        "unmatched      30",
        "out of range    7",
        "rejected        3",
    ]
    assert "a         drop           70         68         2  12,345  /dev/null" in lines
    assert "no JSON\ufffd[31m      3" in lines


def test_terminal(config: Config) -> None:
    """A terminal gets the same numbers."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    show_ledger(ledger(config), out)
    assert "12,345" in out.getvalue()
    assert "\x1b[31mn" not in out.getvalue()


def test_damaged_files(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that could not read its files whole names each of them and has failed, although all rejects are kept."""
    counters = {"read": 1, "undecodable": 1, "rejects_accounted": 1, "damaged/b.avro": 1, "damaged/a\x1b.avro": 2}
    account = make_ledger(counters.items(), config, {})
    assert account.imbalances() == ()
    assert account.as_dict()["damaged"] == ["a\x1b.avro", "b.avro"]
    assert close_job(account, None, are_rejects_kept=True) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "2 of the input files are damaged" in said
    assert "a\ufffd.avro" in said


def test_what_manifests_count(config: Config) -> None:
    """A replay that read other events than its archive has is not balanced."""
    counters = {"read": 3, "unmatched": 3}
    assert make_ledger(counters.items(), config, {}, 3).imbalances() == ()
    [imbalance] = make_ledger(counters.items(), config, {}, 4).imbalances()
    assert imbalance == "read 3, but the manifests of the archive count 4"
