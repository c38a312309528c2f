"""What docs/delivery.md and docs/rejects.md say, compared with what is there."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from dovebeam.pipelines.export.options import DEFAULT_MAX_ATTEMPTS
from dovebeam.transforms.config.settings import SETTINGS
from dovebeam.transforms.drivers import DRIVERS
from dovebeam.transforms.events.reject import make_reject, reject_to_json
from dovebeam.transforms.plan import resend_plan

ROOT = Path(__file__).parents[2]
DELIVERY = (ROOT / "docs" / "delivery.md").read_text()
REJECTS = (ROOT / "docs" / "rejects.md").read_text()


def rows(text: str) -> list[list[str]]:
    """The cells of all tables."""
    return [
        [cell.strip() for cell in line.strip("|").split(" |")] for line in text.splitlines() if line.startswith("| ")
    ]


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table of a section, without its head."""
    section = page.split(f"\n## {heading}\n")[1]
    return rows(section[: section.index("\n\n", section.index("\n|") + 1)])[1:]


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver(name: str) -> None:
    """Each has its rows in both tables, and a docstring that ends with its parallelism and its guarantee."""
    for heading, cells in (("Guarantees of each driver", 4), ("When a target fails", 3)):
        found = [row for row in table(DELIVERY, heading) if row[0].startswith(f"`{name}`")]
        assert found
        assert all(len(row) == cells and all(row) for row in found)
    paragraphs = (inspect.getdoc(DRIVERS[name]) or "").split("\n\n")
    assert [paragraph.split(":")[0] for paragraph in paragraphs[-2:]] == ["Parallelism", "Delivery"]
    assert all(len(paragraph.split(":", 1)[1]) > 20 for paragraph in paragraphs[-2:])


def test_same_modes_in_both_tables() -> None:
    """What is guaranteed, and what happens when a target fails, is written of the same drivers in their modes."""
    assert [row[0] for row in table(DELIVERY, "Guarantees of each driver")] == [
        row[0] for row in table(DELIVERY, "When a target fails")
    ]


def test_settings() -> None:
    """Names and defaults in the tables are those of the table of settings, and none of unix and log is left out."""
    settings = [row for row in rows(DELIVERY) if len(row) == 3 and re.fullmatch(r"`[a-z]+_\w+`", row[0])]
    told = {name.strip("`"): default.strip("`") for name, default, _ in settings}
    for name, default in told.items():
        assert SETTINGS[f"event_exporter_{name}"].default == default, name
    own = {name.removeprefix("event_exporter_") for name in SETTINGS if re.match(r"event_exporter_(unix|log)_", name)}
    assert own - set(told) == {"unix_path", "log_target"}


def test_members_of_a_record() -> None:
    """The table names the members of a record in their order."""
    members = table(REJECTS, "Members of a record")
    named = [name for row in members for name in re.findall(r"`(\w+)`", row[0])]
    assert named == list(json.loads(reject_to_json(make_reject("decode", b"", ""))))


def test_maximum() -> None:
    """The default is the same everywhere it is written."""
    assert f"`--max_attempts` attempts (default: {DEFAULT_MAX_ATTEMPTS})" in REJECTS
    assert resend_plan.DEFAULT_MAX_ATTEMPTS == DEFAULT_MAX_ATTEMPTS
