"""The coder of blocks."""

import pickle

from apache_beam.coders import registry

from dovebeam.transforms.sources import Block


def test_coder_of_blocks() -> None:
    """Beam finds it by the type; it keeps every member, and its estimate is close and needs no encoding."""
    coder = registry.get_coder(Block)
    for block in (
        Block("gs://mail/x", 1 << 40, bytes(range(256)) * 256, "json"),
        Block("/var/log/x", 0, b"head", "tab-text", overlong_bytes=1 << 33),
        Block("x", 0, b"records", "avro", records=3, schema=b"{}"),
    ):
        assert coder.decode(coder.encode(block)) == block
        assert pickle.loads(pickle.dumps(block)) == block
        assert abs(coder.estimate_size(block) - len(coder.encode(block))) < 100
    assert coder == pickle.loads(pickle.dumps(coder))
    assert coder.is_deterministic()
