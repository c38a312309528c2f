"""Manifests as files."""

from __future__ import annotations

import json

import pytest

from dovebeam.transforms.shards.committing import (
    Manifest,
    ManifestError,
    ManifestFile,
    manifest_from_json,
    manifest_to_json,
    sorted_files,
)
from dovebeam.transforms.shards.pieces import Fingerprint

FILES = (ManifestFile("a", 2, 10, "00ff"), ManifestFile("b", 3, 11, "11ff", 5, 7))
MANIFEST = Manifest("x", "r", "done", 5, FILES)


@pytest.mark.parametrize(
    "manifest",
    [MANIFEST, Manifest("x", "r", "committing", 5, FILES, FILES[:1], "u"), Manifest("x", "r", "done", 0, ())],
)
def test_there_and_back(manifest: Manifest) -> None:
    """What is written is read again."""
    assert manifest_from_json(manifest_to_json(manifest), "m") == manifest


def test_what_others_read() -> None:
    """The keys that docs/files.md promises."""
    read = json.loads(manifest_to_json(MANIFEST))
    assert (read["version"], read["state"], read["events"]) == (1, "done", 5)
    assert read["files"][0] == {"name": "a", "events": 2, "bytes": 10, "sha256": "00ff"}
    assert read["files"][1]["last_time_usec"] == 7


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a manifest"),
        (b"\xff", "not a manifest"),
        (b"[]", "not a manifest"),
        (b"{}", "not a manifest"),
        (b'{"version":1}', "not a manifest"),
        (manifest_to_json(MANIFEST)[:-20], "not a manifest"),
        (b"[" * 100_000, "not a manifest"),
        (manifest_to_json(MANIFEST).replace(b'"done"', b'"undone"'), "not a manifest"),
        (manifest_to_json(MANIFEST).replace(b'"events": 5', b'"events": "5"'), "not a manifest"),
        (manifest_to_json(MANIFEST).replace(b'"version": 1', b'"version": 2'), "use a newer one"),
        (b'{"version":7,"new":[]}', "use a newer one"),
    ],
)
def test_damaged_and_later_ones(data: bytes, words: str) -> None:
    """What is no manifest, or one of a later version, is an error that names the file and says what to do."""
    with pytest.raises(ManifestError, match=rf"^dir/m .*{words}"):
        manifest_from_json(data, "dir/m")


def test_what_a_run_owns() -> None:
    """Everything that it may have put in place: its files, and while it commits those that they replace."""
    earlier = ManifestFile("a", 1, 9, "22ff")
    manifest = Manifest("x", "r", "committing", 5, FILES, (earlier,))
    assert manifest.own() == {
        "a": {Fingerprint(10, "00ff"), Fingerprint(9, "22ff")},
        "b": {Fingerprint(11, "11ff")},
    }


def test_order() -> None:
    """Files are in the order of their names."""
    assert sorted_files(reversed(FILES)) == FILES
