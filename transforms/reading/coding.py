"""How a block travels between the steps of a pipeline."""

from typing import Final

import msgspec
from apache_beam.coders import Coder, registry

from dovebeam.transforms.sources import Block

__all__ = ["BlockCoder"]

_BLOCK_OVERHEAD_BYTES: Final = 32


class BlockCoder(Coder):
    """MessagePack; sizes are estimated without encoding, because Beam asks for that of elements all the time."""

    def encode(self, value: Block) -> bytes:
        """The block as an array."""
        return msgspec.msgpack.encode(value)

    def decode(self, encoded: bytes) -> Block:
        """The block that was encoded."""
        return msgspec.msgpack.decode(encoded, type=Block)

    def estimate_size(self, value: Block) -> int:
        """About how many bytes `encode` returns."""
        return len(value.data) + len(value.uri) + _BLOCK_OVERHEAD_BYTES

    def is_deterministic(self) -> bool:
        """Equal blocks have equal bytes."""
        return True

    def to_type_hint(self) -> type[Block]:
        """What is encoded."""
        return Block

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockCoder)

    def __hash__(self) -> int:
        return hash(BlockCoder)


registry.register_coder(Block, BlockCoder)
