"""The public list: complete, documented, and the same for people, type checkers and machines."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import dovebeam.transforms as public

ROOT = Path(__file__).parents[1]

EXCUSED = {
    "what workers and their launcher tell each other": (
        "progress JobMonitor StoppedError Totals counters BUNDLE_COUNTERS vault SharedSecrets"
    ),
    "the queues and sources of a stream, which its launcher opens": (
        "Delivery Sent refused_reject Queue SegmentName make_directory Backoff ENDLESS StateStore close_session "
        "check_topic check_subscription check_pullable create_subscription delete_subscription"
    ),
    "archives and shards: their names, and what makes them final": (
        "ARCHIVE ArchiveFile archive_files archive_of is_wanted MANIFEST_SUFFIX check_run_id time_mark Publisher "
        "SpoolDriver"
    ),
    "files of this machine and of object stores": (
        "local_files is_url file_url_path take_lock make_private_directory sync_directory write_all open_new "
        "TemporaryFolder Upload store_error_text delivery_error"
    ),
    "the names of an exporter's files": "shard_clashes encode_value short_name compressed_name insert_mark",
    "what an input is": (
        "DEFAULT_BLOCK_BYTES block_bytes_for max_record_bytes distinct_files found_file absolute_pattern read_local_blocks "
        "decode_block TORN FileStream decompress detect_compression detect_format"
    ),
    "where a secret is": "Secret SecretUrl secrets_in HOW_TO_REFER",
    "what `check` says about a configuration": (
        "Reading read_config SETTINGS INCLUDE_PARTS LOG_TYPES catalogue metric_formatter closest_name "
        "setting_name value_text unescape Profile accepts_unnamed read_otherwise Budget may_share_a_text has_wildcard "
        "compile_wildcard"
    ),
}
"""Names that commands may import although they are not public, with what makes them the commands' business."""


def names_for_type_checkers() -> set[str]:
    """The names that transforms/__init__.py imports for type checkers."""
    tree = ast.parse(Path(str(public.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.asname or "" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_the_list_is_one() -> None:
    """What can be imported is what type checkers see, sorted, and dir() shows it."""
    assert set(public.__all__) == names_for_type_checkers()
    assert public.__all__ == sorted(public.__all__)
    assert dir(public) == public.__all__


@pytest.mark.parametrize("name", public.__all__)
def test_every_name_is_documented(name: str) -> None:
    """Each public name exists, once, and says what it is; a function names what it takes or returns."""
    value = getattr(public, name)
    assert inspect.getdoc(value)
    assert value.__module__.startswith("dovebeam.transforms.")


def test_a_miss() -> None:
    """An unknown name is an AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = public.nonsense


def library_names(path: Path) -> set[str]:
    """What a file imports of the library, wherever in it."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("dovebeam.transforms")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dovebeam.transforms"):
            names |= {alias.name for alias in node.names}
    return names


def test_commands_use_public_names() -> None:
    """pipelines/ imports of the library what everybody can import, and what the list above excuses; nothing is left."""
    excused = {name for names in EXCUSED.values() for name in names.split()}
    files = sorted((ROOT / "pipelines").rglob("*.py"))
    assert files
    used = set[str]()
    for path in files:
        names = library_names(path)
        used |= names
        assert names <= {*public.__all__, *excused}, f"{path}: make it public, or say in EXCUSED why it is not"
    assert excused <= used, "excuses that nobody needs any more"
    assert not excused & set(public.__all__)


def test_the_reference_has_each_name_once() -> None:
    """The page of the reference lists all public names and no others."""
    page = (ROOT / "docs/reference/api.md").read_text()
    comments = re.findall(r"<!-- reference: api (\S+) (.*) -->", page)
    assert {module for module, _ in comments} == {"dovebeam.transforms"}
    assert sorted(name for _, names in comments for name in names.split()) == public.__all__
