"""What docs/files.md says, compared with what is there."""

from __future__ import annotations

import re
from pathlib import Path

from dovebeam.transforms.config.settings import SETTINGS
from dovebeam.transforms.shards.committing import manifest_from_json, manifest_to_json
from dovebeam.transforms.shards.layout import Layout

TEXT = (Path(__file__).parents[2] / "docs" / "files.md").read_text()


def test_settings() -> None:
    """Every setting of the driver is in the table, with its default."""
    told = dict(re.findall(r"^\| `(file_\w+)` \|(?: `?([^|`]*?)`?)? \|", TEXT, re.MULTILINE))
    settings = {name.removeprefix("event_exporter_"): each.default for name, each in SETTINGS.items()}
    assert told == {name: default for name, default in settings.items() if name.startswith("file_")}


def test_manifest() -> None:
    """The example is one that dovebeam would write, and its sums are right."""
    example = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert example
    manifest = manifest_from_json(example[1].encode(), "docs/files.md")
    assert manifest_to_json(manifest).decode() == example[1]
    assert manifest.events == sum(file.events for file in manifest.files)
    assert all(len(file.sha256) == 64 for file in manifest.files)
    layout = Layout(manifest.exporter, manifest.run_id, "zstd")
    assert [file.name for file in manifest.files] == [layout.final("events.json", number, 2) for number in range(2)]
    for name in (layout.manifest, *(file.name for file in manifest.files)):
        assert f"gs://mail-archive/imap/{name}\n" in TEXT
