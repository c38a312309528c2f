"""Which exporters a replay sends to."""

import json
from pathlib import Path

import pytest

from dovebeam.pipelines.jobs.configuration import failed_exporters, restrict
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.transforms.config import load_config
from dovebeam.transforms.plan.export_plan import make_plan
from support.jobs.commands import exporter, metric, write_config


def ledger(folder: Path, **accounts: tuple[int, int]) -> str:
    """A ledger file with formatted and delivered of each exporter."""
    path = folder / "ledger.json"
    rows = [{"name": name, "formatted": made, "delivered": sent} for name, (made, sent) in accounts.items()]
    path.write_text(json.dumps({"exporters": rows}))
    return str(path)


def test_only_the_named_exporters_remain(tmp_path: Path) -> None:
    """Metrics of others lose their exporter and stay, so that what is looked at stays the same."""
    config = load_config(
        [
            write_config(
                tmp_path,
                exporter("a", "drop"),
                exporter("b", "drop"),
                metric("one", "event=x", "a"),
                metric("all", "category=imap", "b"),
            )
        ]
    )
    small = restrict(config, ["a"])
    assert [(each.name, each.exporter) for each in small.metrics] == [("one", "a"), ("all", "")]
    assert make_plan(small).exporters == ("a",)


def test_an_unknown_exporter_is_a_usage_error(tmp_path: Path) -> None:
    """With the nearest name."""
    config = load_config([write_config(tmp_path, exporter("datalake", "drop"), metric("m", "event=x", "datalake"))])
    with pytest.raises(UsageError, match="did you mean 'datalake'"):
        restrict(config, ["datalke"])


def test_failed_are_those_that_delivered_less_than_they_should(tmp_path: Path) -> None:
    """Rejected or lost on the way, both count."""
    assert failed_exporters(ledger(tmp_path, good=(5, 5), bad=(5, 4), none=(0, 0), dead=(9, 0))) == ("bad", "dead")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not a ledger"),
        ("[]", "is not a ledger"),
        ('{"exporters":[{"name":"a"}]}', "is not a ledger"),
        ('{"exporters":[]}', "nothing is left to do"),
        (None, "open.*failed: No such file"),
    ],
)
def test_what_is_no_ledger(tmp_path: Path, content: str | None, words: str) -> None:
    """The file is named, and what to give instead."""
    path = tmp_path / "ledger"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=words):
        failed_exporters(str(path))
