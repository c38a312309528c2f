"""What `decode_block` makes of a block, whatever it was read from."""

from __future__ import annotations

import pytest

from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import Block
from dovebeam.transforms.sources.block import Format


@pytest.mark.parametrize("format_", ["json", "tab-text", "avro"])
def test_what_a_file_has_lost_is_that_many_rejects(format_: Format) -> None:
    """Each with the reason and the place; the first one keeps the bytes that there are."""
    found = decode_block(Block("file", 77, b"rest", format_, records=3, damage="the Avro block is damaged"))
    assert (list(found.decoded.events), found.read) == ([], 3)
    assert [reject.payload_bytes for reject in found.rejects] == [b"rest", b"", b""]
    for reject in found.rejects:
        assert (reject.source_uri, reject.source_offset) == ("file", 77 << 26 if format_ == "avro" else 77)
        assert "the Avro block is damaged" in reject.error_message
