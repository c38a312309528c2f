"""Tables on a terminal: whatever its width, no number and no word is lost."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovebeam.pipelines.ledger.closing import show_ledger
from dovebeam.pipelines.ledger.ledger import ExporterAccount, Ledger, MetricAccount
from dovebeam.pipelines.replay.replay_job import show_dry
from dovebeam.pipelines.terminal.tables import Table, fitted, number, text_of
from dovebeam.transforms.count_exports import ExportSum
from support.jobs import warm_commands
from support.jobs.commands import dovebeam
from support.oracle.corpus import CORPUS
from support.programs import HANG_SECS
from support.terminals import terminal

WIDTHS = (60, 80, 120)
_COMMAND = [sys.executable, "-m", "dovebeam.pipelines.cli"]


def words(text: str) -> list[str]:
    """All words of a text, sorted; a path is several."""
    return sorted(re.findall(r"[^\s:/]+", text))


CELLS = st.text(st.sampled_from("ab0 ,/"), max_size=30).map(lambda text: " ".join(text.split()))


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(
    st.lists(st.sampled_from(["", "name", "a long head"]), min_size=n, max_size=n),
    st.frozensets(st.integers(0, n - 1)),
    st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4),
)), st.integers(20, 130))  # fmt: skip
@example((["name", ""], frozenset(), [["a" * 20, ""]]), 20)
def test_nothing_is_lost(parts: tuple[list[str], frozenset[int], list[list[str]]], width: int) -> None:
    """Each cell is there whole; what is wider than the terminal is a block, which the terminal may break."""
    heads, numbers, rows = parts
    table = Table(tuple(heads), numbers, [tuple(row) for row in rows])
    shown = "\n".join(line for _, line in fitted(table, width))
    for row in rows:
        for column, cell in enumerate(row):
            assert cell in shown if column in numbers else all(word in shown for word in words(cell))
    whole = text_of([table])
    if max(map(len, whole.splitlines()), default=0) <= width:
        assert [line for _, line in fitted(table, width)] == whole.splitlines()


METRIC = "metric_with_a_long_name_that_somebody_chose"
NUMBERS = (1_234_567_890, 552_446, 987_654_321, 123_456, 60_000_001, 7)
LEDGER = Ledger(
    read=NUMBERS[0],
    matched=NUMBERS[1],
    unmatched=NUMBERS[2],
    out_of_range=0,
    undecodable=NUMBERS[5],
    metrics=(MetricAccount(METRIC, "warehouse_of_all_events", NUMBERS[1]),),
    exporters=tuple(
        ExporterAccount(name, driver, target, NUMBERS[1], NUMBERS[3], NUMBERS[4], NUMBERS[5])
        for name, driver, target in [
            ("warehouse_of_all_events", "http-post", "https://siem.example.net:443"),
            ("local", "file", "/var/lib/dovebeam/exports/of/this/machine/events.json"),
        ]
    ),
    reasons={"warehouse_of_all_events: the target refused the event with 422 Unprocessable Entity": NUMBERS[3]},
    accounted_rejects=NUMBERS[5],
)


@pytest.mark.parametrize("columns", WIDTHS)
def test_ledger(columns: int) -> None:
    """The account of a job, with numbers of nine digits and long names."""
    with terminal(columns) as screen:
        show_ledger(LEDGER, screen.out)
    for value in NUMBERS:
        assert number(value) in screen.text
    for name in ("warehouse_of_all_events", METRIC, "siem.example.net:443"):
        assert name in screen.text


@pytest.mark.parametrize("columns", WIDTHS)
def test_dry_run(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `replay --dry_run` shows."""
    sums = [ExportSum("2026-11-22T08", "warehouse_of_all_events", METRIC, n, 9 * n) for n in (552_446, 123_456_789)]
    with terminal(columns) as screen:
        monkeypatch.setattr(sys, "stdout", screen.out)
        show_dry(LEDGER, sums, None)
        monkeypatch.undo()
    for each in sums:
        assert number(each.events) in screen.text
        assert number(each.bytes) in screen.text
    assert number(LEDGER.read) in screen.text


@pytest.mark.parametrize("columns", WIDTHS)
def test_check(columns: int) -> None:
    """The tables of `check`, its settings and those of `--explain`, have on each terminal what they have in a pipe."""
    config, events = CORPUS / "dovecot.conf", CORPUS / "events.json.gz"
    metrics = ["--metric", "imap_domain", "--metric", "imap_search"]
    explain = ["--input", events, "--explain", "--max_events", "3000", *metrics]
    for more in ([], explain):
        arguments = [*map(str, ["check", "--config", config, *more])]
        with terminal(columns) as screen:
            warm_commands.run(
                [*_COMMAND, *arguments], stdout=screen.out, stderr=subprocess.DEVNULL, check=True, timeout=HANG_SECS
            )
        wanted = dovebeam(*arguments).out
        assert set(words(wanted)) - {"events"} <= set(words(screen.text))
        assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in screen.lines)


def test_demo(tmp_path: Path) -> None:
    """The first thing that a newcomer sees: all numbers of the ledger, on a terminal of 80 columns."""
    with terminal(80) as screen:
        command = [*_COMMAND, "demo", str(tmp_path / "demo")]
        warm_commands.run(command, stdout=screen.out, stderr=subprocess.DEVNULL, check=True, timeout=HANG_SECS)
    account = json.loads((tmp_path / "demo" / "ledger.json").read_text())
    numbers = [each[key] for each in account["exporters"] for key in ("formatted", "delivered", "bytes") if key in each]
    assert numbers
    for value in [account["read"], account["matched"], *numbers]:
        assert number(value) in screen.text
